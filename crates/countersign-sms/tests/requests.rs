//! What goes to a provider, byte by byte, through an HTTP client of one's own.
#![cfg(feature = "reqwest")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use countersign::TenantId;
use countersign::clock::ManualClock;
use countersign::sender::{CodeMessage, CodeSender, Notice, SendErrorKind};
use countersign_delivery::message::{Messages, TenantMessages};
use countersign_sms::{
    AwsCredentials, Http, HttpError, HttpRequest, HttpResponse, Origin, Provider, SmsConfigError,
    SmsSecret, SmsSender, Sns, Twilio, Vonage,
};
use support::*;

/// Keeps the request, and answers nothing.
#[derive(Clone, Default)]
struct Spy(Arc<Mutex<Option<HttpRequest>>>);

#[async_trait]
impl Http for Spy {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        *self.0.lock().unwrap() = Some(request);
        Ok(HttpResponse { status: 500, retry_after: None, body: Vec::new() })
    }
}

struct Seen {
    url: String,
    headers: BTreeMap<&'static str, String>,
    body: String,
}

async fn request(provider: impl Provider + 'static, of_notice: bool) -> Seen {
    let spy = Spy::default();
    let sender = sender(provider, spy.clone());
    let printed = format!("{sender:?}");
    let _ =
        if of_notice { sender.notify(&notice()).await } else { sender.send_code(&code()).await };
    let request = spy.0.lock().unwrap().take().unwrap();
    let printed = format!("{printed} {request:?}");
    for secret in SECRETS {
        assert!(!printed.contains(secret), "{printed}");
    }
    Seen {
        url: request.url.clone(),
        headers: request.headers.iter().map(|(name, value)| (*name, value.to_string())).collect(),
        body: request.body.to_string(),
    }
}

#[tokio::test]
async fn twilio_gets_a_form_under_basic_authentication() {
    let seen = request(twilio("https://api.twilio.example/"), false).await;
    assert_eq!(
        seen.url,
        format!("https://api.twilio.example/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    );
    assert!(seen.headers["authorization"].starts_with("Basic QUMwMTIz"));
    assert_eq!(seen.headers["content-type"], "application/x-www-form-urlencoded");
    assert!(seen.body.starts_with(
        "To=%2B819012345634&From=%2B15005550006&Body=836194%20is%20your%20Example%20login%20code"
    ));
    assert!(
        seen.body.ends_with("%0A%40example.com%20%23836194&ValidityPeriod=180"),
        "{}",
        seen.body
    );
    let reported = twilio("https://x.example").reports_to("https://app.example/sms?v=1").unwrap();
    let seen = request(reported, false).await;
    assert!(
        seen.body.ends_with(
            "&StatusCallback=https%3A%2F%2Fapp.example%2Fsms%3Fv%3D1%26message%3DAAAAAAAAAAAAAAAAAAAAAA.BKTR"
        )
    );
    assert!(!request(twilio("https://x.example"), true).await.body.contains("ValidityPeriod"));
    let service = Twilio::with_api_key(
        ACCOUNT,
        "SK0123456789abcdef0123456789abcdef",
        SmsSecret::new("twilio-token"),
    )
    .unwrap();
    let seen = request(
        service.from_messaging_service("MG0123456789abcdef0123456789abcdef").unwrap(),
        false,
    )
    .await;
    assert!(seen.headers["authorization"].starts_with("Basic U0swMTIz"));
    assert!(seen.body.contains("&MessagingServiceSid=MG0123456789abcdef0123456789abcdef&"));
}

#[tokio::test]
async fn vonage_gets_json_with_the_number_as_it_wants_it() {
    let seen = request(vonage("https://api.vonage.example"), false).await;
    assert_eq!(seen.url, "https://api.vonage.example/v1/messages");
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body["to"], "819012345634");
    assert_eq!(body["from"], "Example");
    assert_eq!((&body["channel"], &body["message_type"]), (&"sms".into(), &"text".into()));
    assert_eq!(body["text"], messages().code_sms(&code()).expose());
    assert_eq!(body["client_ref"], code().id().to_string());
    assert_eq!(body["ttl"], 180, "as long as the code lives, in seconds");
    assert_eq!(body.as_object().unwrap().len(), 7);
    let body: serde_json::Value =
        serde_json::from_str(&request(vonage("https://x.example"), true).await.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 5, "a notice is as good later: {body}");
    let reported =
        request(vonage("https://x.example").reports_to("https://app.example/sms").unwrap(), false)
            .await;
    let body: serde_json::Value = serde_json::from_str(&reported.body).unwrap();
    assert_eq!(body["webhook_url"], "https://app.example/sms");
}

/// I-04, I-33: through one sender, each tenant's SMS has its own name and binds the code to its own
/// origin. A tenant without messages gets none: no request is made, and the cause is what the
/// operator sees.
#[tokio::test]
async fn each_tenants_sms_has_its_own_name_and_origin_and_no_other() {
    let base = Messages::builder("Platform");
    let of =
        |name: &str, host: &str| base.clone().application(name).origin_host(host).build().unwrap();
    let tenant = |id: &str| TenantId::new(id).unwrap();
    let messages = TenantMessages::new()
        .tenant(tenant("acme"), of("Acme Books", "login.acme.example"))
        .tenant(tenant("bolt"), of("Bolt Bank", "bolt.example.org"));
    let spy = Spy::default();
    let provider =
        Vonage::new("abcd1234", SmsSecret::new("vonage-secret"), Origin::name("Codes").unwrap())
            .unwrap();
    let sender = SmsSender::new(provider, spy.clone(), messages);
    let text = || {
        let request = spy.0.lock().unwrap().take().unwrap();
        serde_json::from_str::<serde_json::Value>(&request.body).unwrap()["text"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for _ in 0..2 {
        for (id, name, host, others) in [
            ("acme", "Acme Books", "login.acme.example", ["Bolt", "bolt", "Platform"]),
            ("bolt", "Bolt Bank", "bolt.example.org", ["Acme", "acme", "Platform"]),
        ] {
            let _ = sender.send_code(&CodeMessage { tenant: tenant(id), ..code() }).await;
            let code = text();
            assert!(code.contains(name) && code.ends_with(&format!("\n@{host} #{CODE}")), "{code}");
            let _ = sender.notify(&Notice { tenant: tenant(id), ..notice() }).await;
            let notice = text();
            assert!(notice.contains(name), "{notice}");
            let read = code + &notice;
            assert!(!others.iter().any(|other| read.contains(other)), "{read}");
        }
    }
    for id in ["other", "ACME"] {
        let refused = [
            sender.send_code(&CodeMessage { tenant: tenant(id), ..code() }).await.unwrap_err(),
            sender.notify(&Notice { tenant: tenant(id), ..notice() }).await.unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.kind(), SendErrorKind::Permanent);
            assert_eq!(code().causes(&error).to_string(), "tenant has no messages");
        }
        assert!(spy.0.lock().unwrap().is_none(), "nothing was sent");
    }
}

#[tokio::test]
async fn sns_gets_a_signed_form() {
    let seen = request(sns("https://sns.eu-west-1.amazonaws.com"), false).await;
    assert_eq!(seen.url, "https://sns.eu-west-1.amazonaws.com/");
    assert_eq!(seen.headers["x-amz-date"], "20261124T100000Z");
    assert!(seen.body.starts_with(
        "Action=Publish&Version=2010-03-31&PhoneNumber=%2B819012345634&Message=836194%20is"
    ));
    assert!(
        seen.body.contains("AWS.SNS.SMS.SMSType&MessageAttributes.entry.1.Value.DataType=String")
    );
    assert!(seen.body.ends_with("Value.StringValue=Example"));
    let (scope, _) = seen.headers["authorization"].split_once(", Signature=").unwrap();
    assert_eq!(
        scope,
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE01234/20261124/eu-west-1/sns/aws4_request, SignedHeaders=content-type;host;x-amz-date"
    );
    // The signature that botocore 1.44.8 made of this request with these keys at this time.
    assert!(
        seen.headers["authorization"].ends_with(SIGNED_BY_BOTOCORE),
        "{}",
        seen.headers["authorization"]
    );
}

#[tokio::test]
async fn each_partition_of_aws_has_its_own_hosts() {
    // What botocore 1.44.8 calls.
    for (region, host) in [
        ("eu-west-1", "sns.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "sns.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "sns.cn-north-1.amazonaws.com.cn"),
        ("cn-northwest-1", "sns.cn-northwest-1.amazonaws.com.cn"),
        ("us-iso-east-1", "sns.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "sns.us-isob-east-1.sc2s.sgov.gov"),
        ("us-isof-south-1", "sns.us-isof-south-1.csp.hci.ic.gov"),
        ("eu-isoe-west-1", "sns.eu-isoe-west-1.cloud.adc-e.uk"),
        ("eusc-de-east-1", "sns.eusc-de-east-1.amazonaws.eu"),
    ] {
        let keys =
            AwsCredentials::new("AKIDEXAMPLE01234", SmsSecret::new("aws-secret-key")).unwrap();
        let seen = request(Sns::new(region, keys).unwrap(), false).await;
        assert_eq!(seen.url, format!("https://{host}/"));
        assert!(seen.headers["authorization"].contains(&format!("/{region}/sns/aws4_request")));
    }
}

/// Each signature is the one that botocore 1.44.8 made of this request to this address.
#[tokio::test]
async fn an_address_with_a_port_a_path_or_upper_case_is_signed_as_it_is_sent() {
    for (url, sent, signature) in [
        (
            "https://SNS.EU-West-1.amazonaws.com",
            "https://sns.eu-west-1.amazonaws.com/",
            "3ce26cba6978a8ac8f04f7df127f0af4af04aa341b73822c744ba2046994110f",
        ),
        (
            "https://sns.eu-west-1.amazonaws.com:443/",
            "https://sns.eu-west-1.amazonaws.com/",
            "3ce26cba6978a8ac8f04f7df127f0af4af04aa341b73822c744ba2046994110f",
        ),
        (
            "http://localhost:4566",
            "http://localhost:4566/",
            "76e36631f50e6c54f7cd8ac371fd8427925d2fe8ade9217e59f6f06a3b9dfb78",
        ),
        (
            "https://proxy.example/AWS/sns",
            "https://proxy.example/AWS/sns",
            "d023d1dfa61ef7cdd7b0e2056f026ab01bb7b39d03f9492d6c63a94f2aee547a",
        ),
        (
            "https://proxy.example:8443/a%20b/c:d@e/",
            "https://proxy.example:8443/a%20b/c:d@e/",
            "3f6c762157e98bcb9d0d74060819e99774f396f59b96412a5d3c58c00aca2cdd",
        ),
        (
            "http://[::1]:4566/",
            "http://[::1]:4566/",
            "c6c360136e64e6eccfcdf3e3a3f5e051959b026b0fad9f0cd4bcfa68c1882991",
        ),
    ] {
        let seen = request(sns(url), false).await;
        assert_eq!(seen.url, sent);
        let authorization = &seen.headers["authorization"];
        assert!(
            authorization.ends_with(&format!("Signature={signature}")),
            "{url}: {authorization}"
        );
    }
}

#[test]
fn an_address_that_could_be_sent_in_another_spelling_is_refused() {
    for url in [
        "sns.example.com",
        "https://sns.example.com/?x=1",
        "https://me:secret@sns.example.com/",
        "https://例え.jp",
    ] {
        let keys =
            AwsCredentials::new("AKIDEXAMPLE01234", SmsSecret::new("aws-secret-key")).unwrap();
        let refused = Sns::new("eu-west-1", keys).unwrap().url(url).unwrap_err();
        assert_eq!(refused, SmsConfigError::Url, "{url}");
    }
}

const SIGNED_BY_BOTOCORE: &str =
    "Signature=3ce26cba6978a8ac8f04f7df127f0af4af04aa341b73822c744ba2046994110f";

#[tokio::test]
async fn sns_takes_new_keys_and_their_session_token() {
    let credentials = |id: &str| AwsCredentials::new(id, SmsSecret::new("aws-secret-key")).unwrap();
    let clock = ManualClock::new(time::OffsetDateTime::from_unix_timestamp(1_795_514_400).unwrap());
    let sns = Sns::new("eu-west-1", credentials("AKIDEXAMPLE01234")).unwrap().clock(clock);
    sns.replace_credentials(
        credentials("AKIDEXAMPLE56789").session_token(SmsSecret::new("session")).unwrap(),
    );
    let seen = request(sns, true).await;
    assert_eq!(seen.headers["x-amz-security-token"], "session");
    assert!(seen.headers["authorization"].contains("AKIDEXAMPLE56789"));
    assert!(
        seen.headers["authorization"]
            .contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token")
    );
    assert!(!seen.body.contains("entry.2"));
}

#[test]
fn settings_that_could_change_a_request_are_refused() {
    let secret = || SmsSecret::new("s");
    for account in [
        "",
        "AC123",
        "AC0123456789abcdef0123456789abcdeg",
        "AC0123456789abcdef0123456789abcdef/..",
        "../../x",
    ] {
        assert_eq!(
            Twilio::new(account, secret()).unwrap_err(),
            SmsConfigError::Account,
            "{account}"
        );
    }
    assert_eq!(Twilio::new(ACCOUNT, SmsSecret::new("")).unwrap_err(), SmsConfigError::Secret);
    let keys = || AwsCredentials::new("AKIDEXAMPLE01234", secret()).unwrap();
    for region in ["", "eu-west-1.evil.example/", "EU", "a b"] {
        assert_eq!(Sns::new(region, keys()).unwrap_err(), SmsConfigError::Region, "{region}");
    }
    for url in [
        "",
        "https://",
        "http://app.example",
        "https://app.example/#x",
        "https://app.example/a b",
        "https://app.example/\r\nx",
    ] {
        assert_eq!(
            twilio("https://x.example").reports_to(url).unwrap_err(),
            SmsConfigError::Callback,
            "{url:?}"
        );
    }
    for name in ["", "123456", "Twelve chars", "Exämple", "a\nb", " a"] {
        assert_eq!(Origin::name(name).unwrap_err(), SmsConfigError::Origin, "{name}");
    }
    assert!(
        Origin::short_code("12").is_err()
            && Origin::short_code("12a4").is_err()
            && Origin::short_code("12345").is_ok()
    );
    let printed = format!(
        "{:?} {:?} {:?} {:?}",
        SmsSecret::new("twilio-token"),
        keys(),
        twilio("x"),
        vonage("x")
    );
    assert!(SECRETS.iter().all(|secret| !printed.contains(secret)), "{printed}");
}

#[test]
fn reports_are_understood() {
    use countersign::sender::DeliveryReport::{Delivered, Undeliverable};
    for (status, meaning) in [
        ("delivered", Some(Delivered)),
        ("undelivered", Some(Undeliverable)),
        ("failed", Some(Undeliverable)),
    ] {
        assert_eq!(Twilio::report(status), meaning, "{status}");
    }
    for (status, meaning) in [
        ("delivered", Some(Delivered)),
        ("undeliverable", Some(Undeliverable)),
        ("rejected", Some(Undeliverable)),
    ] {
        assert_eq!(countersign_sms::Vonage::report(status), meaning, "{status}");
    }
    for status in ["queued", "sent", "submitted", "", "Delivered?"] {
        assert_eq!(
            (Twilio::report(status), countersign_sms::Vonage::report(status)),
            (None, None),
            "{status}"
        );
    }
}
