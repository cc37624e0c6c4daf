//! Replies of the server: bytes within bounds, judged by their code alone (RFC 5321, 4.2).

use std::fmt;

use crate::failure::SmtpCause;

/// The longest line of a reply, in bytes with its end. RFC 5321 promises 512.
pub(crate) const MAX_LINE: usize = 2048;
/// How many lines a reply may have.
const MAX_LINES: usize = 128;
/// How many bytes a reply may have in all its lines.
const MAX_REPLY: usize = 65_536;

/// A reply without its text, which nothing but the list of extensions is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
}

impl Reply {
    /// The server has done what it was asked for (2yz).
    pub(crate) const fn completed(self) -> Result<(), SmtpCause> {
        match self.code {
            200..300 => Ok(()),
            _ => Err(self.refused()),
        }
    }

    /// The server waits for the rest (3yz).
    pub(crate) const fn go_on(self) -> Result<(), SmtpCause> {
        match self.code {
            300..400 => Ok(()),
            _ => Err(self.refused()),
        }
    }

    const fn refused(self) -> SmtpCause {
        match self.code {
            400.. => SmtpCause::Refused { reply: self.code, enhanced: self.enhanced },
            _ => SmtpCause::OutOfTurn,
        }
    }
}

/// A reply of which some lines have been read.
#[derive(Default)]
pub(crate) struct Unfinished {
    first: Option<Reply>,
    lines: usize,
    bytes: usize,
}

impl Unfinished {
    /// Takes the next line, with or without its end. Gives the text of the line, and the reply once
    /// it is complete.
    pub(crate) fn take<'a>(
        &mut self,
        line: &'a [u8],
    ) -> Result<(&'a [u8], Option<Reply>), SmtpCause> {
        self.lines = self.lines.saturating_add(1);
        self.bytes = self.bytes.saturating_add(line.len());
        if line.len() > MAX_LINE || self.lines > MAX_LINES || self.bytes > MAX_REPLY {
            return Err(SmtpCause::TooLong);
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (code, rest) = line.split_at_checked(3).ok_or(SmtpCause::Malformed)?;
        let code =
            number(code).filter(|code| (200..600).contains(code)).ok_or(SmtpCause::Malformed)?;
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(SmtpCause::Malformed),
        };
        let first = *self
            .first
            .get_or_insert(Reply { code, enhanced: EnhancedCode::at_the_start_of(text) });
        // All lines carry the same code. Of two codes, none may be believed.
        if first.code != code {
            return Err(SmtpCause::Malformed);
        }
        Ok((text, last.then_some(first)))
    }
}

/// An enhanced status code (RFC 3463), such as `5.7.133`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnhancedCode {
    class: u16,
    subject: u16,
    detail: u16,
}

impl EnhancedCode {
    /// The class: 2 for success, 4 for a failure that may pass, 5 for one that will not.
    pub const fn class(self) -> u16 {
        self.class
    }

    /// What it is about, for example 1 for an address and 7 for a policy. At most 999.
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// The detail. At most 999.
    pub const fn detail(self) -> u16 {
        self.detail
    }

    /// Exactly the form of RFC 3463, so that nothing else passes for a code.
    fn at_the_start_of(text: &[u8]) -> Option<Self> {
        let word = text.split(u8::is_ascii_whitespace).next()?;
        let mut parts = word.split(|byte| *byte == b'.');
        let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
        let class = number(class).filter(|class| [2, 4, 5].contains(class))?;
        let code = Self { class, subject: number(subject)?, detail: number(detail)? };
        parts.next().is_none().then_some(code)
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// One to three digits, and no zero before another digit.
fn number(digits: &[u8]) -> Option<u16> {
    let plain = matches!(digits, [_] | [b'1'..=b'9', _] | [b'1'..=b'9', _, _]);
    let plain = plain && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| {
        digits
            .iter()
            .fold(0_u16, |sum, digit| sum.saturating_mul(10).saturating_add(u16::from(digit & 15)))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&[u8]]) -> Result<Option<Reply>, SmtpCause> {
        let mut unfinished = Unfinished::default();
        let mut reply = None;
        for line in lines {
            assert_eq!(reply, None, "lines after the last");
            reply = unfinished.take(line)?.1;
        }
        Ok(reply)
    }

    fn code(line: &[u8]) -> Option<u16> {
        read(&[line]).unwrap().map(|reply| reply.code)
    }

    /// RFC 5321, 4.2: any text, and none, is acceptable.
    #[test]
    fn any_text_and_none_is_a_reply() {
        for line in
            [&b"250"[..], b"250\r\n", b"250\n", b"250 \r\n", b"250 f\xfcr\r\n", b"250 \0\xff\r\r\n"]
        {
            assert_eq!(code(line), Some(250), "{line:?}");
        }
        assert_eq!(code(b"354\r\n"), Some(354));
        assert_eq!(code(b"250-more\r\n"), None);
        let several: [&[u8]; 4] =
            [b"550-Empf\xe4nger\r\n", b"550-\r\n", b"550-5.1.1\r\n", b"550\r\n"];
        assert_eq!(read(&several).unwrap().unwrap().code, 550);
    }

    #[test]
    fn what_is_no_reply_is_not_taken_for_one() {
        let lines: [&[u8]; 13] = [
            b"",
            b"\r\n",
            b"25",
            b"25\r\n",
            b"2500\r\n",
            b"250+\r\n",
            b"250\tok\r\n",
            b" 250 ok\r\n",
            b"2 50\r\n",
            b"100 early\r\n",
            b"600 late\r\n",
            b"\xef\xbb\xbf250 ok\r\n",
            b"HTTP/1.1 400 Bad Request\r\n",
        ];
        for line in lines {
            assert_eq!(read(&[line]), Err(SmtpCause::Malformed), "{line:?}");
        }
        assert_eq!(read(&[b"250-a\r\n", b"550 b\r\n"]), Err(SmtpCause::Malformed), "two codes");
    }

    #[test]
    fn a_reply_is_bounded_in_each_direction() {
        let line = |length: usize| [b"250-".as_slice(), &vec![b'x'; length - 4]].concat();
        assert_eq!(read(&[&line(2048)]), Ok(None));
        assert_eq!(read(&[&line(2049)]), Err(SmtpCause::TooLong));
        let (short, long) = (line(9), line(2048));
        assert_eq!(read(&[&short[..]; 128]), Ok(None));
        assert_eq!(read(&[&short[..]; 129]), Err(SmtpCause::TooLong));
        assert_eq!(read(&[&long[..]; 32]), Ok(None));
        assert_eq!(read(&[&long[..]; 33]), Err(SmtpCause::TooLong));
    }

    #[test]
    fn the_first_digit_says_what_a_reply_means() {
        let judged = |line: &[u8]| {
            let reply = read(&[line]).unwrap().unwrap();
            (reply.completed(), reply.go_on())
        };
        let refused = |reply| Err(SmtpCause::Refused { reply, enhanced: None });
        let out_of_turn = Err(SmtpCause::OutOfTurn);
        for line in [b"200", b"250", b"251", b"252", b"299"] {
            assert_eq!(judged(line), (Ok(()), out_of_turn));
        }
        for line in [b"300", b"354", b"399"] {
            assert_eq!(judged(line), (out_of_turn, Ok(())));
        }
        assert_eq!(judged(b"400"), (refused(400), refused(400)));
        assert_eq!(judged(b"599"), (refused(599), refused(599)));
    }

    /// RFC 3463, 2. I-22: nothing else in a text passes for a code.
    #[test]
    fn an_enhanced_code_has_one_to_three_digits_in_each_part() {
        let found = |text: &str| {
            EnhancedCode::at_the_start_of(text.as_bytes()).map(|code| code.to_string())
        };
        for text in ["5.1.1", "5.7.133", "5.7.28", "4.4.5", "2.0.0", "5.123.456", "4.999.0"] {
            assert_eq!(found(text).as_deref(), Some(text));
            assert_eq!(found(&format!("{text} <alice@example.com>: no")).as_deref(), Some(text));
        }
        for text in [
            "",
            " 5.1.1",
            "alice@example.com",
            "5.1",
            "5.1.1.1",
            "5.1.1.",
            "5..1",
            "5.1.1234",
            "5.1234.1",
            "05.1.1",
            "5.01.1",
            "5.1.01",
            "5.1.1:",
            "5.1.1<alice>",
            "555.123.456",
            "3.1.1",
            "5.1.\u{661}",
            "836194",
        ] {
            assert_eq!(found(text), None, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// I-37.
        #[test]
        fn no_bytes_make_the_reader_panic_or_go_on_for_ever(
            lines in prop::collection::vec(
                (0_u16..700, prop::sample::select(vec!["-", "-", "-", " ", "", "x"]), any::<[u8; 4]>()),
                0..300,
            ),
            noise in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut unfinished = Unfinished::default();
            let line = |(code, sign, text): &(u16, &str, [u8; 4])| {
                [code.to_string().as_bytes(), sign.as_bytes(), text].concat()
            };
            let more = |line: Vec<u8>| matches!(unfinished.take(&line), Ok((_, None)));
            let taken = lines.iter().map(line).map(more).take_while(|more| *more).count();
            prop_assert!(taken <= MAX_LINES);
            let _ = Unfinished::default().take(&noise);
        }
    }
}
