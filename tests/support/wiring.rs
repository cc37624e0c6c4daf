//! A world with plug-ins of its own: stores that refuse, senders that answer as they are told.

use super::*;

type Answer = Arc<dyn Fn(&CodeMessage) -> Result<SendStatus, SendError> + Send + Sync>;

/// A sender that keeps every code that it was handed, and answers as it is told.
#[derive(Clone)]
pub struct Answering {
    answer: Answer,
    pub handed: Outbox,
}

impl Answering {
    pub fn with(
        answer: impl Fn(&CodeMessage) -> Result<SendStatus, SendError> + Send + Sync + 'static,
    ) -> Self {
        Self { answer: Arc::new(answer), handed: Outbox::new() }
    }
}

#[async_trait]
impl CodeSender for Answering {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        let _sent = self.handed.send_code(message).await;
        (self.answer)(message)
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.handed.notify(notice).await
    }
}

impl World {
    /// Another flow over the same users, records and clock: what a restart leaves, with other
    /// plug-ins.
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
            .password_verifier(Counting::new(PlainPasswords, &self.calls))
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

    /// Writes a document over the record of a user of `acme` as somebody does who has the database.
    pub async fn overwrite(&self, user: &UserId, document: impl ToString) {
        self.overwrite_in(&self.acme, user, document).await;
    }

    /// The same, in any tenant.
    pub async fn overwrite_in(&self, tenant: &TenantId, user: &UserId, document: impl ToString) {
        let before = self.factors.load(tenant, user).await.unwrap();
        let saved = before.record.clone().expect("a record is saved");
        let expected = ExpectedVersions {
            settings: before.settings.map(|saved| saved.version),
            record: Some(saved.version),
        };
        let next = StoredRow {
            version: Version::from_bytes([9; 16]),
            generation: saved.generation,
            document: document.to_string(),
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
