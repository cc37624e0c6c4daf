//! What a server says that it can do (`EHLO`).

use crate::auth::Mechanism;
use crate::dialogue::Dialogue;
use crate::failure::SmtpCause;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    pub(crate) start_tls: bool,
    pub(crate) smtp_utf8: bool,
    pub(crate) mechanism: Option<Mechanism>,
}

impl Extensions {
    pub(crate) async fn ask(dialogue: &mut Dialogue, hello: &str) -> Result<Self, SmtpCause> {
        let mut found = Self::default();
        // The first line is the server's name.
        let mut first = true;
        let command = format!("EHLO {hello}");
        let reply = dialogue.command_with_text(&command, |text| {
            if !first {
                found.take(text);
            }
            first = false;
        });
        reply.await?.completed()?;
        Ok(found)
    }

    /// One line of the answer. Keywords are ASCII in any case (RFC 5321, 4.1.1.1); old servers
    /// write `AUTH=` for `AUTH `.
    fn take(&mut self, text: &[u8]) {
        let mut words = text
            .split(|byte| byte.is_ascii_whitespace() || *byte == b'=')
            .filter(|word| !word.is_empty());
        let is = |word: &[u8], keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        match words.next() {
            Some(word) if is(word, "STARTTLS") => self.start_tls = true,
            Some(word) if is(word, "SMTPUTF8") => self.smtp_utf8 = true,
            Some(word) if is(word, "AUTH") => {
                for mechanism in words {
                    if is(mechanism, "PLAIN") {
                        self.mechanism = Some(Mechanism::Plain);
                    } else if is(mechanism, "LOGIN") {
                        self.mechanism = self.mechanism.or(Some(Mechanism::Login));
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &[&[u8]]) -> Extensions {
        let mut found = Extensions::default();
        for line in lines {
            found.take(line);
        }
        found
    }

    #[test]
    fn extensions_are_found_in_any_case_and_among_anything() {
        let lines: [&[u8]; 7] = [
            b"",
            b" ",
            b"SIZE 1000",
            b"\xff\xfe",
            b"starttls",
            b"SmtpUtf8 ignored",
            b"auth CRAM-MD5 login plain",
        ];
        let all =
            Extensions { start_tls: true, smtp_utf8: true, mechanism: Some(Mechanism::Plain) };
        assert_eq!(found(&lines), all);
    }

    #[test]
    fn plain_goes_before_login_and_login_before_nothing() {
        let mechanism = |line: &str| found(&[line.as_bytes()]).mechanism;
        assert_eq!(mechanism("AUTH PLAIN LOGIN"), Some(Mechanism::Plain));
        assert_eq!(mechanism("AUTH LOGIN PLAIN"), Some(Mechanism::Plain));
        assert_eq!(mechanism("AUTH=LOGIN"), Some(Mechanism::Login));
        assert_eq!(mechanism("AUTH XOAUTH2"), None);
        assert_eq!(mechanism("AUTHPLAIN PLAIN"), None);
        assert_eq!(found(&[b"AUTH LOGIN", b"AUTH=PLAIN"]).mechanism, Some(Mechanism::Plain));
    }

    #[test]
    fn look_alikes_are_not_extensions() {
        assert_eq!(
            found(&[b"XSTARTTLS", b"STARTTLSX", b"SMTPUTF-8", b"OK STARTTLS"]),
            Extensions::default()
        );
    }
}
