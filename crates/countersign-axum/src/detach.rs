//! Steps that go on when the client hangs up.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use countersign_http::{MAX_BODY, refusal};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::watch;
use tokio::time::timeout;
use tower_layer::Layer;
use tower_service::Service;

const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Layer that runs each request in a task of its own, which goes on when the client hangs up.
///
/// Otherwise an attacker who hangs up after a step was saved can keep the person from being
/// notified. [`router`](crate::router) has this layer. Add it to routes of your own that change
/// something through an `Account` or an `Administration`.
///
/// The body is read before the task begins (`I-40`): at most [`MAX_BODY`] bytes (otherwise 413), in
/// at most 10 seconds (otherwise 408). A body that breaks off is 400, a task that panics 500. Put
/// layers that write the response, such as tower-sessions' `SessionManagerLayer`, around this one.
///
/// Clones share what is under way. Before the runtime stops, wait for [`idle`](Self::idle).
///
/// ```
/// use countersign::error::report;
/// use countersign_axum::Detach;
///
/// let detach = Detach::new().on_failure(|error| eprintln!("{}", report(error)));
/// ```
#[derive(Clone)]
#[must_use = "give it to `router`, or to a route's `layer`"]
pub struct Detach {
    body_timeout: Duration,
    on_failure: Arc<Report>,
    under_way: Arc<watch::Sender<usize>>,
}

/// Takes what broke.
type Report = dyn Fn(&(dyn Error + 'static)) + Send + Sync;

impl Detach {
    /// A layer that waits 10 seconds for a body and drops what tasks panic with.
    pub fn new() -> Self {
        Self {
            body_timeout: BODY_TIMEOUT,
            on_failure: Arc::new(|_| {}),
            under_way: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Sets how long the whole body of a request may take to arrive. By default 10 seconds.
    pub fn body_timeout(mut self, limit: Duration) -> Self {
        self.body_timeout = limit;
        self
    }

    /// Sets what receives the cause when a task panics, also after its client has gone. The client
    /// learns nothing of it.
    ///
    /// The error repeats the message of the panic. It can be the same function as for
    /// [`WebBuilder::on_failure`](countersign_http::WebBuilder::on_failure).
    pub fn on_failure(
        mut self,
        report: impl Fn(&(dyn Error + 'static)) + Send + Sync + 'static,
    ) -> Self {
        self.on_failure = Arc::new(report);
        self
    }

    /// Waits until no task of this layer and its clones is under way.
    ///
    /// Call it at the end of `main`, after the server has stopped: a runtime that stops ends its
    /// tasks where they are.
    ///
    /// # Cancel safety
    ///
    /// Waiting changes nothing.
    pub async fn idle(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.under_way.subscribe().wait_for(|tasks| *tasks == 0).await;
    }

    async fn read(&self, body: Body) -> Result<Bytes, StatusCode> {
        let too_large = StatusCode::PAYLOAD_TOO_LARGE;
        if usize::try_from(body.size_hint().lower()).is_ok_and(|length| length <= MAX_BODY) {
            match timeout(self.body_timeout, Limited::new(body, MAX_BODY).collect()).await {
                Ok(Ok(read)) => Ok(read.to_bytes()),
                Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large),
                Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
                Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
            }
        } else {
            Err(too_large)
        }
    }

    /// Runs this in a task. Dropping the future leaves the task running.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let counted = Counted::new(&self.under_way);
        let report = Arc::clone(&self.on_failure);
        // Two tasks: the outer one reports a panic also if nobody waits for the answer.
        let outer = tokio::spawn(async move {
            let _counted = counted;
            tokio::spawn(work).await.inspect_err(|error| report(error)).ok()
        });
        outer.await.ok().flatten()
    }
}

impl Default for Detach {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Detach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detach")
            .field("body_timeout", &self.body_timeout)
            .field("under_way", &*self.under_way.borrow())
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for Detach {
    type Service = Detached<S>;

    fn layer(&self, inner: S) -> Detached<S> {
        Detached { inner, detach: self.clone() }
    }
}

/// Service that [`Detach`] makes.
#[derive(Clone, Debug)]
pub struct Detached<S> {
    inner: S,
    detach: Detach,
}

impl<S> Service<Request> for Detached<S>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Response: IntoResponse + Send + 'static,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // The task waits for the service inside.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (mut inner, detach) = (self.inner.clone(), self.detach.clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = match detach.read(body).await {
                Ok(body) => body,
                Err(status) => return Ok(refused(&parts, status)),
            };
            let head = parts.clone();
            let request = Request::from_parts(parts, Body::from(body));
            let answered = detach.run(async move {
                poll_fn(|context| inner.poll_ready(context)).await?;
                inner.call(request).await
            });
            match answered.await {
                Some(answered) => answered.map(IntoResponse::into_response),
                None => Ok(refused(&head, StatusCode::INTERNAL_SERVER_ERROR)),
            }
        })
    }
}

fn refused(request: &Parts, status: StatusCode) -> Response {
    refusal(request, status).map(Body::new)
}

/// One task that is under way.
struct Counted(Arc<watch::Sender<usize>>);

impl Counted {
    fn new(under_way: &Arc<watch::Sender<usize>>) -> Self {
        under_way.send_modify(|tasks| *tasks = tasks.saturating_add(1));
        Self(Arc::clone(under_way))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|tasks| *tasks = tasks.saturating_sub(1));
    }
}
