//! A world with plug-ins of its own: stores that refuse, senders that answer as they are told.

use super::wrapped::Wraps;
use super::*;

type Answer = Arc<dyn Fn(&CodeMessage) -> Result<SendStatus, SendError> + Send + Sync>;

/// How a store's conditional writes end, whatever is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    Work,
    Conflict,
    Fail,
}

/// A store whose commits are noted, and end as they are told.
#[derive(Clone)]
pub struct Unsteady {
    pub inner: MemoryFactors,
    pub calls: Calls,
    pub writes: Arc<Mutex<Writes>>,
}

impl Unsteady {
    pub fn over(inner: &MemoryFactors) -> Self {
        Self {
            inner: inner.clone(),
            calls: Calls::default(),
            writes: Arc::new(Mutex::new(Writes::Work)),
        }
    }

    pub fn set(&self, writes: Writes) {
        *self.writes.lock().unwrap() = writes;
    }
}

#[async_trait]
impl Wraps for Unsteady {
    type Inner = MemoryFactors;

    fn inner(&self) -> &MemoryFactors {
        &self.inner
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.calls.note("commit");
        let writes = *self.writes.lock().unwrap();
        match writes {
            Writes::Work => self.inner.commit(tenant, user, expected, next).await,
            Writes::Conflict => Ok(CommitOutcome::Conflict),
            Writes::Fail => Err(PluginError::new("the disk is full")),
        }
    }
}

/// A sender that keeps every code that it was handed, and answers as it is told.
#[derive(Clone)]
pub struct Answering {
    pub answer: Answer,
    pub handed: Arc<Mutex<Vec<SentCode>>>,
}

impl Answering {
    pub fn with(
        answer: impl Fn(&CodeMessage) -> Result<SendStatus, SendError> + Send + Sync + 'static,
    ) -> Self {
        Self { answer: Arc::new(answer), handed: Arc::default() }
    }

    pub fn handed(&self) -> Vec<SentCode> {
        self.handed.lock().unwrap().clone()
    }
}

#[async_trait]
impl CodeSender for Answering {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.handed.lock().unwrap().push(SentCode {
            to: message.destination.clone(),
            code: message.code.expose().to_owned(),
            reference: message.reference.to_string(),
            purpose: message.purpose,
            user: message.user.clone(),
            tenant: message.tenant.clone(),
        });
        (self.answer)(message)
    }

    async fn notify(&self, _: &Notice) -> Result<SendStatus, SendError> {
        Ok(SendStatus::Sent)
    }
}

impl World {
    /// Another flow over the same users, records and clock: what a restart leaves.
    pub fn reopen(&mut self, configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder) {
        let users = Counting { inner: self.users.clone(), calls: self.calls.clone() };
        let factors = Counting { inner: self.factors.clone(), calls: self.calls.clone() };
        self.rewire(users, factors, self.outbox.clone(), configure);
    }

    /// The same with other plug-ins.
    pub fn rewire(
        &mut self,
        users: impl UserStore + 'static,
        factors: impl FactorStore + 'static,
        sender: impl CodeSender + 'static,
        configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
    ) {
        let builder = LoginFlow::builder(users, factors, sender)
            .clock(self.clock.clone())
            .entropy(SeededEntropy::new(11))
            .password_verifier(Counting { inner: PlainPasswords, calls: self.calls.clone() })
            .events(self.events.clone());
        self.flow = configure(builder).build().unwrap();
    }

    /// Sets the scope of the tenant that did not use it.
    pub async fn set_other_scope(&self, scope: Scope) {
        let step = self.begin_as(&self.other, "root", PASSWORD, Channel::Web, None).await.unwrap();
        let grant = authenticated(step).grant;
        self.request_for(&self.other)
            .administration(&grant)
            .await
            .unwrap()
            .set_scope(scope)
            .await
            .unwrap();
    }

    /// The same as [`World::begin`], in any tenant.
    pub async fn begin_in(&self, tenant: &TenantId, name: &str) -> Box<Challenge> {
        challenge(self.begin_as(tenant, name, PASSWORD, Channel::Web, None).await.unwrap())
    }

    /// The saved row of a user of `acme`, version and all.
    pub fn row(&self, user: &UserId) -> Option<StoredRow> {
        self.factors.record(&self.acme, user)
    }

    /// Writes a record of a user of `acme` as somebody does who has the database.
    pub async fn overwrite_with(&self, user: &UserId, record: &serde_json::Value) {
        self.overwrite_in(&self.acme, user, record).await;
    }

    /// The same, in any tenant.
    pub async fn overwrite_in(&self, tenant: &TenantId, user: &UserId, record: &serde_json::Value) {
        let before = self.factors.load(tenant, user).await.unwrap();
        let saved = before.record.clone().unwrap();
        let expected = ExpectedVersions {
            settings: before.settings.map(|saved| saved.version),
            record: Some(saved.version),
        };
        let next = StoredRow {
            version: Version::from_bytes([9; 16]),
            generation: saved.generation,
            document: record.to_string(),
        };
        assert_eq!(
            self.factors.commit(tenant, user, &expected, &next).await.unwrap(),
            CommitOutcome::Written
        );
    }

    /// The one event since the last time.
    #[track_caller]
    pub fn only_event(&self) -> Event {
        let events = self.events.all();
        assert_eq!(events.len(), 1, "{events:?}");
        self.events.clear();
        events.into_iter().next().unwrap()
    }

    /// Resets a user of `acme`, by the host's own handle.
    pub async fn reset_by_operator(&self, user: &UserId) {
        let _ = self.flow.operator("test").unwrap().reset(&self.acme, user).await.unwrap();
    }

    /// Submits wrong codes, and answers the last step.
    pub async fn fail_codes(&self, token: &PendingToken, times: usize) -> LoginStep {
        let wrong = self.wrong_code();
        for _ in 1..times {
            let _ = self.submit(token, &wrong).await;
        }
        self.submit(token, &wrong).await
    }
}

impl World {
    /// The time by the world's clock.
    pub fn now(&self) -> time::OffsetDateTime {
        countersign::clock::Clock::now(&self.clock).unwrap()
    }
}
