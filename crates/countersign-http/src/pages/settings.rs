//! The pages of the tenant's settings: shown, edited, reviewed and saved.

use bytes::Bytes;
use countersign::administration::{Administration, Rehearsal};
use countersign::tenant::{Methods, SettingsVersion, SingleSignOn, TenantSettings};
use countersign::{Grant, LockOuts, OperationError, Reason, Scope, ShownSettings};
use http::{Response, StatusCode};
use http_body_util::Full;

use super::account::leads_to_the_login;
use super::screens::{Alert, EditSettingsPage, ReviewSettingsPage, SettingsPage};
use super::settings_form::{SettingsFields, SettingsForm, field_of};
use super::visit::Visit;
use super::words::SettingsWords;
use crate::answer::status;
use crate::exchange::Answered;
use crate::texts::sentence;

/// The most people that are looked at for one page.
const MOST_REHEARSED: u64 = 20_000;

/// A change of settings, as it was sent.
struct Change {
    /// The version of the settings that it began with.
    version: SettingsVersion,
    before: TenantSettings,
    after: TenantSettings,
}

/// What a page says, and with which status.
struct Said {
    status: StatusCode,
    alert: Option<Alert>,
}

impl Said {
    const NOTHING: Self = Self { status: StatusCode::OK, alert: None };
}

impl Visit<'_> {
    pub(super) async fn show_settings(
        &mut self,
        grant: &Grant,
        administration: &Administration,
    ) -> Answered {
        let shown = administration.settings().await?;
        let purge = administration.purge_progress().await?;
        let bounds = self.exchange.inner.flow.settings_bounds();
        let page = SettingsPage {
            frame: self.frame_for(grant),
            settings: &shown.settings,
            bounds: &bounds,
            purge: purge.as_ref(),
        };
        self.html(StatusCode::OK, self.pages.screens.settings(&page))
    }

    pub(super) async fn edit_settings(
        &mut self,
        grant: &Grant,
        administration: &Administration,
    ) -> Answered {
        let ShownSettings { settings, version, .. } = administration.settings().await?;
        let fields = SettingsFields::of(&settings, &self.exchange.inner.flow.settings_bounds());
        self.form_page(grant, version, &fields, Said::NOTHING)
    }

    /// Nothing is changed if somebody else has changed the settings since they were shown (`I-42`),
    /// and nothing before the page has said what the change does.
    pub(super) async fn save_settings(
        &mut self,
        grant: &Grant,
        administration: &Administration,
    ) -> Answered {
        let form: SettingsForm = self.form()?;
        let shown = administration.settings().await?;
        if form.version != shown.version {
            return Ok(self.changed_meanwhile());
        }
        let after = match form.fields.read(shown.settings) {
            Ok(after) => after,
            Err(field) => {
                let text = SettingsWords::of(self.exchange.answering.language).whole_number;
                let alert = Some(Alert::refusal(text.to_owned(), Some(field)));
                let said = Said { status: StatusCode::UNPROCESSABLE_ENTITY, alert };
                return self.form_page(grant, form.version, &form.fields, said);
            }
        };
        if form.back {
            return self.form_page(grant, form.version, &form.fields, Said::NOTHING);
        }
        if after == shown.settings {
            let place = self.path("/settings");
            return Ok(self.redirect(&place));
        }
        let change = Change { version: form.version, before: shown.settings, after };
        if form.confirmed && form.accept_lock_outs {
            return self.save(grant, administration, &change, LockOuts::Accept).await;
        }
        let found = match self.rehearse(administration, &change.after).await {
            Ok(found) => found,
            Err(error) => return self.refused(grant, &change, error),
        };
        if !form.confirmed {
            return self.review(grant, administration, &change, found, Said::NOTHING).await;
        }
        // The flow refuses a change that forbids a method. People can be locked out by others, too.
        if found.is_some_and(|found| found.locked_out.count > 0) {
            return self.not_accepted(grant, administration, &change).await;
        }
        self.save(grant, administration, &change, LockOuts::Refuse).await
    }

    async fn save(
        &mut self,
        grant: &Grant,
        administration: &Administration,
        change: &Change,
        lock_outs: LockOuts,
    ) -> Answered {
        match administration.change_settings(change.version, &change.after, lock_outs).await {
            Ok(_) => {
                let place = self.path("/settings?done=saved");
                Ok(self.redirect(&place))
            }
            Err(OperationError::Denied(denied)) if denied.reason() == Reason::WouldLockOut => {
                self.not_accepted(grant, administration, change).await
            }
            Err(error) => self.refused(grant, change, error),
        }
    }

    /// What the change would do. `None`: the application has no list of its users.
    async fn rehearse(
        &self,
        administration: &Administration,
        after: &TenantSettings,
    ) -> Result<Option<Rehearsal>, OperationError> {
        let found = administration.rehearse(after, Rehearsal::default(), MOST_REHEARSED).await;
        match found {
            Err(OperationError::Denied(denied))
                if denied.reason() == Reason::NotFound
                    && !self.exchange.inner.flow.has_directory() =>
            {
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// The page that says what the change does, before it is made.
    async fn review(
        &mut self,
        grant: &Grant,
        administration: &Administration,
        change: &Change,
        found: Option<Rehearsal>,
        said: Said,
    ) -> Answered {
        let bounds = self.exchange.inner.flow.settings_bounds();
        let deletes_all_of =
            if change.switches_off() { Some(administration.saved_users().await?) } else { None };
        let is_unsure =
            found.as_ref().is_none_or(|found| found.unreadable.count > 0 || found.next.is_some());
        let locks_out = found.as_ref().is_some_and(|found| found.locked_out.count > 0);
        let forbids = change.forbids_one_of(bounds.methods);
        let mut frame = self.frame_for(grant);
        let asks_to_accept = locks_out || (forbids && is_unsure) || said.alert.is_some();
        frame.alert = said.alert;
        let page = ReviewSettingsPage {
            frame,
            version: change.version,
            fields: &SettingsFields::of(&change.after, &bounds),
            before: &change.before,
            after: &change.after,
            bounds: &bounds,
            found: found.as_ref(),
            deletes_all_of,
            asks_to_accept,
        };
        self.html(said.status, self.pages.screens.review_settings(&page))
    }

    /// The same page again: people may be locked out, and nobody has agreed to that.
    async fn not_accepted(
        &mut self,
        grant: &Grant,
        administration: &Administration,
        change: &Change,
    ) -> Answered {
        let found = match self.rehearse(administration, &change.after).await {
            Ok(found) => found,
            Err(error) => return self.refused(grant, change, error),
        };
        let text = sentence(Reason::WouldLockOut, self.exchange.answering.language).to_owned();
        let alert = Some(Alert::refusal(text, Some("accept_lock_outs")));
        let said = Said { status: status(Reason::WouldLockOut), alert };
        self.review(grant, administration, change, found, said).await
    }

    /// The form again, with what was chosen and why it is refused.
    fn refused(&mut self, grant: &Grant, change: &Change, error: OperationError) -> Answered {
        let denied = match error {
            OperationError::Denied(denied) if !leads_to_the_login(denied.reason()) => denied,
            error => return Err(error.into()),
        };
        let field = match denied.reason() {
            Reason::SettingsChanged => return Ok(self.changed_meanwhile()),
            Reason::InvalidSettings(error) => field_of(error.setting()),
            _ => None,
        };
        let fields = SettingsFields::of(&change.after, &self.exchange.inner.flow.settings_bounds());
        let said =
            Said { status: status(denied.reason()), alert: Some(self.refusal(&denied, field)) };
        self.form_page(grant, change.version, &fields, said)
    }

    /// The form with these fields.
    fn form_page(
        &mut self,
        grant: &Grant,
        version: SettingsVersion,
        fields: &SettingsFields,
        said: Said,
    ) -> Answered {
        let bounds = self.exchange.inner.flow.settings_bounds();
        let mut frame = self.frame_for(grant);
        frame.alert = said.alert.or(frame.alert);
        let page = EditSettingsPage { frame, version, fields, bounds: &bounds };
        self.html(said.status, self.pages.screens.edit_settings(&page))
    }

    /// To the form, with the settings that hold now.
    fn changed_meanwhile(&mut self) -> Response<Full<Bytes>> {
        let place = self.path("/settings/edit?done=changed");
        self.redirect(&place)
    }
}

impl Change {
    /// Whether it deletes all that is saved for the tenant's users, because nobody is asked any
    /// more.
    fn switches_off(&self) -> bool {
        let Self { before, after, .. } = self;
        let by_single_sign_on = before.single_sign_on != SingleSignOn::Exempt
            && after.single_sign_on == SingleSignOn::Exempt;
        after.scope == Scope::DoNotUse && (before.scope != Scope::DoNotUse || by_single_sign_on)
    }

    fn forbids_one_of(&self, offered: Methods) -> bool {
        let (before, after) = (self.before.methods.and(offered), self.after.methods.and(offered));
        (before.email && !after.email) || (before.sms && !after.sms)
    }
}
