//! What the library refuses before it does any work: empty, over-long or unprintable input (`I-33`,
//! `I-40`).

use thiserror::Error;

pub use crate::unicode::is_visible;

/// A value that was refused before anything was read, counted or saved.
///
/// Carries which field and what is wrong with it, never the value itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("{field} {problem}")]
pub struct InvalidInput {
    field: Field,
    problem: Problem,
}

impl InvalidInput {
    pub(crate) const fn new(field: Field, problem: Problem) -> Self {
        Self { field, problem }
    }

    /// Which value was refused.
    pub const fn field(self) -> Field {
        self.field
    }

    /// What is wrong with it.
    pub const fn problem(self) -> Problem {
        self.problem
    }
}

/// The kinds of value that the library checks on their way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// A [`TenantId`](crate::TenantId).
    TenantId,
    /// A [`UserId`](crate::UserId).
    UserId,
    /// The name that a person types to log in.
    LoginName,
    /// The password that a person types to log in.
    Password,
    /// The code that a person types.
    Code,
    /// The backup code that a person types.
    BackupCode,
    /// A [`PhoneNumber`](crate::contact::PhoneNumber).
    PhoneNumber,
    /// An [`EmailAddress`](crate::contact::EmailAddress).
    EmailAddress,
    /// The key id of a [`Pepper`](crate::Pepper), or its key.
    Pepper,
    /// The reason that an operator gives.
    OperatorReason,
    /// A [`Language`](crate::user::Language) tag.
    Language,
}

impl Field {
    /// A stable code to translate from, such as `invalid_login_name`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TenantId => "invalid_tenant_id",
            Self::UserId => "invalid_user_id",
            Self::LoginName => "invalid_login_name",
            Self::Password => "invalid_password",
            Self::Code => "invalid_code",
            Self::BackupCode => "invalid_backup_code",
            Self::PhoneNumber => "invalid_phone_number",
            Self::EmailAddress => "invalid_email_address",
            Self::Pepper => "invalid_pepper",
            Self::OperatorReason => "invalid_operator_reason",
            Self::Language => "invalid_language",
        }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TenantId => "tenant id",
            Self::UserId => "user id",
            Self::LoginName => "login name",
            Self::Password => "password",
            Self::Code => "code",
            Self::BackupCode => "backup code",
            Self::PhoneNumber => "phone number",
            Self::EmailAddress => "email address",
            Self::Pepper => "pepper",
            Self::OperatorReason => "operator's reason",
            Self::Language => "language tag",
        })
    }
}

/// What is wrong with a refused value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Problem {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// More bytes were given than this many.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// More characters were given than this many.
    #[error("is longer than {0} characters")]
    TooManyCharacters(usize),
    /// It has a control character, a line separator or a character that changes the direction of
    /// text; in what people read, also any other character that they cannot see.
    #[error("has a character that is not allowed in it")]
    ForbiddenCharacter,
    /// It does not have the form that such a value has.
    #[error("is not well formed")]
    Malformed,
    /// It begins with a prefix that the library keeps for itself.
    #[error("begins with a reserved prefix")]
    Reserved,
}

/// Checks text that ends up in keys, headers, messages and logs.
pub(crate) fn printable(field: Field, text: &str, most: usize) -> Result<(), InvalidInput> {
    bounded(field, text, most)?;
    if text.chars().any(is_unprintable) {
        return Err(InvalidInput::new(field, Problem::ForbiddenCharacter));
    }
    Ok(())
}

/// Checks text that people read: visible characters and spaces between them, and not too many
/// characters.
pub(crate) fn visible(field: Field, text: &str, most: usize) -> Result<(), InvalidInput> {
    if text.trim().is_empty() {
        return Err(InvalidInput::new(field, Problem::Empty));
    }
    // A character has at least one byte and at most four.
    if text.len() > most.saturating_mul(4) || text.chars().count() > most {
        return Err(InvalidInput::new(field, Problem::TooManyCharacters(most)));
    }
    if !text.chars().all(|c| c == ' ' || is_visible(c)) {
        return Err(InvalidInput::new(field, Problem::ForbiddenCharacter));
    }
    Ok(())
}

/// Checks the length only: a password may hold any character (SP 800-63B-4, 3.1.1.2).
pub(crate) fn bounded(field: Field, text: &str, most: usize) -> Result<(), InvalidInput> {
    if text.is_empty() {
        return Err(InvalidInput::new(field, Problem::Empty));
    }
    if text.len() > most {
        return Err(InvalidInput::new(field, Problem::TooLong(most)));
    }
    Ok(())
}

/// Whether a character is a control character, a line or paragraph separator, or a mark that
/// reorders what a reader sees.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}
