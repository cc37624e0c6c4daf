//! The finished texts. They hold the code, so they are treated as the code is (`I-22`).

use std::fmt;

use zeroize::Zeroizing;

/// An email, ready for a mail library: one subject and the same message as plain text and as HTML.
///
/// No header can be broken out of with the subject: it is one line without control characters. The
/// HTML loads nothing, links to nothing and runs nothing. Not `Clone`, and `Debug` is redacted: it
/// may hold the code.
pub struct EmailText {
    pub(super) subject: String,
    pub(super) text: Zeroizing<String>,
    pub(super) html: Zeroizing<String>,
}

impl EmailText {
    /// The subject. It never holds the code.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The plain text, lines ended by `\n`.
    pub fn expose_text(&self) -> &str {
        &self.text
    }

    /// The same as a complete HTML document.
    pub fn expose_html(&self) -> &str {
        &self.html
    }
}

impl fmt::Debug for EmailText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailText(redacted)")
    }
}

/// The text of one SMS, lines ended by `\n` and none at the end. Not `Clone`, and `Debug` is
/// redacted: it may hold the code.
pub struct SmsText(pub(super) Zeroizing<String>);

impl SmsText {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What it costs.
    pub fn segments(&self) -> super::Segments {
        super::Segments::of(&self.0)
    }
}

impl fmt::Debug for SmsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmsText(redacted)")
    }
}

/// The words of an email, before the code is put in.
///
/// ```
/// use countersign_delivery::message::EmailWords;
///
/// let words = EmailWords::new("Your code for Example").paragraph("Your code:").code().paragraph("It works for 3 minutes.");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailWords {
    pub(super) subject: String,
    pub(super) blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Paragraph(String),
    Code,
}

impl EmailWords {
    /// An email with this subject and nothing in it yet.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), blocks: Vec::new() }
    }

    /// Adds a paragraph of plain text. It is escaped where it becomes HTML.
    #[must_use]
    pub fn paragraph(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Paragraph(text.into()));
        self
    }

    /// Adds the line on which the code stands alone.
    #[must_use]
    pub fn code(mut self) -> Self {
        self.blocks.push(Block::Code);
        self
    }

    /// How many bytes text and HTML have at most: a text that grows leaves a copy of the code
    /// behind.
    fn room(&self, language: &str, code: &str) -> (usize, usize) {
        let lengths = self.blocks.iter().map(|block| match block {
            Block::Paragraph(paragraph) => paragraph.len(),
            Block::Code => code.len(),
        });
        let words: usize = lengths.sum();
        // Line breaks, and the tags around each block and around all.
        let around = |each: usize| self.blocks.len().saturating_mul(each);
        let escaped = words.saturating_add(self.subject.len()).saturating_add(language.len());
        let html =
            escaped.saturating_mul(LONGEST_ESCAPE).saturating_add(around(100)).saturating_add(300);
        (words.saturating_add(around(2)), html)
    }

    /// Puts the code in.
    pub(super) fn render(&self, language: &str, code: &str) -> EmailText {
        let (text_room, html_room) = self.room(language, code);
        let mut text = Zeroizing::new(String::with_capacity(text_room));
        let mut html = Zeroizing::new(String::with_capacity(html_room));
        html.push_str("<!DOCTYPE html>\n<html lang=\"");
        escape(language, &mut html);
        html.push_str(
            "\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"format-detection\" content=\"telephone=no\">\n<title>",
        );
        escape(&self.subject, &mut html);
        html.push_str("</title>\n</head>\n<body>\n");
        for block in &self.blocks {
            if !text.is_empty() {
                text.push('\n');
            }
            match block {
                Block::Paragraph(paragraph) => {
                    text.push_str(paragraph);
                    html.push_str("<p>");
                    escape(paragraph, &mut html);
                }
                Block::Code => {
                    text.push_str(code);
                    html.push_str(
                        "<p style=\"font-family:monospace;font-size:2em;letter-spacing:0.1em\">",
                    );
                    escape(code, &mut html);
                }
            }
            text.push('\n');
            html.push_str("</p>\n");
        }
        html.push_str("</body>\n</html>\n");
        EmailText { subject: self.subject.clone(), text, html }
    }
}

/// How many bytes [`escape`] makes of one, at most.
const LONGEST_ESCAPE: usize = "&quot;".len();

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `I-22`: a text that grew would leave a copy of the code where it was.
    #[test]
    fn no_text_grows_while_the_code_is_put_in() {
        for paragraph in ["x", "\"", "会", "<&>'\""] {
            for (count, length) in [(0, 0), (1, 1), (1, 4000), (30, 1), (30, 100)] {
                let mut words = EmailWords::new(paragraph.repeat(80)).code();
                for _ in 0..count {
                    words = words.paragraph(paragraph.repeat(length));
                }
                let (text, html) = words.room("zh-Hant-TW", "836194");
                let email = words.render("zh-Hant-TW", "836194");
                assert!(
                    email.text.len() <= text && email.html.len() <= html,
                    "{count} {length} {paragraph}"
                );
            }
        }
    }
}
