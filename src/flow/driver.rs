//! One step: read once, decide, write once conditionally, and only then act.

use futures_lite::future::try_zip;

use crate::clock::Timestamp;
use crate::context::{Call, RequestContext};
use crate::error::{Error, PluginError};
use crate::event::{Event, EventKind};
use crate::flow::Inner;
use crate::ids::{LoginName, TenantId, UserId};
use crate::machine::{Damage, Decision, Draft, Opening, OutgoingNotice, Write};
use crate::sender::Notice;
use crate::store::{CommitOutcome, Snapshot, StoredRow};
use crate::user::User;

/// How often a step decides before it gives up.
pub(super) const ATTEMPTS: usize = 16;

/// What one step is about.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) call: Call<'a>,
    pub(super) user: &'a UserId,
}

/// How a step goes about it.
pub(super) struct Plan<'a> {
    pub(super) subject: Subject<'a>,
    /// What was read already, for the first attempt.
    pub(super) loaded: Option<Loaded>,
    /// Whose record stands in for that of a user who is gone (`I-17`).
    pub(super) stand_in: Option<&'a UserId>,
    pub(super) damage: Damage,
    pub(super) attempts: usize,
}

impl<'a> Plan<'a> {
    pub(super) const fn new(subject: Subject<'a>) -> Self {
        Self { subject, loaded: None, stand_in: None, damage: Damage::Fails, attempts: ATTEMPTS }
    }
}

/// What a step read.
pub(super) struct Loaded {
    pub(super) user: Option<User>,
    pub(super) snapshot: Snapshot,
}

/// What a step decided, after it was written: the only thing that anybody outside may see (`I-09`).
pub(super) struct Committed<T> {
    pub(super) outcome: T,
    pub(super) user: Option<User>,
    pub(super) at: Timestamp,
}

impl Inner {
    /// Reads the user and the record at the same time.
    pub(super) async fn load(&self, subject: Subject<'_>) -> Result<Loaded, Error> {
        let (user, snapshot) =
            try_zip(self.load_user(subject.call.tenant, subject.user), self.load_record(subject))
                .await?;
        Ok(Loaded { user, snapshot })
    }

    pub(super) async fn load_user(
        &self,
        tenant: &TenantId,
        id: &UserId,
    ) -> Result<Option<User>, Error> {
        match self.users.find_by_id(tenant, id).await.map_err(Error::user_store)? {
            Some(user) if user.id != *id => {
                Err(Error::user_store(PluginError::new("answered with another user")))
            }
            user => of_tenant(tenant, user),
        }
    }

    pub(super) async fn load_user_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, Error> {
        of_tenant(tenant, self.users.find_by_login(tenant, name).await.map_err(Error::user_store)?)
    }

    pub(super) async fn load_record(&self, subject: Subject<'_>) -> Result<Snapshot, Error> {
        let snapshot = self
            .factors
            .load(subject.call.tenant, subject.user)
            .await
            .map_err(Error::factor_store)?;
        self.require_known(snapshot.settings.as_ref())?;
        Ok(snapshot)
    }

    /// Fails for a tenant without saved settings, where the flow requires them: every way in which
    /// a step reads settings ends here, but for the one that sets a tenant up.
    pub(super) fn require_known(&self, settings: Option<&StoredRow>) -> Result<(), Error> {
        if self.known_tenants && settings.is_none() { Err(Error::UnknownTenant) } else { Ok(()) }
    }

    /// Reads for a step that commits nothing, and so notices no change that comes in between.
    ///
    /// A re-hash is noted in the record before it is saved with the user. A user who was read after
    /// it and a record that was read before it would look like a changed password, so that is
    /// looked at again: the user first, then the record, which then knows every hash that the user
    /// can have.
    pub(super) async fn load_to_read(&self, subject: Subject<'_>) -> Result<Loaded, Error> {
        let loaded = self.load(subject).await?;
        if loaded.user.is_none() || self.open(subject, &loaded)?.same_password() {
            return Ok(loaded);
        }
        self.load_in_order(subject).await
    }

    async fn load_in_order(&self, subject: Subject<'_>) -> Result<Loaded, Error> {
        let user = self.load_user(subject.call.tenant, subject.user).await?;
        let snapshot = self.load_record(subject).await?;
        Ok(Loaded { user, snapshot })
    }

    pub(super) fn open<'a>(
        &'a self,
        subject: Subject<'a>,
        loaded: &Loaded,
    ) -> Result<Box<Draft<'a>>, Error> {
        self.open_with(subject, loaded, Damage::Fails)
    }

    fn open_with<'a>(
        &'a self,
        subject: Subject<'a>,
        loaded: &Loaded,
        damage: Damage,
    ) -> Result<Box<Draft<'a>>, Error> {
        Draft::open(&Opening {
            rules: &self.rules,
            entropy: &*self.entropy,
            requests: self.requests.as_deref(),
            call: subject.call,
            user_id: subject.user,
            user: loaded.user.as_ref(),
            snapshot: &loaded.snapshot,
            now: Timestamp::now(&*self.clock)?,
            damage,
        })
    }

    /// An ordinary step.
    pub(super) async fn step<T>(
        &self,
        subject: Subject<'_>,
        decide: impl FnMut(&mut Draft<'_>, Option<&User>) -> Result<Decision<T>, Error> + Send,
    ) -> Result<Committed<T>, Error> {
        self.step_by(Plan::new(subject), decide).await
    }

    /// The loop of every step that decides on a user's record: load, decide, commit, act. It
    /// decides anew, on what is read anew, for as long as something else is written first.
    pub(super) async fn step_by<'a, T>(
        &'a self,
        plan: Plan<'a>,
        mut decide: impl FnMut(&mut Draft<'_>, Option<&User>) -> Result<Decision<T>, Error> + Send,
    ) -> Result<Committed<T>, Error> {
        let Plan { mut subject, loaded: mut before, mut stand_in, damage, attempts } = plan;
        let mut in_order = false;
        for _ in 0..attempts {
            let mut loaded = match before.take() {
                Some(loaded) => loaded,
                None if in_order => self.load_in_order(subject).await?,
                None => self.load(subject).await?,
            };
            if loaded.user.is_none()
                && let Some(user) = stand_in.take()
            {
                // Nothing is saved under an id that the application may have forgotten by now.
                subject.user = user;
                loaded = self.load(subject).await?;
            }
            let mut draft = self.open_with(subject, &loaded, damage)?;
            let decision = decide(&mut draft, loaded.user.as_ref())?;
            // What commits nothing does not notice that a re-hash came in between; see
            // `load_to_read`.
            if !in_order && loaded.user.is_some() && !draft.edited() && !draft.same_password() {
                in_order = true;
                continue;
            }
            if let Some(at) = self.commit(subject, draft, decision.write).await? {
                return Ok(self.act(subject, decision, loaded.user, at).await);
            }
        }
        Err(Error::Contended)
    }

    /// Writes what a draft has become, if that is needed. `None`: something else came first, and
    /// nothing was written.
    async fn commit(
        &self,
        subject: Subject<'_>,
        mut draft: Box<Draft<'_>>,
        write: Write,
    ) -> Result<Option<Timestamp>, Error> {
        let at = draft.now();
        let edited = draft.edited();
        match write {
            Write::Remove => {
                let removed = self.factors.remove(subject.call.tenant, subject.user).await;
                return removed.map(|_| Some(at)).map_err(Error::factor_store);
            }
            Write::IfEdited if !edited => return Ok(Some(at)),
            Write::IfEdited | Write::Decoy => {}
        }
        let (mut expected, next) = draft.prepare_commit()?;
        drop(draft);
        let in_vain = !edited;
        if in_vain {
            // The version that would be written is one that no row has: the same call, and nothing
            // to conflict with for anybody else.
            expected.record = Some(next.version);
        }
        match self
            .factors
            .commit(subject.call.tenant, subject.user, &expected, &next)
            .await
            .map_err(Error::factor_store)?
        {
            CommitOutcome::Conflict if !in_vain => Ok(None),
            CommitOutcome::Written | CommitOutcome::Conflict => Ok(Some(at)),
        }
    }

    /// What follows a decision that is written: its one event, and its notices.
    async fn act<T>(
        &self,
        subject: Subject<'_>,
        decision: Decision<T>,
        user: Option<User>,
        at: Timestamp,
    ) -> Committed<T> {
        let Decision { outcome, write, event, notices, held_back } = decision;
        let is_known = user.is_some() && !subject.user.is_phantom();
        let about = (is_known || write == Write::Remove).then_some(subject.user);
        self.emit(subject.call, about, at, event);
        if let Some(about_what) = held_back {
            self.emit(subject.call, about, at, EventKind::NoticeHeldBack { about: about_what });
        }
        if let Some(user) = &user {
            for notice in notices {
                self.notify(subject, user, notice, at).await;
            }
        }
        Committed { outcome, user, at }
    }

    pub(super) fn emit(
        &self,
        call: Call<'_>,
        user: Option<&UserId>,
        at: Timestamp,
        kind: EventKind,
    ) {
        self.events.emit(&Event {
            at: at.to_time(),
            tenant: call.tenant.clone(),
            user: user.cloned(),
            request: call.context.clone(),
            kind,
        });
    }

    /// Tells a person. A failure is an event and changes nothing.
    pub(super) async fn notify(
        &self,
        subject: Subject<'_>,
        user: &User,
        OutgoingNotice { destination, kind, held_back }: OutgoingNotice,
        at: Timestamp,
    ) {
        // Where an administrator works is none of the user's business, and where the user happens
        // to log in says nothing of who changed their address.
        let from = if kind.is_of_the_request() {
            subject.call.context.clone()
        } else {
            RequestContext::new()
        };
        let notice = Notice {
            tenant: subject.call.tenant.clone(),
            user: subject.user.clone(),
            destination,
            kind: kind.map_times(|time| user.local(time)),
            at: user.local(at.to_time()),
            language: user.language.clone(),
            held_back,
            from,
        };
        if let Err(error) = self.sender.notify(&notice).await {
            let failed =
                EventKind::NoticeFailed { error: error.kind(), causes: notice.causes(&error) };
            self.emit(subject.call, Some(subject.user), at, failed);
        }
    }
}

/// Refuses a user whose tenant, as the application's table spells it, is not to the byte the one
/// that was asked for: under the other spelling nothing is saved of the tenant's settings (`I-04`).
fn of_tenant(tenant: &TenantId, user: Option<User>) -> Result<Option<User>, Error> {
    match user {
        Some(user) if user.tenant != *tenant => Err(Error::user_store(PluginError::new(
            "answered with a user of a tenant that is spelled otherwise",
        ))),
        user => Ok(user),
    }
}
