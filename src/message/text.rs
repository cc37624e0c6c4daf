//! The finished texts. They hold the code, so they are treated as the code is (`I-22`).

use std::fmt;

use zeroize::Zeroizing;

/// An email, ready for a mail library: one subject and the same message as plain text and as HTML.
///
/// No header can be broken out of with the subject: it is one line without control characters. The HTML loads nothing, links to
/// nothing and runs nothing. Not `Clone`, and `Debug` is redacted: it may hold the code.
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

/// The text of one SMS, lines ended by `\n` and none at the end. Not `Clone`, and `Debug` is redacted: it may hold the code.
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
/// use countersign::message::EmailWords;
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

    /// Puts the code in.
    pub(super) fn render(&self, language: &str, code: &str) -> EmailText {
        let mut text = Zeroizing::new(String::with_capacity(1024));
        let mut html = Zeroizing::new(String::with_capacity(2048));
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
                    html.push_str("<p style=\"font-family:monospace;font-size:2em;letter-spacing:0.1em\">");
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
