//! AWS Signature Version 4 for a `POST` without a query, which is all that SNS needs.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// What a signature is made for and with.
pub(crate) struct Signing<'a> {
    pub(crate) access_key: &'a str,
    pub(crate) secret_key: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) at: OffsetDateTime,
}

impl Signing<'_> {
    /// The value of the header `x-amz-date`.
    pub(crate) fn date(&self) -> String {
        let at = self.at.to_utc();
        let (year, month, day) = at.to_calendar_date();
        format!(
            "{year:04}{:02}{day:02}T{:02}{:02}{:02}Z",
            u8::from(month),
            at.hour(),
            at.minute(),
            at.second()
        )
    }

    /// The value of the header `authorization`. `None` only if a key can't be made, which does not
    /// happen: HMAC takes keys of any length.
    ///
    /// Takes all headers that are signed, names in lower case, `host` and `x-amz-date` among them.
    pub(crate) fn authorization(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Zeroizing<String>> {
        let mut headers = headers.to_vec();
        headers.sort_unstable();
        let mut canonical = Zeroizing::new(String::new());
        for (name, value) in &headers {
            let value = folded(value);
            for part in [name, ":", &value, "\n"] {
                canonical.push_str(part);
            }
        }
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let request = Zeroizing::new(format!(
            "POST\n{}\n\n{}\n{names}\n{}",
            escaped(path),
            *canonical,
            hex(&Sha256::digest(body))
        ));

        let date = self.date();
        let day = date.get(..8)?;
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            hex(&Sha256::digest(request.as_bytes()))
        );
        let mut key = Zeroizing::new(format!("AWS4{}", self.secret_key).into_bytes());
        for part in [day, self.region, self.service, "aws4_request"] {
            key = keyed(&key, part)?;
        }
        let signature = hex(&keyed(&key, &to_sign)?);
        Some(Zeroizing::new(format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        )))
    }
}

fn keyed(key: &[u8], message: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(message.as_bytes());
    Some(Zeroizing::new(mac.finalize().into_bytes().to_vec()))
}

/// The path as it is signed: what is sent, escaped once more.
fn escaped(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes().fold(String::with_capacity(path.len()), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

/// Without white space at the ends, and with one space for each run of it.
fn folded(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS's published test suite: its credentials, its time and the signatures of its cases that
    /// are a `POST` to `/`.
    fn signature(headers: &[(&str, &str)], body: &str) -> String {
        let signing = Signing {
            access_key: "AKIDEXAMPLE",
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
            service: "service",
            at: OffsetDateTime::from_unix_timestamp(1_440_938_160).unwrap(),
        };
        let mut all = vec![("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        all.extend(headers);
        assert_eq!(signing.date(), "20150830T123600Z");
        let value = signing.authorization("/", &all, body.as_bytes()).unwrap();
        let (head, signature) = value.split_once(", Signature=").unwrap();
        assert!(head.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        ));
        signature.to_owned()
    }

    const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

    #[test]
    fn signatures_are_those_of_the_published_test_suite() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let hash = (
            "x-amz-content-sha256",
            "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
        );
        for (case, headers, body, expected) in [
            (
                "post-vanilla",
                &[][..],
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-header-key-sort",
                &[("my-header1", "value1")],
                "",
                "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
            ),
            (
                "post-header-value-case",
                &[("my-header1", "VALUE1")],
                "",
                "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
            ),
            (
                "post-x-www-form-urlencoded",
                &[form],
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                "post-x-www-form-urlencoded-parameters",
                &[("content-type", "application/x-www-form-urlencoded; charset=utf8")],
                "Param1=value1",
                "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
            ),
            (
                "post-x-www-form-urlencoded (signed body)",
                &[("content-length", "13"), hash, form],
                "Param1=value1",
                "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
            ),
            (
                "post-sts-header-before",
                &[("x-amz-security-token", TOKEN)],
                "",
                "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            ),
        ] {
            assert_eq!(signature(headers, body), expected, "{case}");
        }
    }

    #[test]
    fn another_body_or_header_has_another_signature() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        assert_ne!(signature(&[form], "Param1=value2"), signature(&[form], "Param1=value1"));
        assert_ne!(
            signature(&[("my-header1", "value2")], ""),
            signature(&[("my-header1", "value1")], "")
        );
    }
}
