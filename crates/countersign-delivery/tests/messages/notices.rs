//! What notices add: how many were held back, where a request came from, and when.

use countersign::RequestContext;
use countersign::sender::{Notice, NoticeKind};
use countersign_delivery::message::Messages;
use time::{OffsetDateTime, UtcOffset};

use crate::{AT, kinds, messages, notice};

/// I-15: what was held back is told with the next notice of its kind, in both languages, and never
/// at the price of a second SMS.
#[test]
fn a_notice_says_how_many_were_held_back() {
    let cases = [
        (
            1,
            "One more notice of this kind was held back",
            "お知らせを1件省略しました",
            "(1 more)",
            "（ほか1件）",
        ),
        (
            7,
            "7 more notices of this kind were held back",
            "お知らせを7件省略しました",
            "(7 more)",
            "（ほか7件）",
        ),
        (
            999,
            "999 or more notices of this kind were held back",
            "お知らせを999件以上省略しました",
            "(999 or more)",
            "（ほか999件以上）",
        ),
    ];
    for kind in kinds() {
        for (held_back, english_email, japanese_email, english_sms, japanese_sms) in cases {
            let said = |language| {
                let notice = Notice { held_back, ..notice(kind.clone(), Some(language)) };
                (messages().notice_email(&notice), messages().notice_sms(&notice))
            };
            let (english, japanese) = (said("en"), said("ja"));
            assert!(english.0.expose_text().contains(english_email), "{}", english.0.expose_text());
            assert!(
                japanese.0.expose_text().contains(japanese_email),
                "{}",
                japanese.0.expose_text()
            );
            assert!(english.1.expose().ends_with(english_sms), "{}", english.1.expose());
            let counted = format!("{japanese_sms}。");
            assert!(japanese.1.expose().contains(&counted), "{}", japanese.1.expose());
            assert!(english.1.segments().is_one() && japanese.1.segments().is_one());
        }
        for language in ["en", "ja"] {
            let none = notice(kind.clone(), Some(language));
            let text = messages().notice_email(&none).expose_text().to_owned()
                + messages().notice_sms(&none).expose();
            assert!(
                !["held back", "省略", "more)", "（ほか"].iter().any(|words| text.contains(words)),
                "{text}"
            );
        }
    }
    // With the longest name that a Japanese notice takes, there is no room for the number.
    let most = (1..80).rfind(|most| Messages::builder("a".repeat(*most)).build().is_ok()).unwrap();
    let messages = Messages::builder("a".repeat(most)).build().unwrap();
    let longest =
        Notice { held_back: 999, ..notice(NoticeKind::Locked { until: None }, Some("ja")) };
    let sms = messages.notice_sms(&longest);
    assert!(sms.segments().is_one() && !sms.expose().contains("ほか"), "{}", sms.expose());
    assert!(messages.notice_email(&longest).expose_text().contains("999件以上省略"));
}

/// What a client calls itself gets into no message; only names of a fixed list do.
#[test]
fn a_notice_says_where_the_request_came_from() {
    let windows = "Mozilla/5.0 (Windows NT 10.0; rv:145.0) Gecko/20100101 Firefox/145.0";
    let hostile = "http://evil.example call +1 555 0100 123456 <b>\"";
    let context = |address: &str, user_agent| {
        RequestContext::new()
            .with_client_address(address.parse().unwrap())
            .with_user_agent(user_agent)
    };
    for (language, user_agent, address, email, sms) in [
        (
            "en",
            windows,
            "203.0.113.7",
            "From: 203.0.113.7, Firefox on Windows.",
            "(IP 203.0.113.7)",
        ),
        (
            "ja",
            windows,
            "203.0.113.7",
            "接続元: 203.0.113.7、Firefox（Windows）",
            "（IP 203.0.113.7）",
        ),
        ("en", hostile, "2001:db8::1234:1", "From: 2001:db8::1234:1.", "(IP 2001:db8::1234:1)"),
        ("ja", hostile, "2001:db8::1", "接続元: 2001:db8::1", "（IP 2001:db8::1）"),
    ] {
        let from = context(address, user_agent);
        let notice = Notice { from, ..notice(NoticeKind::BackupCodeMade, Some(language)) };
        let text = messages().notice_email(&notice);
        assert!(text.expose_text().lines().any(|line| line == email), "{}", text.expose_text());
        for leaked in ["evil", "555", "123456", "<b>"] {
            assert!(!text.expose_html().contains(leaked), "{language}: {leaked}");
        }
        let text = messages().notice_sms(&notice);
        assert!(text.segments().is_one() && text.expose().contains(sms), "{}", text.expose());
    }
    // Half of it, and nothing.
    let client = RequestContext::new().with_user_agent(windows);
    for (language, line) in
        [("en", "From: Firefox on Windows."), ("ja", "接続元: Firefox（Windows）")]
    {
        let known = Notice { from: client.clone(), ..notice(NoticeKind::Reset, Some(language)) };
        assert!(messages().notice_email(&known).expose_text().contains(line));
        assert!(!messages().notice_sms(&known).expose().contains("IP"));
        let unknown = messages().notice_email(&notice(NoticeKind::Reset, Some(language)));
        assert!(!["From:", "接続元"].iter().any(|word| unknown.expose_text().contains(word)));
    }
    // An SMS that has no room for it goes without.
    let name = "a".repeat(26);
    let until = OffsetDateTime::from_unix_timestamp(AT).unwrap();
    for language in ["en", "ja"] {
        let from = context("2001:db8:1111:2222:3333:4444:5555:6666", windows);
        let kind = NoticeKind::Locked { until: Some(until) };
        let locked = Notice { from, ..notice(kind, Some(language)) };
        let messages = Messages::builder(&*name).build().unwrap();
        let text = messages.notice_sms(&locked);
        assert!(text.segments().is_one() && !text.expose().contains("2001"), "{}", text.expose());
        assert!(messages.notice_email(&locked).expose_text().contains("2001:db8:1111"));
    }
}

#[test]
fn a_time_is_said_by_the_users_clock_and_with_its_distance_from_utc() {
    let until = OffsetDateTime::from_unix_timestamp(AT + 900).unwrap();
    for (offset, english, sms, japanese, japanese_sms) in [
        (
            (0, 0, 0),
            "24 November 2026, 10:00 UTC",
            "24 November, 10:15 UTC",
            "2026年11月24日 10:00（UTC）",
            "11月24日10:15(UTC)",
        ),
        (
            (9, 0, 0),
            "24 November 2026, 19:00 (UTC+9)",
            "24 November, 19:15 (UTC+9)",
            "2026年11月24日 19:00（UTC+9）",
            "11月24日19:15(UTC+9)",
        ),
        (
            (-9, -30, 0),
            "24 November 2026, 00:30 (UTC-9:30)",
            "24 November, 00:45 (UTC-9:30)",
            "2026年11月24日 00:30（UTC-9:30）",
            "11月24日00:45(UTC-9:30)",
        ),
        (
            (14, 0, 0),
            "25 November 2026, 00:00 (UTC+14)",
            "25 November, 00:15 (UTC+14)",
            "2026年11月25日 00:00（UTC+14）",
            "11月25日00:15(UTC+14)",
        ),
        (
            (0, -30, 0),
            "24 November 2026, 09:30 (UTC-0:30)",
            "24 November, 09:45 (UTC-0:30)",
            "2026年11月24日 09:30（UTC-0:30）",
            "11月24日09:45(UTC-0:30)",
        ),
        // Seconds are left out of both.
        (
            (-5, -30, -59),
            "24 November 2026, 04:30 (UTC-5:30)",
            "24 November, 04:45 (UTC-5:30)",
            "2026年11月24日 04:30（UTC-5:30）",
            "11月24日04:45(UTC-5:30)",
        ),
    ] {
        let (hours, minutes, seconds) = offset;
        let offset = UtcOffset::from_hms(hours, minutes, seconds).unwrap();
        let locked = |language| {
            let mut notice =
                notice(NoticeKind::Locked { until: Some(until.to_offset(offset)) }, Some(language));
            notice.at = notice.at.to_offset(offset);
            notice
        };
        let email = messages().notice_email(&locked("en"));
        assert!(
            email.expose_text().contains(&format!("When: {english}.")),
            "{}",
            email.expose_text()
        );
        assert!(
            email.expose_text().contains(&format!(
                "until {}",
                english.replace(":00", ":15").replace(":30 ", ":45 ")
            ))
        );
        let text = messages().notice_sms(&locked("en"));
        assert!(
            text.expose().contains(&format!("until {sms}. Not you?")) && text.segments().is_one(),
            "{}",
            text.expose()
        );
        let email = messages().notice_email(&locked("ja"));
        assert!(
            email.expose_text().contains(&format!("日時: {japanese}\n")),
            "{}",
            email.expose_text()
        );
        let text = messages().notice_sms(&locked("ja"));
        assert!(
            text.expose().contains(japanese_sms) && text.segments().is_one(),
            "{}",
            text.expose()
        );
    }
}

/// The short text leaves the time out, so that a long name and a far zone fit into one SMS.
#[test]
fn a_far_zone_and_a_long_name_fit_into_one_sms() {
    let offset = UtcOffset::from_hms(12, 45, 0).unwrap();
    let until = OffsetDateTime::from_unix_timestamp(AT).unwrap().to_offset(offset);
    for name in ["会計システム", "Example", "Example Accounting Service"] {
        let messages = Messages::builder(name).build().unwrap();
        let text =
            messages.notice_sms(&notice(NoticeKind::Locked { until: Some(until) }, Some("ja")));
        assert!(text.segments().is_one() && text.expose().starts_with(name), "{}", text.expose());
    }
}
