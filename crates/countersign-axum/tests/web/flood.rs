//! More first steps than passwords can be checked.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use countersign::Password;
use countersign::error::PluginError;
use countersign::password::{Admission, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::user::PasswordHash;
use countersign_testkit::PlainPasswords;
use countersign_tokio::BlockingPool;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc as events};
use tower::ServiceExt;

use crate::site::{Answer, Browser, PASSWORD, Site};

/// Only a test that fails waits so long.
const NEVER: Duration = Duration::from_secs(20);

/// A verifier with two places whose checks wait for the test, on the threads that they run on.
struct Gate {
    places: Arc<Semaphore>,
    open: Mutex<mpsc::Receiver<()>>,
    happened: events::UnboundedSender<&'static str>,
}

#[async_trait]
impl PasswordVerifier for Gate {
    fn admit(&self) -> Result<Admission, Busy> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Busy::new(Duration::from_secs(7)))?;
        let _ = self.happened.send("admitted");
        Ok(Admission::holding(place))
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        let _ = self.happened.send("hashing");
        // Nothing else may run on this thread: a worker of the runtime would stop here.
        self.open.lock().unwrap().recv_timeout(NEVER)?;
        PlainPasswords.verify(attempt).await
    }

    async fn hash_password(&self, _: &Password) -> Result<Option<PasswordHash>, PluginError> {
        Ok(None)
    }
}

/// I-40: hashes block no task of the runtime, and the first steps beyond the queue are refused with
/// a time to wait before anything is looked up, charged or written.
#[tokio::test]
async fn a_flood_of_first_steps_is_refused_unread() {
    let (open, opened) = mpsc::channel();
    let (happened, mut events) = events::unbounded_channel();
    let places = Arc::new(Semaphore::new(2));
    let gate = Gate { places, open: Mutex::new(opened), happened };
    let site = Site::with(|builder| builder.password_verifier(BlockingPool::new(gate, 1))).await;
    let login = |name: &str| {
        let body = json!({"name": name, "password": PASSWORD});
        let request = Browser::at(&site.app()).request("POST", "/auth/login", &body);
        site.app().oneshot(request)
    };
    let first = tokio::spawn(login("alice"));
    assert_eq!(events.recv().await, Some("admitted"));
    assert_eq!(events.recv().await, Some("hashing"));
    let second = tokio::spawn(login("bob"));
    assert_eq!(events.recv().await, Some("admitted"));
    // On this one thread, it has reached the queue for a hash.
    tokio::task::yield_now().await;
    site.world.calls.clear();
    site.world.events.clear();

    for name in ["alice", "bob", "root", "nobody"].iter().cycle().take(40) {
        let answer = Answer::of(login(name).await.unwrap()).await;
        assert_eq!((answer.status, answer.reason()), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
        assert_eq!(answer.headers["retry-after"], "7");
        assert!(answer.headers.get("set-cookie").is_none());
    }
    assert_eq!(site.world.calls.all(), Vec::<&str>::new(), "nothing was looked at");
    let events = site.world.events.kinds();
    assert_eq!(events.len(), 40, "one for each (I-38)");
    assert!(events.iter().all(|kind| kind.name() == "step_refused"), "{events:?}");

    for waiting in [first, second] {
        open.send(()).unwrap();
        let answer = Answer::of(waiting.await.unwrap().unwrap()).await;
        assert_eq!(answer.step(), "code_required", "{}", answer.text);
    }
    // There is room again, and no wrong attempt was counted for anybody.
    open.send(()).unwrap();
    assert_eq!(Answer::of(login("root").await.unwrap()).await.step(), "code_required");
    assert_eq!(site.world.outbox.codes().len(), 3);
}
