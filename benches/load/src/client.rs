//! A client with cookies, on one connection that stays open.

use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub(crate) struct Client {
    port: u16,
    connection: SendRequest<Full<Bytes>>,
    cookies: Vec<String>,
}

/// What a request was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The seconds of `Retry-After`.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
}

impl Client {
    pub(crate) async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Self { port, connection, cookies: Vec::new() })
    }

    /// Another person, with a browser without cookies.
    pub(crate) fn forget(&mut self) {
        self.cookies.clear();
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, Box<dyn Error>> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    pub(crate) async fn post(
        &mut self,
        path: &str,
        body: &Value,
    ) -> Result<Answer, Box<dyn Error>> {
        self.send(Method::POST, path, body.to_string().into()).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, Box<dyn Error>> {
        let host = format!("localhost:{}", self.port);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ORIGIN, format!("http://{host}"))
            .header(header::HOST, host)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::COOKIE, self.cookies.join("; "))
            .body(Full::from(body))?;
        self.connection.ready().await?;
        let (parts, body) = self.connection.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            // Cookies that are cleared are kept: a second submission of a code is to have them.
            if !pair.ends_with('=') {
                self.cookies.push(pair.to_owned());
            }
        }
        let retry_after = parts.headers.get(header::RETRY_AFTER);
        Ok(Answer {
            status: parts.status,
            retry_after: retry_after.and_then(|value| value.to_str().ok()?.parse().ok()),
            body: if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? },
        })
    }
}
