//! The description of the endpoints in OpenAPI 3.1.

mod operations;
pub(crate) mod schemas;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::BTreeMap;

use countersign::Reason;
use http::StatusCode;
use serde_json::{Map, Value, json};

use self::operations::{OPERATIONS, Operation, Tag};
use crate::answer::status;
use crate::people::{Filter, LIMIT, MOST_LISTED};

/// The OpenAPI 3.1 description of all endpoints, as JSON. `base_path` is that of
/// [`WebBuilder::base_path`](crate::WebBuilder::base_path).
///
/// It is for both kinds of clients. Responses can have more fields in later versions; requests with
/// unknown fields are refused.
///
/// ```
/// let description = countersign_http::openapi("/auth");
/// assert!(description.contains(r#""openapi": "3.1.0""#));
/// ```
pub fn openapi(base_path: &str) -> String {
    let base = base_path.trim_matches('/');
    let mut paths = BTreeMap::<&str, Map<String, Value>>::new();
    for operation in &OPERATIONS {
        let item = paths.entry(operation.path).or_default();
        item.insert(operation.method.to_owned(), describe(operation));
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "countersign-http",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": format!("/{base}"), "description": "The application's own host."}],
        "tags": [
            {"name": "login", "description": "The steps of a login."},
            {"name": "session", "description": "The session."},
            {"name": "account", "description": "The second factor of the signed-in user."},
            {"name": "administration", "description": "For administrators of the tenant."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "parameters": parameters(),
            "headers": headers(),
            "responses": {
                "BodyTooLarge": plain("The body is longer than 32 KiB.", "body_too_large"),
                "BodyTooSlow": plain(
                    "The server limits how long a body may take, as countersign-axum does.",
                    "body_too_slow",
                ),
                "ForeignHost":
                    plain("In development: a host other than this machine.", "foreign_host"),
                "JsonExpected": plain(
                    "The body is not declared as JSON, or nothing says where the request comes \
                        from.",
                    "json_expected",
                ),
                "MalformedRequest": plain(
                    "The body or a parameter does not have the form that is described here.",
                    "malformed_request",
                ),
            },
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-session",
                    "description": "The session, under the name that the application gives its \
                        cookie.",
                },
            },
        },
    });
    format!("{document:#}\n")
}

const ABOUT: &str = "Two-factor login: name and password, then a code by email or SMS.\n\n\
    **Browsers** keep tokens in cookies that no script can read. Requests come from a page of the \
    same site.\n\n\
    **Mobile applications** find their tokens in `secrets` and send them back in the headers \
    `countersign-login-token`, `countersign-device-token` and `countersign-setup-token`. Their \
    endpoints refuse every request that a page of a browser sends.\n\n\
    A `POST` without `Sec-Fetch-Site` and `Origin` must declare its body as `application/json`, \
    also where it needs no body.\n\n\
    Every response has `Cache-Control: no-store`. Responses can have more fields in later \
    versions; requests with unknown fields are refused.";

/// What a status can come with.
#[derive(Default)]
struct Cases {
    denied: Vec<&'static str>,
    plain: Vec<&'static str>,
    may_say_when: bool,
}

fn describe(operation: &Operation) -> Value {
    let mut cases = BTreeMap::<u16, Cases>::new();
    for reason in operation.reasons {
        let case = cases.entry(status(*reason).as_u16()).or_default();
        case.denied.push(reason.code());
        // The last wrong code comes with the end of the lock.
        case.may_say_when |= *reason == Reason::WrongCode;
    }
    for field in operation.fields {
        cases.entry(422).or_default().denied.push(field.code());
    }
    cases.entry(403).or_default().plain.push("foreign_origin");
    cases.entry(404).or_default().plain.push("no_such_page");
    if operation.needs_session() {
        cases.entry(401).or_default().plain.push("signed_out");
    }
    let mut responses = Map::new();
    for (status, case) in &cases {
        responses.insert(status.to_string(), refused(operation, *status, case));
    }
    let (status, done) = success(operation);
    responses.insert(status.to_string(), done);
    for (status, name) in [
        (400, "MalformedRequest"),
        (408, "BodyTooSlow"),
        (413, "BodyTooLarge"),
        (421, "ForeignHost"),
    ] {
        responses.insert(status.to_string(), reference("responses", name));
    }
    if operation.method == "post" || operation.request.is_some() {
        responses.insert("415".to_owned(), reference("responses", "JsonExpected"));
    }
    let failed = "Something broke. If a login was complete, `secrets` has what is handed out once.";
    let failed = content(failed, &reference("schemas", "Failed"));
    responses.insert("500".to_owned(), with_headers(failed, operation, 500, &[]));
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag.name()],
        "summary": operation.summary,
        "parameters": parameters_of(operation),
        "responses": responses,
        "security": if operation.needs_session() { json!([{"session": []}]) } else { json!([]) },
    });
    if let (Some(name), Some(described)) = (operation.request, described.as_object_mut()) {
        let schema = reference("schemas", name);
        let body = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        described.insert("requestBody".to_owned(), body);
    }
    described
}

fn success(operation: &Operation) -> (u16, Value) {
    match operation.success {
        Some(name) => {
            let done = content("Done.", &reference("schemas", name));
            (200, with_headers(done, operation, 200, &[]))
        }
        None => (204, with_headers(json!({"description": "Done."}), operation, 204, &[])),
    }
}

fn refused(operation: &Operation, status: u16, case: &Cases) -> Value {
    let base = if operation.tag == Tag::Login { "DeniedStep" } else { "Refusal" };
    let mut schemas = Vec::new();
    if !case.denied.is_empty() {
        schemas.push(narrowed(base, &case.denied));
    }
    if !case.plain.is_empty() {
        schemas.push(narrowed("PlainRefusal", &case.plain));
    }
    let schema = match <[Value; 1]>::try_from(schemas) {
        Ok([only]) => only,
        Err(schemas) => json!({"oneOf": schemas}),
    };
    let reasons: Vec<_> =
        case.denied.iter().chain(&case.plain).map(|code| format!("`{code}`")).collect();
    let phrase = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let about = format!("{}: {}.", phrase.unwrap_or("Refused"), reasons.join(", "));
    let mut more = Vec::new();
    if matches!(status, 429 | 503) {
        more.push(("Retry-After", "RetryAfter"));
    } else if case.may_say_when {
        more.push(("Retry-After", "RetryAfterLock"));
    }
    if status == 401 {
        more.push(("WWW-Authenticate", "Scheme"));
    }
    with_headers(content(&about, &schema), operation, status, &more)
}

/// A refusal with one of these reasons.
fn narrowed(base: &str, reasons: &[&str]) -> Value {
    let reason = json!({"type": "string", "enum": reasons});
    json!({"allOf": [
        reference("schemas", base),
        {"type": "object", "required": ["reason"], "properties": {"reason": reason}},
    ]})
}

fn plain(about: &str, reason: &str) -> Value {
    content(about, &narrowed("PlainRefusal", &[reason]))
}

fn content(about: &str, schema: &Value) -> Value {
    json!({"description": about, "content": {"application/json": {"schema": schema}}})
}

fn with_headers(
    mut response: Value,
    operation: &Operation,
    status: u16,
    more: &[(&str, &str)],
) -> Value {
    let mut headers: Map<_, _> = more
        .iter()
        .map(|(name, header)| ((*name).to_owned(), reference("headers", header)))
        .collect();
    if operation.cookies.contains(&status) {
        headers.insert("Set-Cookie".to_owned(), reference("headers", "Cookies"));
    }
    if let (false, Some(response)) = (headers.is_empty(), response.as_object_mut()) {
        response.insert("headers".to_owned(), Value::Object(headers));
    }
    response
}

fn reference(of: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{of}/{name}")})
}

fn parameters_of(operation: &Operation) -> Vec<Value> {
    let named = [("{login}", "Login"), ("{device}", "Device"), ("{user}", "User")];
    let in_path = named.iter().filter(|(part, _)| operation.path.contains(part));
    let language = (!operation.reasons.is_empty()).then_some("AcceptLanguage");
    in_path
        .map(|(_, name)| *name)
        .chain(operation.parameters.iter().copied())
        .chain(operation.tokens.iter().copied())
        .chain(language)
        .map(|name| reference("parameters", name))
        .collect()
}

fn parameters() -> Value {
    let in_path = |name: &str, about: &str, schema: &str| {
        let schema = reference("schemas", schema);
        json!({
            "name": name, "in": "path", "required": true, "description": about, "schema": schema,
        })
    };
    let in_query = |name: &str, about: &str, schema: &Value| json!({"name": name, "in": "query", "description": about, "schema": schema});
    let token = |name: &str, about: &str| {
        let about = format!("For mobile applications only: {about}");
        json!({"name": name, "in": "header", "description": about, "schema": {"type": "string"}})
    };
    json!({
        "Login": in_path("login", "The login, from `login` of its first step.", "Id"),
        "Device": in_path("device", "A device, from `devices` of the account.", "Id"),
        "User": in_path("user", "A user of the tenant, percent-encoded.", "UserId"),
        "After": in_query(
            "after",
            "Where to go on: `next` of the answer before.",
            &reference("schemas", "UserId"),
        ),
        "Filter": in_query(
            "filter",
            "Whom to list: everybody, those for whom nothing is saved, those whose passwords or \
                codes are locked, those who get codes by SMS, or administrators.",
            &json!({
                "type": "string",
                "enum": Filter::ALL.map(Filter::code),
                "default": Filter::All.code(),
            }),
        ),
        "Limit": in_query(
            "limit",
            "The most people to list. At most 2,000 are looked at to find them.",
            &json!({"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": LIMIT}),
        ),
        "LoginToken": token(crate::LOGIN_TOKEN, "the token of the pending login."),
        "DeviceToken": token(
            crate::DEVICE_TOKEN,
            "the token of the trusted device, if it has one.",
        ),
        "SetupToken": token(crate::SETUP_TOKEN, "the token of the change of method."),
        "AcceptLanguage": {
            "name": "Accept-Language",
            "in": "header",
            "description": "The language of `message`: English, or Japanese.",
            "schema": {"type": "string", "examples": ["ja"]},
        },
    })
}

fn headers() -> Value {
    let seconds = json!({"type": "integer", "minimum": 1});
    json!({
        "RetryAfter": {
            "description": "In how many seconds to try again.",
            "required": true,
            "schema": seconds,
        },
        "RetryAfterLock": {
            "description": "After the last wrong code: in how many seconds codes are accepted \
                again.",
            "schema": seconds,
        },
        "Scheme": {
            "description": "Always `countersign`, for which browsers ask nobody for a password.",
            "required": true,
            "schema": {"type": "string", "enum": ["countersign"]},
        },
        "Cookies": {
            "description": "The session. For browsers also the tokens of a pending login, a \
                trusted device or a change of method: set, or cleared with `Max-Age=0`.",
            "schema": {"type": "string"},
        },
    })
}
