//! Every answer of the three providers, and what it means for the person who waits.
#![cfg(feature = "reqwest")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use async_trait::async_trait;
use countersign::sender::{CodeSender, SendErrorKind, SendStatus};
use countersign_sms::{Http, HttpError, HttpRequest, HttpResponse, Provider, SmsSender};
use serde_json::json;
use support::*;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// What botocore 1.44.8 takes for throttling (`botocore/retries/standard.py`), and SNS's own two,
/// with and without "Exception".
const THROTTLED_BY_AWS: [&str; 18] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
    "Throttled",
    "KMSThrottling",
    "KMSThrottlingException",
    "TooManyRequests",
];

const PERMANENT: Result<SendStatus, SendErrorKind> = Err(SendErrorKind::Permanent);
const UNKNOWN: Result<SendStatus, SendErrorKind> = Err(SendErrorKind::Unknown);
const SENT: Result<SendStatus, SendErrorKind> = Ok(SendStatus::Sent);

fn throttled(seconds: Option<u64>) -> Result<SendStatus, SendErrorKind> {
    Err(SendErrorKind::Throttled { retry_after: seconds.map(Duration::from_secs) })
}

/// Sends one code to a server that answers so, and looks that it was asked exactly once.
async fn answered<P: Provider + 'static>(
    provider: impl Fn(&str) -> P,
    answer: ResponseTemplate,
) -> Result<SendStatus, SendErrorKind> {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).expect(1).mount(&server).await;
    let sender: SmsSender = sender(provider(&server.uri()), http());
    let result = outcome(&sender).await;
    server.verify().await;
    result
}

fn answer(status: u16, body: &serde_json::Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

/// An error of Twilio, which repeats the number in its text.
fn twilio_error(status: u16, code: u64) -> ResponseTemplate {
    let message = format!("The 'To' number {NUMBER} is wrong: {CODE}");
    answer(
        status,
        &json!({"code": code, "message": message, "more_info": "https://twilio.example", "status": status}),
    )
}

#[tokio::test]
async fn twilio_has_taken_a_message_that_it_answers_with_201() {
    for status in ["queued", "accepted", "sending", "sent", "scheduled"] {
        let body = json!({"sid": "SM1", "status": status, "to": NUMBER, "error_code": null});
        assert_eq!(answered(twilio, answer(201, &body)).await, SENT, "{status}");
    }
    for status in ["failed", "undelivered", "canceled"] {
        let body = json!({"sid": "SM1", "status": status, "to": NUMBER, "error_code": 30007});
        assert_eq!(answered(twilio, answer(201, &body)).await, PERMANENT, "{status}");
    }
}

/// I-22: `outcome` looks at every text of the error, and Twilio's repeat the number.
#[tokio::test]
async fn twilio_refuses_for_good_or_for_now() {
    for (status, code) in [
        (400, 21_211),
        (400, 21_408),
        (400, 21_610),
        (400, 21_614),
        (401, 20_003),
        (403, 20_008),
        (404, 20_404),
    ] {
        assert_eq!(
            answered(twilio, twilio_error(status, code)).await,
            PERMANENT,
            "{status} {code}"
        );
    }
    assert_eq!(answered(twilio, twilio_error(429, 20_429)).await, throttled(None));
    assert_eq!(
        answered(twilio, twilio_error(429, 20_429).insert_header("retry-after", "7")).await,
        throttled(Some(7))
    );
    assert_eq!(answered(twilio, twilio_error(400, 21_611)).await, throttled(None));
    // A wait that nobody can mean, and one that can't be read.
    assert_eq!(
        answered(twilio, twilio_error(429, 1).insert_header("retry-after", "99999999999")).await,
        throttled(Some(86_400))
    );
    assert_eq!(
        answered(twilio, twilio_error(429, 1).insert_header("retry-after", "soon")).await,
        throttled(None)
    );
}

#[tokio::test]
async fn vonage_has_taken_a_message_that_it_gives_an_id() {
    assert_eq!(
        answered(
            vonage,
            answer(202, &json!({"message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"}))
        )
        .await,
        SENT
    );
    // The older SMS API answers failures with 200; so would a proxy.
    let body = json!({"message-count": "1", "messages": [{"status": "4", "error-text": NUMBER}]});
    assert_eq!(answered(vonage, answer(200, &body)).await, UNKNOWN);
    assert_eq!(answered(vonage, answer(202, &json!({"message_uuid": ""}))).await, UNKNOWN);
}

#[tokio::test]
async fn vonage_refuses_for_good_or_for_now() {
    let problem = |status: u16, code: &str| {
        let kind = format!("https://developer.vonage.example/api-errors/messages#{code}");
        answer(
            status,
            &json!({"type": kind, "title": "Error", "detail": format!("{NUMBER} {CODE}"), "instance": "bf0ca0bf"}),
        )
    };
    for (status, code) in [
        (401, "unauthorized"),
        (402, "low-balance"),
        (403, "1020"),
        (404, "not-found"),
        (422, "1150"),
        (422, NUMBER),
    ] {
        assert_eq!(answered(vonage, problem(status, code)).await, PERMANENT, "{status}");
    }
    assert_eq!(
        answered(vonage, problem(429, "throttled").insert_header("retry-after", "1")).await,
        throttled(Some(1))
    );
    assert_eq!(answered(vonage, problem(500, "internal-error")).await, UNKNOWN);
    // "You have exceeded the submission capacity allowed on this account", with whatever status.
    for status in [400, 402, 422, 429] {
        assert_eq!(answered(vonage, problem(status, "1000")).await, throttled(None), "{status}");
    }
    assert_eq!(answered(vonage, problem(422, "10000")).await, PERMANENT);
}

#[tokio::test]
async fn sns_has_taken_a_message_that_it_gives_an_id() {
    let taken = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>94f20ce6</MessageId>\
                 </PublishResult><ResponseMetadata><RequestId>f187a3c1</RequestId></ResponseMetadata></PublishResponse>";
    assert_eq!(
        answered(sns, ResponseTemplate::new(200).set_body_raw(taken, "text/xml")).await,
        SENT
    );
    let empty = ResponseTemplate::new(200)
        .set_body_raw("<PublishResponse><MessageId></MessageId></PublishResponse>", "text/xml");
    assert_eq!(answered(sns, empty).await, UNKNOWN);
}

#[tokio::test]
async fn sns_refuses_for_good_or_for_now() {
    let error = |status: u16, code: &str| {
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>Invalid parameter: {NUMBER} {CODE}</Message></Error>\
             <RequestId>9dd01905</RequestId></ErrorResponse>"
        );
        ResponseTemplate::new(status).set_body_raw(body, "text/xml")
    };
    for (status, code) in [
        (400, "InvalidParameter"),
        (400, "OptedOut"),
        (403, "AuthorizationError"),
        (403, "SignatureDoesNotMatch"),
        (403, "ExpiredToken"),
        (404, "NotFound"),
        (400, NUMBER),
    ] {
        assert_eq!(answered(sns, error(status, code)).await, PERMANENT, "{status} {code}");
    }
    let throttling = THROTTLED_BY_AWS.map(|code| (400, code)).into_iter();
    for (status, code) in throttling.chain([403, 429, 503].map(|status| (status, "Throttling"))) {
        assert_eq!(answered(sns, error(status, code)).await, throttled(None), "{status} {code}");
    }
    assert_eq!(
        answered(sns, error(400, "Throttling").insert_header("retry-after", "3")).await,
        throttled(Some(3))
    );
    // Nobody says so with an answer that the message was taken, and names that only look alike are
    // refusals.
    assert_eq!(answered(sns, error(200, "Throttling")).await, UNKNOWN);
    for code in [
        "TopicLimitExceeded",
        "Throttle",
        "throttling",
        "ThrottlingExceptionException",
        "Exception",
    ] {
        assert_eq!(answered(sns, error(400, code)).await, PERMANENT, "{code}");
    }
    let unknown = [
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (400, "RequestTimeout"),
        (400, "RequestTimeoutException"),
    ];
    for (status, code) in unknown {
        assert_eq!(answered(sns, error(status, code)).await, UNKNOWN, "{status} {code}");
    }
}

/// Answers the same to every request.
struct Says(u16, String, Vec<u8>);

#[async_trait]
impl Http for Says {
    async fn post(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        Ok(HttpResponse { status: self.0, retry_after: Some(self.1.clone()), body: self.2.clone() })
    }
}

/// I-22: whatever a provider repeats, and wherever in its answer, `outcome` finds it in nothing
/// that prints.
#[tokio::test]
async fn no_answer_makes_an_error_repeat_a_code_a_number_or_a_secret() {
    // Its own secret, alone and in the middle of what looks like an error code.
    let own = |sender: &str| match sender {
        "twilio" => ["twilio-token", "access-twilio-token-denied"],
        "vonage" => ["vonage-secret", "access-Vonage-Secret-denied"],
        _ => ["aws-secret-key", "access.aws-secret-key.denied"],
    };
    let planted = ["twilio", "vonage", "sns"].into_iter().flat_map(|sender| {
        let of_all = [CODE, NUMBER, "9012345634", "AKIDEXAMPLE01234"];
        of_all.into_iter().chain(own(sender)).map(move |secret| (sender, secret))
    });
    for (name, secret) in planted {
        let json = json!({
            "code": secret, "error_code": secret, "status": secret, "message": secret, "more_info": secret,
            "type": format!("https://errors.example/{secret}#{secret}"), "title": secret, "detail": secret,
        });
        let xml = format!(
            "<ErrorResponse><Error><Type>{secret}</Type><Code>{secret}</Code><Message>{secret}</Message></Error>\
             <RequestId>{secret}</RequestId></ErrorResponse>"
        );
        for status in [200, 202, 302, 400, 401, 403, 404, 422, 429, 500, 503] {
            for body in [json.to_string(), xml.clone(), secret.to_owned()] {
                let says = Says(status, secret.to_owned(), body.into_bytes());
                let sender = match name {
                    "twilio" => sender(twilio("https://x.example"), says),
                    "vonage" => sender(vonage("https://x.example"), says),
                    _ => sender(sns("https://x.example"), says),
                };
                let result = outcome(&sender).await;
                // Twilio says of a message that it took what its state is, and here that is any
                // word.
                assert!(
                    result.is_err() || (name == "twilio" && status < 300),
                    "{name} {status} {secret}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_unknown_unless_it_refuses() {
    let nonsense = |status: u16| {
        ResponseTemplate::new(status).set_body_raw(format!("<html>{NUMBER} {CODE}"), "text/html")
    };
    for status in [200, 201, 202, 204, 408, 500, 502, 503, 504] {
        assert_eq!(answered(twilio, nonsense(status)).await, UNKNOWN, "twilio {status}");
        assert_eq!(answered(vonage, nonsense(status)).await, UNKNOWN, "vonage {status}");
        assert_eq!(answered(sns, nonsense(status)).await, UNKNOWN, "sns {status}");
    }
    for status in [400, 401, 403, 404, 405, 413, 422] {
        assert_eq!(answered(twilio, nonsense(status)).await, PERMANENT, "twilio {status}");
        assert_eq!(answered(vonage, nonsense(status)).await, PERMANENT, "vonage {status}");
        assert_eq!(answered(sns, nonsense(status)).await, PERMANENT, "sns {status}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = MockServer::start().await;
    let elsewhere = format!("{}/elsewhere", server.uri());
    Mock::given(path("/elsewhere"))
        .respond_with(ResponseTemplate::new(201))
        .expect(0)
        .mount(&server)
        .await;
    for status in [301, 302, 307, 308] {
        let redirect = ResponseTemplate::new(status).insert_header("location", elsewhere.as_str());
        let mock = Mock::given(method("POST"))
            .respond_with(redirect)
            .expect(3)
            .mount_as_scoped(&server)
            .await;
        for sender in senders(&server.uri(), &http()) {
            assert_eq!(outcome(&sender).await, PERMANENT, "{status}");
        }
        drop(mock);
    }
    server.verify().await;
}

#[tokio::test]
async fn a_huge_answer_is_read_in_part_only() {
    let huge = ResponseTemplate::new(400).set_body_string("x".repeat(4_000_000));
    assert_eq!(answered(twilio, huge).await, PERMANENT);
}

#[tokio::test]
async fn only_phone_numbers_are_served_and_nothing_is_asked_otherwise() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(201)).expect(0).mount(&server).await;
    for sender in senders(&server.uri(), &http()) {
        let refused = sender.send_code(&code_by_email()).await.unwrap_err();
        assert_eq!(kind(&refused), SendErrorKind::Permanent);
    }
    server.verify().await;
}
