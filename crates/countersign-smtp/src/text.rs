//! The text of a message as it stands between `DATA` and the final dot.

use zeroize::Zeroizing;

/// What ends the text.
pub(crate) const END: &[u8] = b".\r\n";

/// The text with CR LF at the end of every line, and with a dot before each line that begins with
/// one (RFC 5321, 4.5.2).
///
/// A lone CR or LF becomes CR LF, so that no server can see a line, and with it an end of the text,
/// where another sees none.
pub(crate) fn transparent(text: &[u8]) -> Zeroizing<Vec<u8>> {
    // Room for the worst case, so that growing leaves no copy of the code behind.
    let mut out =
        Zeroizing::new(Vec::with_capacity(text.len().saturating_mul(2).saturating_add(2)));
    let mut at_start = true;
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\r' || byte == b'\n' {
            if byte == b'\r' {
                bytes.next_if_eq(&b'\n');
            }
            out.extend_from_slice(b"\r\n");
            at_start = true;
            continue;
        }
        if at_start && byte == b'.' {
            out.push(b'.');
        }
        out.push(byte);
        at_start = false;
    }
    if !at_start {
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_end_by_cr_lf_and_dots_at_their_start_are_doubled() {
        for (text, wire) in [
            (&b""[..], &b""[..]),
            (b"a", b"a\r\n"),
            (b"a\r\n", b"a\r\n"),
            (b"a\r\n\r\n", b"a\r\n\r\n"),
            (b".", b"..\r\n"),
            (b".a.\r\n.\r\n..\r\nb.", b"..a.\r\n..\r\n...\r\nb.\r\n"),
            (b"a\n.\nb\r.\rc\r\n", b"a\r\n..\r\nb\r\n..\r\nc\r\n"),
            (b"a\r\r\n.\r\n\n", b"a\r\n\r\n..\r\n\r\n"),
        ] {
            assert_eq!(*transparent(text), wire, "{text:?}");
        }
    }

    proptest! {
        /// What a server reads is what was written, and the text never ends before its end.
        #[test]
        fn the_server_reads_what_was_written(text in "[.ab\\r\\n]{0,40}") {
            let wire = transparent(text.as_bytes());
            let capacity = wire.capacity();
            prop_assert!(wire.len() <= capacity && capacity <= text.len() * 2 + 8, "it never grew");
            let wire = std::str::from_utf8(&wire).unwrap();
            prop_assert!(!wire.replace("\r\n", "").contains(['\r', '\n']));
            let mut read = String::new();
            for line in wire.split_terminator("\r\n") {
                prop_assert_ne!(line, ".");
                read.push_str(line.strip_prefix('.').unwrap_or(line));
                read.push('\n');
            }
            let mut written = text.replace("\r\n", "\n").replace('\r', "\n");
            if !written.is_empty() && !written.ends_with('\n') {
                written.push('\n');
            }
            prop_assert_eq!(read, written);
        }
    }
}
