//! The cookies of a request, as bytes: one that is no text hides no other.

use http::{HeaderMap, header};

/// The one value of this cookie. `None` also if there are two: of a cookie whose name begins with
/// `__Host-` no browser sends two by itself.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = cookies(headers).filter(|(found, _)| *found == name.as_bytes());
    match (values.next(), values.next()) {
        (Some((_, value)), None) => std::str::from_utf8(value).ok(),
        _ => None,
    }
}

/// Names and values, in the order in which they were sent: those that were made first come first.
///
/// Only spaces and tabs are cut from a name, as servers and browsers do: with more, one name could
/// pass for another.
pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(at)?;
        Some((trim(name), trim(value.get(1..)?)))
    })
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
