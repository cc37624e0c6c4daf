//! Two parsers of origin-bound codes that share nothing with the library: the algorithm of the
//! specification, step by step, and the looser search of a browser.

/// "Parse an origin-bound one-time code message" (WICG, section 3.2), without the embedded host.
pub(crate) fn parse(message: &str) -> Option<(String, String)> {
    let normalised = message.replace("\r\n", "\n").replace('\r', "\n");
    let line: Vec<char> = normalised.split('\n').next_back()?.chars().collect();
    let mut position = 0;
    let host = marked_token(&line, &mut position, '@')?;
    if line.get(position) != Some(&' ') {
        return None;
    }
    position += 1;
    let code = marked_token(&line, &mut position, '#')?;
    Some((host, code))
}

fn marked_token(line: &[char], position: &mut usize, marker: char) -> Option<String> {
    if line.get(*position) != Some(&marker) {
        return None;
    }
    *position += 1;
    let mut token = String::new();
    while let Some(c) =
        line.get(*position).filter(|c| !matches!(c, '\t' | '\n' | '\u{c}' | '\r' | ' '))
    {
        token.push(*c);
        *position += 1;
    }
    (!token.is_empty()).then_some(token)
}

/// The first `@host #code` after white space or at the start, wherever it stands: what one browser
/// looks for.
pub(crate) fn first_anywhere(message: &str) -> Option<(String, String)> {
    let mut previous: Option<char> = None;
    for (at, c) in message.char_indices() {
        if c == '@' && previous.is_none_or(char::is_whitespace) {
            let rest = &message[at + 1..];
            let host: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
                .collect();
            if let Some(after) = rest[host.len()..].strip_prefix(" #") {
                let code: String =
                    after.chars().take_while(|c| *c != '#' && !c.is_whitespace()).collect();
                if !host.is_empty() && !code.is_empty() {
                    return Some((host, code));
                }
            }
        }
        previous = Some(c);
    }
    None
}

#[test]
fn the_parsers_agree_with_the_examples_of_the_specification() {
    let found = |host: &str, code: &str| Some((host.to_owned(), code.to_owned()));
    let good = "747723 is your ExampleCo authentication code.\n\n@example.com #747723";
    assert_eq!(parse(good), found("example.com", "747723"));
    assert_eq!(first_anywhere(good), found("example.com", "747723"));
    assert_eq!(
        parse("@example.com #747723 %ecommerce.example $future"),
        found("example.com", "747723")
    );
    assert_eq!(parse("something @example.com #747723"), None);
    assert_eq!(first_anywhere("something @example.com #747723"), found("example.com", "747723"));
    assert_eq!(parse("#747723 %ecommerce.example @example.com"), None);
    assert_eq!(parse("@example.com code #747723"), None);
    assert_eq!(parse("@example.com #747723\n"), None);
}
