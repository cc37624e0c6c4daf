//! Whatever a name says, it breaks out of no message: checked with parsers that are not ours.

#[path = "../support/origin_bound.rs"]
mod origin_bound;

use countersign::DeviceLabel;
use countersign::sender::{NoticeKind, Purpose};
use countersign_delivery::message::{Messages, MessagesError};
use proptest::prelude::*;

use crate::{PURPOSES, code, messages, notice};

proptest! {
    /// I-33: whatever name is accepted, both the parser of the specification and the one of a
    /// browser find this code and this host.
    #[test]
    fn the_last_line_says_what_was_put_in(
        name in "\\PC{1,12}",
        host in "[a-z][a-z0-9]{0,6}(\\.[a-z]{2,6}){1,2}",
        digits in "[0-9]{6,10}",
        language in prop::sample::select(vec!["en", "ja"]),
        purpose in prop::sample::select(PURPOSES.to_vec()),
    ) {
        let built = Messages::builder(name).origin_host(host.clone()).allow_several_sms().build();
        let messages = match built {
            Ok(messages) => messages,
            Err(MessagesError::Application(_)) => return Err(TestCaseError::reject("refused name")),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let sms = messages.code_sms(&code(&digits, purpose, Some(language)));
        let expected = Some((host, digits));
        prop_assert_eq!(origin_bound::parse(sms.expose()), expected.clone());
        prop_assert_eq!(origin_bound::first_anywhere(sms.expose()), expected);
    }

    /// The same with names made of what could break out.
    #[test]
    fn hostile_names_are_refused_or_harmless(name in "[@#{}\\r\\n\u{2028}a. 1<>&\"']{1,12}") {
        if let Ok(messages) = Messages::builder(name).origin_host("example.com").allow_several_sms().build() {
            let sms = messages.code_sms(&code("654321", Purpose::Login, None));
            let expected = Some(("example.com".to_owned(), "654321".to_owned()));
            prop_assert_eq!(origin_bound::parse(sms.expose()), expected.clone());
            prop_assert_eq!(origin_bound::first_anywhere(sms.expose()), expected);
            let email = messages.code_email(&code("654321", Purpose::Login, None));
            prop_assert!(!email.subject().contains(char::is_control));
            prop_assert_eq!(email.expose_html().matches('<').count(), 21);
        }
    }

    /// I-33: a device's name comes from whoever logged in, and reaches the owner's mailbox.
    #[test]
    fn hostile_device_names_put_neither_links_nor_tags_into_a_notice(label in "\\PC{1,60}") {
        let label = DeviceLabel::new(&label);
        let told = notice(NoticeKind::DeviceTrusted { label, dropped: None }, None);
        let email = messages().notice_email(&told);
        let could_break_out = email.expose_text().contains(['@', '/', '<', '{']);
        prop_assert!(!could_break_out);
        prop_assert_eq!(email.expose_html().matches('<').count(), 17);
        prop_assert!(email.subject().contains("a trusted device was added"));
    }
}
