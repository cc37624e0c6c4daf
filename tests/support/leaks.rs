//! Looks for secrets in what was printed, in the forms in which they travel.

use base64ct::{Base64, Base64Unpadded, Base64UrlUnpadded, Encoding};

/// What was printed, and what must not be in it.
#[derive(Clone, Default)]
pub struct Leaks {
    printed: String,
    secrets: Vec<String>,
}

impl Leaks {
    pub fn printed(&mut self, text: impl AsRef<str>) {
        self.printed.push_str(text.as_ref());
        self.printed.push('\n');
    }

    /// A value by `Debug`.
    pub fn debug(&mut self, value: &impl std::fmt::Debug) {
        self.printed(format!("{value:?} {value:#?}"));
    }

    /// A value by `Debug` and by serde.
    pub fn value(&mut self, value: &(impl std::fmt::Debug + serde::Serialize)) {
        self.debug(value);
        self.printed(serde_json::to_string(value).unwrap());
    }

    /// An error with its whole chain.
    pub fn error(&mut self, error: &(dyn std::error::Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.printed(format!("{error} {error:?}"));
            next = error.source();
        }
    }

    /// `text` is not to be found. Tokens lose their prefix, which is no secret.
    pub fn secret(&mut self, text: impl Into<String>) {
        let text: String = text.into();
        let bare = ["csp1.", "css1.", "csd1."]
            .iter()
            .find_map(|kind| text.strip_prefix(kind))
            .unwrap_or(&text);
        self.secrets.push(bare.to_owned());
    }

    pub fn extent(&self) -> usize {
        self.printed.len()
    }

    /// Every secret that is in what was printed, with the form in which it is.
    pub fn found(&self) -> Vec<String> {
        let printed = self.printed.to_lowercase();
        let mut found = Vec::new();
        for secret in &self.secrets {
            let mut seen: Vec<String> = Vec::new();
            for (form, text) in forms(secret) {
                if seen.contains(&text) {
                    continue;
                }
                let there = if form.starts_with("base64") {
                    self.printed.contains(&text)
                } else {
                    printed.contains(&text.to_lowercase())
                };
                if there {
                    found.push(format!("{secret} ({form})"));
                }
                seen.push(text);
            }
        }
        found
    }

    #[track_caller]
    pub fn assert_none(&self) {
        assert!(
            !self.secrets.is_empty() && self.printed.len() > 100,
            "there is something to look for, and in"
        );
        assert_eq!(self.found(), Vec::<String>::new());
    }
}

/// The forms in which a secret may turn up. A short one, such as a code of ten digits, is looked
/// for whole.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let hex = hex(bytes);
    let percent = |every: bool| -> String {
        bytes
            .iter()
            .map(|byte| match char::from(*byte) {
                c if !every && (c.is_ascii_alphanumeric() || "-._~".contains(c)) => c.to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let list =
        |separator: &str| bytes.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator);
    let mut forms = vec![
        ("raw", secret.to_owned()),
        ("without hyphens", secret.replace('-', "")),
        ("hex", hex),
        ("percent", percent(false)),
        ("all percent", percent(true)),
        ("list of bytes", list(", ")),
        ("list of bytes in JSON", list(",")),
        ("base64", Base64::encode_string(bytes)),
        ("base64 without padding", Base64Unpadded::encode_string(bytes)),
        ("base64url", Base64UrlUnpadded::encode_string(bytes)),
    ];
    // In the middle of something longer that is base64 as a whole.
    for lead in 0..3 {
        let whole = Base64UrlUnpadded::encode_string(&[&vec![0; lead][..], bytes].concat());
        // The first and the last character also hold bits of what stands beside.
        let (from, to) = (
            if lead == 0 { 0 } else { lead + 1 },
            usize::from(!(lead + bytes.len()).is_multiple_of(3)),
        );
        let inner: String = whole.chars().take(whole.len() - to).skip(from).collect();
        forms.push(("base64 inside", inner.clone()));
        forms.push(("base64 inside", inner.replace('-', "+").replace('_', "/")));
    }
    forms
}

/// Two lower-case digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|half| char::from(b"0123456789abcdef"[usize::from(half)]))
        .collect()
}
