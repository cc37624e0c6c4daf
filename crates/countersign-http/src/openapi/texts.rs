//! The texts in the bodies: ids, times and reasons.

use std::borrow::Cow;

use countersign::Reason;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::openapi::operations::{NO_CODE, PLAIN, reasons};

/// A schema of text, with its name, its form and what it is.
macro_rules! text {
    ($name:ident, $about:literal, $example:literal, $build:expr) => {
        #[derive(Serialize)]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String);
                let build: fn(ObjectBuilder) -> ObjectBuilder = $build;
                build(text).description(Some($about)).examples([Value::from($example)]).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

text!(Timestamp, "A moment in UTC, in RFC 3339.", "2027-01-16T08:03:00Z", |text| {
    text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
});
text!(
    Id,
    "16 random bytes in base64url. It authenticates nothing.",
    "hfHgbb2stogG-GacWso1ag",
    |text| { text.pattern(Some(ID)) }
);
text!(UserId, "A user within the tenant, as the application names it.", "alice", |text| {
    text.min_length(Some(1)).max_length(Some(128))
});
text!(
    Masked,
    "An email address or phone number with most of it hidden.",
    "a***@example.com",
    |text| text
);

/// One of these texts.
macro_rules! one_of {
    ($name:ident, $about:literal, $texts:expr) => {
        #[derive(Serialize)]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some($texts))
                    .description(Some($about))
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

one_of!(DeniedReason, "Why a step was refused: a stable code to translate from.", reasons());
one_of!(NoCodeReason, "Why no code was made.", NO_CODE.map(Reason::code));
one_of!(PlainReason, "Why a request was refused before anything was looked at.", PLAIN);

/// The form of an id that is drawn at random.
pub(crate) const ID: &str = "^[A-Za-z0-9_-]{21}[AQgw]$";
