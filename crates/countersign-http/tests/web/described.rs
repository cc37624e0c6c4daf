//! Every response is held against `openapi.json`: its status, its headers and its body.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use countersign_http::Web;
use http::{Request, StatusCode};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::browser::{Answer, Site};

/// The description, in which nothing can be in a response that is not described.
static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let mut description = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    close(&mut description);
    description
});

/// The description lets later versions add fields. This version has no others.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, of) in fields.iter_mut() {
                match (name.as_str(), &mut *of) {
                    ("properties", Value::Object(properties)) => {
                        for property in properties.values_mut() {
                            property["unevaluatedProperties"] = json!(false);
                        }
                    }
                    ("items", Value::Object(items)) => {
                        items.insert("unevaluatedProperties".to_owned(), json!(false));
                    }
                    _ => {}
                }
                close(of);
            }
        }
        Value::Array(many) => many.iter_mut().for_each(close),
        _ => {}
    }
}

/// One request and its response.
#[derive(Clone, Debug)]
pub struct Exchanged {
    pub method: String,
    pub path: String,
    pub is_json: bool,
    pub request: String,
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub response: String,
}

/// Sends a request, and holds the response against the description.
pub async fn ask(web: &Web, request: Request<String>) -> Answer {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let content = request.headers().get("content-type").map(|value| value.as_bytes().to_vec());
    let is_json = content.is_some_and(|value| value.eq_ignore_ascii_case(b"application/json"));
    let asked = request.body().clone();
    let answer = Answer::of(web.handle(request).await).await;
    let exchanged = Exchanged {
        method,
        path,
        is_json,
        request: asked,
        status: answer.status,
        headers: answer.headers.clone(),
        response: answer.text.clone(),
    };
    if let Err(differs) = exchanged.held() {
        panic!("{differs}\n{exchanged:#?}");
    }
    answer
}

impl Exchanged {
    /// Whether it is as the description says.
    pub fn held(&self) -> Result<(), String> {
        // The tests have no other base path.
        let path = self.path.strip_prefix("/auth/").map(|rest| format!("/{rest}"));
        let path = path.as_deref().unwrap_or(&self.path);
        let method = if self.method == "HEAD" { "GET" } else { &self.method };
        let Some((template, operation)) = operation(method, path) else {
            let schema = reference("PlainRefusal");
            return valid("plain", &schema, &self.response);
        };
        let about = format!("{} {template} {}", self.method, self.status.as_u16());
        let response = &operation["responses"][self.status.as_str()];
        if response.is_null() {
            return Err(format!("{about}: the status is not described"));
        }
        let response = resolved(response);
        self.headers_held(&about, response)?;
        let schema = &response["content"]["application/json"]["schema"];
        if schema.is_null() {
            if !self.response.is_empty() {
                return Err(format!("{about}: a body is not described"));
            }
        } else {
            valid(&about, schema, &self.response)?;
        }
        let asked = &operation["requestBody"]["content"]["application/json"]["schema"];
        if asked.is_null() || !self.is_json {
            return Ok(());
        }
        match (self.status.as_u16(), valid(&format!("{about} request"), asked, &self.request)) {
            // A field that is there twice is refused too, which no schema can say.
            (400, Ok(())) if is_compact(&self.request) => {
                Err(format!("{about}: a request that is described is malformed"))
            }
            (200..=299 | 422, Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn headers_held(&self, about: &str, response: &'static Value) -> Result<(), String> {
        let described: Vec<_> = response["headers"].as_object().into_iter().flatten().collect();
        let is = |name: &str| described.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        for name in ["retry-after", "set-cookie", "www-authenticate", "allow", "location"] {
            if self.headers.contains_key(name) && !is(name) {
                return Err(format!("{about}: {name} is not described"));
            }
        }
        for (name, header) in described {
            let (header, found) = (resolved(header), self.headers.get(name));
            if header["required"] == json!(true) && found.is_none() {
                return Err(format!("{about}: {name} is missing"));
            }
            if let Some(found) = found {
                let text = found.to_str().map_err(|error| error.to_string())?;
                let is_number = header["schema"]["type"] == json!("integer");
                let value = if is_number { text.to_owned() } else { json!(text).to_string() };
                valid(&format!("header {name}"), &header["schema"], &value)?;
            }
        }
        Ok(())
    }
}

/// Whether JSON has each field once, and no spaces.
fn is_compact(text: &str) -> bool {
    let value: Result<Value, _> = serde_json::from_str(text);
    value.is_ok_and(|value| value.to_string().len() == text.len())
}

/// The operation that a request is for, with its path as it is described.
pub fn operation(method: &str, path: &str) -> Option<(&'static str, &'static Value)> {
    let is = |template: &str| {
        let (mut given, mut known) = (path.split('/'), template.split('/'));
        loop {
            match (given.next(), known.next()) {
                (None, None) => return true,
                (Some(_), Some(known)) if known.starts_with('{') => {}
                (Some(given), Some(known)) if given == known => {}
                _ => return false,
            }
        }
    };
    let (template, item) =
        DESCRIPTION["paths"].as_object()?.iter().find(|(template, _)| is(template))?;
    Some((template, item.get(method.to_ascii_lowercase())?))
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(to) => DESCRIPTION.pointer(to.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// Whether JSON is valid against a schema of the description.
fn valid(about: &str, schema: &Value, text: &str) -> Result<(), String> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> =
        LazyLock::new(Mutex::default);
    let value: Value = serde_json::from_str(text).map_err(|_| format!("{about}: no JSON"))?;
    let made = VALIDATORS.lock().unwrap().get(&schema.to_string()).cloned();
    let validator = made.unwrap_or_else(|| {
        let root = json!({
            "allOf": [schema],
            "unevaluatedProperties": false,
            "components": {"schemas": DESCRIPTION["components"]["schemas"]},
        });
        let options = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true);
        let made = Arc::new(options.build(&root).unwrap());
        VALIDATORS.lock().unwrap().insert(schema.to_string(), Arc::clone(&made));
        made
    });
    let errors: Vec<_> = validator
        .iter_errors(&value)
        .map(|error| format!("{about}: {error} at {}", error.instance_path()))
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
}

/// Which endpoint answers with which status and reason, without what all of them have in common.
pub fn outcomes() -> BTreeSet<(String, u16, String)> {
    let mut outcomes = BTreeSet::new();
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    for operation in paths.values().flat_map(|item| item.as_object().unwrap().values()) {
        let id = operation["operationId"].as_str().unwrap();
        for (status, response) in operation["responses"].as_object().unwrap() {
            let status: u16 = status.parse().unwrap();
            if response.get("$ref").is_some() || status == 500 {
                continue;
            }
            let mut reasons = Vec::new();
            listed(response, &mut reasons);
            if status < 300 {
                reasons = vec![String::new()];
            }
            let of_all = ["foreign_origin", "no_such_page"];
            reasons.retain(|reason| !of_all.contains(&reason.as_str()));
            outcomes.extend(reasons.into_iter().map(|reason| (id.to_owned(), status, reason)));
        }
    }
    outcomes
}

/// The reasons that a response lists.
fn listed(value: &Value, reasons: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let codes = fields.get("reason").and_then(|reason| reason["enum"].as_array());
            let codes = codes.into_iter().flatten().filter_map(Value::as_str);
            reasons.extend(codes.map(str::to_owned));
            fields.values().for_each(|value| listed(value, reasons));
        }
        Value::Array(many) => many.iter().for_each(|value| listed(value, reasons)),
        _ => {}
    }
}

/// Paths as they are described, and as a request has them.
fn described_paths() -> Vec<(String, &'static Map<String, Value>)> {
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    let filled = |template: &str| {
        let id = "AAAAAAAAAAAAAAAAAAAAAA";
        template.replace("{login}", id).replace("{device}", id).replace("{user}", "alice")
    };
    paths.iter().map(|(template, item)| (filled(template), item.as_object().unwrap())).collect()
}

/// What is described is there, and each of its paths takes no other method. That the description
/// has every endpoint is a test of the crate's own, which sees them all.
#[tokio::test]
async fn what_is_described_is_there() {
    let site = Site::new().await;
    let mut seen = 0;
    for (path, item) in described_paths() {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = site.browser().send(method, &path, &json!({})).await;
            let about = format!("{method} {path}: {}", answer.text);
            let described = item.contains_key(&method.to_ascii_lowercase());
            if described || method == "HEAD" && item.contains_key("get") {
                seen += usize::from(described);
                assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{about}");
                assert_ne!(answer.reason(), "no_such_page", "{about}");
            } else {
                assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{about}");
                let allowed = answer.headers["allow"].to_str().unwrap().to_ascii_lowercase();
                let allowed = allowed.split(',').next().unwrap();
                assert!(item.contains_key(allowed), "{about}");
            }
        }
    }
    assert_eq!(seen, 21);
}

/// Control: what differs from the description is found.
#[tokio::test]
async fn what_differs_from_the_description_is_found() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let login = browser.begin("alice").await;
    let path = format!("/login/{login}/resend");
    let early = browser.post(&path, json!({})).await;
    let good = Exchanged {
        method: "POST".to_owned(),
        path,
        is_json: true,
        request: "{}".to_owned(),
        status: early.status,
        headers: early.headers,
        response: early.text,
    };
    assert_eq!(good.held(), Ok(()));
    let broken = |change: &dyn Fn(&mut Exchanged)| {
        let mut broken = good.clone();
        change(&mut broken);
        broken.held().unwrap_err()
    };
    let replaced = |from: &str, to: &str| {
        assert!(good.response.contains(from), "{from}");
        broken(&|it| it.response = it.response.replace(from, to))
    };
    for (error, expected) in [
        (broken(&|it| it.status = StatusCode::IM_A_TEAPOT), "status is not described"),
        (
            broken(&|it| {
                it.status = StatusCode::CONFLICT;
                it.headers.remove("retry-after");
            }),
            "is not one of",
        ),
        (replaced("{", r#"{"more":1,"#), "more"),
        (replaced(r#""ends_login":false"#, r#""ends_login":0"#), "ends_login"),
        (replaced(r#""ends_login":false,"#, ""), "ends_login"),
        // A reason of another endpoint, and a time that is none.
        (replaced("send_limit", "not_in_use"), "is not one of"),
        (replaced(r#""retry_at":""#, r#""retry_at":"about "#), "date-time"),
        (broken(&|it| drop(it.headers.remove("retry-after"))), "Retry-After is missing"),
        (broken(&|it| drop(it.headers.insert("retry-after", "soon".parse().unwrap()))), "no JSON"),
        (
            broken(&|it| drop(it.headers.insert("set-cookie", "a=b".parse().unwrap()))),
            "set-cookie is not described",
        ),
        (
            broken(&|it| {
                it.status = StatusCode::BAD_REQUEST;
                it.headers.clear();
                it.response = r#"{"reason":"malformed_request","message":""}"#.to_owned();
            }),
            "is malformed",
        ),
    ] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    // Inside of an answer, too.
    let page = browser.get(&format!("/login/{login}")).await;
    let good = Exchanged {
        method: "GET".to_owned(),
        path: format!("/login/{login}"),
        is_json: false,
        request: String::new(),
        status: page.status,
        headers: page.headers,
        response: page.text,
    };
    assert_eq!(good.held(), Ok(()));
    for (from, to) in [
        (r#""state":"#, r#""more":1,"state":"#),
        (r#""state":"made_earlier""#, r#""state":"lost""#),
        (r#""alternatives":{"#, r#""alternatives":{"more":1,"#),
        (r#""login":""#, r#""login":"A"#),
        (r#""digits":6"#, r#""digits":6,"secrets":{"login_token":"t","backup_code":"b"}"#),
    ] {
        assert!(good.response.contains(from), "{from}: {}", good.response);
        let broken = Exchanged { response: good.response.replacen(from, to, 1), ..good.clone() };
        assert!(broken.held().is_err(), "{to}");
    }
    // A request that is refused as malformed is not described, and one that is answered is.
    let refused = browser.post("/account/method", json!({"method": "email", "phone": "1"})).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    site.sign_in(&mut browser, "alice").await;
    let refused = browser.post("/account/method", json!({"method": "email", "phone": "1"})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}
