//! What no message may contain, bundled or your own.

use super::text::{Block, EmailWords};
use super::wording::{CODE, Origin};
use countersign::input::{is_unprintable, is_visible};

/// What is wrong with a name or a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BadText {
    /// There is none.
    #[error("is empty")]
    Empty,
    /// It is longer than this many characters.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// It has a line break, another control character, or a mark that changes the direction of
    /// text; a name, also a character that a reader can't see.
    #[error("has a line break or another character that is not allowed in it")]
    ForbiddenCharacter,
    /// It begins or ends with a space.
    #[error("begins or ends with a space")]
    Untrimmed,
    /// It has an `@`, which a browser could take for the origin that a code is bound to, or a
    /// brace, which marks the code.
    #[error("has an at sign or a brace")]
    Sigil,
    /// It has a number that could be taken for the code.
    #[error("has a number that could be taken for the code")]
    Number,
    /// It has a link, or something that mail programs and phones turn into one, such as
    /// `example.com`.
    #[error("has a link or something that is shown as one")]
    Link,
    /// The code is missing, or is there more than once, or stands where there is none.
    #[error("does not have the code exactly once")]
    Code,
    /// It takes several SMS, of this many septets or UTF-16 units together.
    #[error("takes {units} units and more than one sms")]
    SeveralSms {
        /// How many units.
        units: usize,
    },
}

/// The digits that a code message may have in a row beside the code, and those that a notice may
/// have (a year has four).
const DIGITS_BESIDE_A_CODE: usize = 3;
const DIGITS_IN_A_NOTICE: usize = 5;

/// The application's name stands in headers, in the one SMS and beside the code.
pub(super) fn name(text: &str) -> Result<(), BadText> {
    check_shown_name(text)?;
    words(text, DIGITS_BESIDE_A_CODE)
}

/// Checks a name that people see beside a message, such as the one beside a sender's address: 1 to
/// 80 characters that a reader can see, or spaces, none of them first or last.
///
/// An application's name is checked so by
/// [`MessagesBuilder::build`](super::MessagesBuilder::build), and for links and numbers too.
///
/// # Errors
///
/// [`BadText`]: [`Empty`](BadText::Empty) also for spaces alone, and
/// [`ForbiddenCharacter`](BadText::ForbiddenCharacter) for controls, invisible characters
/// (`U+200B`, variation selectors), marks that change the direction of text, and what is unassigned
/// or for private use.
///
/// ```
/// use countersign_delivery::message::{BadText, check_shown_name};
///
/// assert_eq!(check_shown_name("Example Security"), Ok(()));
/// assert_eq!(check_shown_name("Example\u{200b}"), Err(BadText::ForbiddenCharacter));
/// ```
pub fn check_shown_name(name: &str) -> Result<(), BadText> {
    one_line(name, 80)?;
    // The ideographic space is the ordinary one in Japanese names.
    let shown = |c| matches!(c, ' ' | '\u{3000}') || is_visible(c);
    if name.chars().all(shown) { Ok(()) } else { Err(BadText::ForbiddenCharacter) }
}

pub(super) fn code_email(words: &EmailWords) -> Result<(), BadText> {
    email(words, DIGITS_BESIDE_A_CODE, 1)
}

pub(super) fn notice_email(words: &EmailWords, from: &Origin) -> Result<(), BadText> {
    let EmailWords { subject, blocks } = words;
    let blocks = blocks.iter().map(|block| match block {
        Block::Paragraph(text) => Block::Paragraph(without_address(text, from)),
        Block::Code => Block::Code,
    });
    email(&EmailWords { subject: subject.clone(), blocks: blocks.collect() }, DIGITS_IN_A_NOTICE, 0)
}

/// The text without the client's address, which is made of numbers and is not taken for the code.
fn without_address(text: &str, from: &Origin) -> String {
    match from.address {
        Some(address) => text.replace(&address.to_string(), "x"),
        None => text.to_owned(),
    }
}

fn email(email: &EmailWords, digits: usize, codes: usize) -> Result<(), BadText> {
    one_line(&email.subject, 200)?;
    words(&email.subject, digits)?;
    for block in &email.blocks {
        if let Block::Paragraph(text) = block {
            lines(text, 4000)?;
            words(text, digits)?;
        }
    }
    if email.blocks.iter().filter(|block| **block == Block::Code).count() == codes {
        Ok(())
    } else {
        Err(BadText::Code)
    }
}

/// The template of a code by SMS: the code is still its mark.
pub(super) fn code_sms(template: &str) -> Result<(), BadText> {
    lines(template, 1000)?;
    match template.split_once(CODE) {
        Some((before, after)) if !after.contains(CODE) => {
            // A digit next to the code would become part of it.
            if before.chars().next_back().is_some_and(is_digit)
                || after.chars().next().is_some_and(is_digit)
            {
                return Err(BadText::Number);
            }
            words(before, DIGITS_BESIDE_A_CODE)?;
            words(after, DIGITS_BESIDE_A_CODE)
        }
        _ => Err(BadText::Code),
    }
}

pub(super) fn notice_sms(text: &str, from: &Origin) -> Result<(), BadText> {
    lines(text, 1000)?;
    words(&without_address(text, from), DIGITS_IN_A_NOTICE)
}

fn one_line(text: &str, most: usize) -> Result<(), BadText> {
    lines(text, most)?;
    if text.contains('\n') { Err(BadText::ForbiddenCharacter) } else { Ok(()) }
}

fn lines(text: &str, most: usize) -> Result<(), BadText> {
    if text.trim().is_empty() {
        return Err(BadText::Empty);
    }
    if text.chars().count() > most {
        return Err(BadText::TooLong(most));
    }
    if text.chars().any(|c| c != '\n' && is_unprintable(c)) {
        return Err(BadText::ForbiddenCharacter);
    }
    if text.trim() == text { Ok(()) } else { Err(BadText::Untrimmed) }
}

fn words(text: &str, digits: usize) -> Result<(), BadText> {
    if text.contains(['@', '{', '}']) {
        return Err(BadText::Sigil);
    }
    if longest_number(text) > digits {
        return Err(BadText::Number);
    }
    if is_link(text) { Err(BadText::Link) } else { Ok(()) }
}

/// The most digits that follow each other, be they split by spaces, hyphens or dots as people split
/// codes. Digits of all scripts count.
pub(super) fn longest_number(text: &str) -> usize {
    let (mut longest, mut run) = (0_usize, 0_usize);
    for c in text.chars() {
        if is_digit(c) {
            run = run.saturating_add(1);
            longest = longest.max(run);
        } else if !matches!(
            c,
            ' ' | '\u{a0}' | '\u{3000}' | '-' | '\u{2010}'..='\u{2015}' | '.' | '_'
        ) {
            run = 0;
        }
    }
    longest
}

fn is_digit(c: char) -> bool {
    c.is_numeric() && !('\u{2E80}'..='\u{9FFF}').contains(&c)
}

/// A link, or what phones and mail programs make one of: a scheme, `www.`, or a name such as
/// `example.com`.
pub(super) fn is_link(text: &str) -> bool {
    let text = text.to_lowercase();
    if ["://", "www.", "mailto:", "tel:", "sms:"].iter().any(|mark| text.contains(mark)) {
        return true;
    }
    let mut before: Option<char> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if matches!(c, '.' | '．') && before.is_some_and(|b| b.is_ascii_alphanumeric()) {
            let letters = rest.as_str().chars().take_while(char::is_ascii_alphabetic).count();
            if letters >= 2 {
                return true;
            }
        }
        before = Some(c);
    }
    false
}

/// A host name as it stands in a URL: lower case, labels of letters, digits and hyphens,
/// international ones as `xn--`.
pub(super) fn host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label that begins with a digit is read as part of an IPv4 address.
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && text.split('.').all(label)
        && (text.contains('.') || text == "localhost")
        && !last.starts_with(|c: char| c.is_ascii_digit())
}

/// What of a device's name may stand in a notice. Anyone with the password and one code chooses
/// that name, and the mail goes to the owner: so no links, no numbers to call, no line of its own.
pub(super) fn device_name(label: &str) -> Option<String> {
    const MOST: usize = 40;
    let kept: String = label
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '-' | '_' | '\'' | '(' | ')' | '+' | ',') {
                c
            } else {
                ' '
            }
        })
        .collect();
    let name: Vec<&str> = kept.split_whitespace().collect();
    let name: String = name.join(" ").chars().take(MOST).collect();
    let name = name.trim();
    (!name.is_empty() && !could_be_called(name) && !is_link(name)).then(|| name.to_owned())
}

/// Whether a name has a number to call, in whatever digits: as people write a phone number, nothing
/// but a letter ends it.
fn could_be_called(name: &str) -> bool {
    let (mut longest, mut run) = (0_usize, 0_usize);
    for c in name.chars() {
        if c.is_numeric() || is_numeral_of_words(c) {
            run = run.saturating_add(1);
            longest = longest.max(run);
        } else if c.is_alphabetic() {
            run = 0;
        }
    }
    longest > DIGITS_IN_A_NOTICE
}

/// The letters that stand for a digit where a number is read out: Chinese and Japanese ones, and
/// Korean ones.
const fn is_numeral_of_words(c: char) -> bool {
    matches!(
        c,
        '一' | '二'
            | '三'
            | '四'
            | '五'
            | '六'
            | '七'
            | '八'
            | '九'
            | '零'
            | '壱'
            | '壹'
            | '弌'
            | '弐'
            | '貳'
            | '贰'
            | '参'
            | '參'
            | '叁'
            | '弎'
            | '肆'
            | '伍'
            | '陸'
            | '陆'
            | '漆'
            | '柒'
            | '捌'
            | '玖'
            | '幺'
            | '両'
            | '两'
            | '공'
            | '영'
            | '일'
            | '이'
            | '삼'
            | '사'
            | '오'
            | '육'
            | '륙'
            | '칠'
            | '팔'
            | '구'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_mislead_are_refused() {
        for good in [
            "Example",
            "Office 365",
            "Tom & Jerry <beta>",
            "会計システム",
            "C# School",
            "St. Mary's",
            "Café (EU)",
        ] {
            assert_eq!(name(good), Ok(()), "{good:?}");
        }
        for (bad, why) in [
            ("", BadText::Empty),
            ("   ", BadText::Empty),
            (" Example", BadText::Untrimmed),
            ("Example\nYour code is 1", BadText::ForbiddenCharacter),
            ("Example\r\nBcc: x", BadText::ForbiddenCharacter),
            ("Exa\u{202e}mple", BadText::ForbiddenCharacter),
            ("Exam\u{2028}ple", BadText::ForbiddenCharacter),
            ("Bank 1234", BadText::Number),
            ("Bank 12-34", BadText::Number),
            ("Bank 1 2 3 4", BadText::Number),
            ("Bank １２３４", BadText::Number),
            ("Bank ١٢٣٤", BadText::Number),
            ("example.com", BadText::Link),
            ("Visit www.example", BadText::Link),
            ("https://x", BadText::Link),
            ("@example", BadText::Sigil),
            ("x {code}", BadText::Sigil),
        ] {
            assert_eq!(name(bad), Err(why), "{bad:?}");
        }
        for long in ["x", "会", "é", "𠮷"] {
            assert_eq!(name(&long.repeat(80)), Ok(()), "{long}");
            assert_eq!(name(&long.repeat(81)), Err(BadText::TooLong(80)), "{long}");
        }
    }

    /// `I-33`: no name looks like another one, or like none.
    #[test]
    fn names_with_characters_that_nobody_sees_are_refused() {
        for good in ["株式会社　例", "Café", "نمونه", "Exa-mple ☕", "🐟"] {
            assert_eq!((check_shown_name(good), name(good)), (Ok(()), Ok(())), "{good:?}");
        }
        for hidden in [
            '\u{ad}',
            '\u{34f}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{2060}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{e0041}',
            '\u{e000}',
            '\u{f8ff}',
            '\u{f0000}',
            '\u{fdd0}',
            '\u{fffe}',
            '\u{10ffff}',
            '\u{378}',
            '\u{fffd}',
            '\u{fffc}',
            '\u{200e}',
            '\u{202e}',
            '\u{2066}',
            '\u{61c}',
            '\u{2028}',
            '\u{a0}',
            '\u{2003}',
            '\0',
            '\t',
            '\n',
            '\r',
            '\u{7f}',
            '\u{85}',
        ] {
            let bad = format!("Exam{hidden}ple");
            assert_eq!(check_shown_name(&bad), Err(BadText::ForbiddenCharacter), "{hidden:?}");
            assert_eq!(name(&bad), Err(BadText::ForbiddenCharacter), "{hidden:?}");
            for bad in [format!("Example{hidden}"), format!("{hidden}Example"), hidden.to_string()]
            {
                assert!(name(&bad).is_err() && check_shown_name(&bad).is_err(), "{hidden:?}");
            }
        }
        for blank in ["", " ", "\u{3000}", " \u{3000} "] {
            assert_eq!(check_shown_name(blank), Err(BadText::Empty), "{blank:?}");
        }
        for untrimmed in [" x", "x ", "\u{3000}x"] {
            assert_eq!(check_shown_name(untrimmed), Err(BadText::Untrimmed), "{untrimmed:?}");
        }
    }

    #[test]
    fn hosts_are_host_names_and_nothing_else() {
        for good in [
            "example.com",
            "login.example.co.jp",
            "xn--r8jz45g.jp",
            "localhost",
            "a-b.example",
            "1.example",
        ] {
            assert!(host(good), "{good}");
        }
        for bad in [
            "",
            "example",
            "Example.com",
            "https://example.com",
            "example.com:443",
            "example.com/",
            "example.com #000000",
            "example.com\n",
            "例え.jp",
            "-a.example",
            "a-.example",
            "a..example",
            ".example",
            "example.",
            "127.0.0.1",
            "[::1]",
            "a_b.example",
            "@example.com",
        ] {
            assert!(!host(bad), "{bad:?}");
        }
        assert!(!host(&format!("{}.example", "a".repeat(64))));
    }

    #[test]
    fn device_names_lose_what_could_mislead() {
        let shown = |label| device_name(label);
        assert_eq!(shown("Office laptop").as_deref(), Some("Office laptop"));
        assert_eq!(shown("花子のiPhone 15").as_deref(), Some("花子のiPhone 15"));
        assert_eq!(
            shown("see https://evil.example/a").as_deref(),
            Some("see https evil example a")
        );
        assert_eq!(shown("mail me@evil.example").as_deref(), Some("mail me evil example"));
        assert_eq!(shown("call 555 123 4567"), None);
        assert_eq!(shown("code 123456"), None);
        for (called, number) in [
            ("kanji", "電話〇九〇一二三四五六七八"),
            ("formal kanji", "零玖零壱弐参肆伍陸漆捌"),
            ("hangul", "공일공일이삼사오육칠팔"),
            ("full width", "０９０−１２３４−５６７８"),
            ("in brackets", "(090)(1234)+5678"),
            ("in circles", "①②③④⑤⑥⑦"),
            ("in an ideograph's circle", "㊀㊁㊂㊃㊄㊅"),
            ("mixed", "０九0 一２3四"),
            ("Arabic", "٠٩٠١٢٣٤٥"),
        ] {
            assert_eq!(shown(number), None, "{called}");
        }
        for name in ["三四郎の電話", "이삼이의 전화", "五十嵐 一二三", "Galaxy S24 512"]
        {
            assert_eq!(shown(name).as_deref(), Some(name));
        }
        assert_eq!(shown("<b>{code}</b>").as_deref(), Some("b code b"));
        assert_eq!(shown("://"), None);
        assert_eq!(device_name(&"x".repeat(100)).map(|name| name.len()), Some(40));
    }

    #[test]
    fn a_template_has_the_code_once_and_no_digit_beside_it() {
        assert_eq!(code_sms("{code} is your code."), Ok(()));
        assert_eq!(code_sms("Your code."), Err(BadText::Code));
        assert_eq!(code_sms("{code} {code}"), Err(BadText::Code));
        assert_eq!(code_sms("1{code}"), Err(BadText::Number));
        assert_eq!(code_sms("{code} or 123456"), Err(BadText::Number));
        assert_eq!(code_sms("{code}\n@evil.example #123"), Err(BadText::Sigil));
        assert_eq!(code_sms("{code} {x}"), Err(BadText::Sigil));
    }
}
