//! The pages of a tenant's settings.

use askama::Template;
use countersign::administration::{Affected, Rehearsal, SettingsBounds};
use countersign::operator::PurgeProgress;
use countersign::policy::Scope;
use countersign::tenant::{SettingsVersion, TenantSettings, TrustedDevices};

use super::Frame;
use crate::administration::LISTED;
use crate::pages::settings_form::{DevicesChoice, LockoutChoice, SettingsFields, TRUST, Unit};
use crate::pages::words::{self, SettingsWords, described};
use crate::texts::Language;

/// The page that shows what the tenant has decided.
#[derive(Clone, Debug, Template)]
#[template(path = "settings.html")]
#[non_exhaustive]
pub struct SettingsPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// What the tenant has decided.
    pub settings: &'a TenantSettings,
    /// What the application allows.
    pub bounds: &'a SettingsBounds,
    /// Progress of the deletion that the last switching off started.
    pub purge: Option<&'a PurgeProgress>,
}

impl SettingsPage<'_> {
    fn shown(&self) -> &'static str {
        self.frame.w().scope(self.settings.scope)
    }

    /// Id, name and value of each other setting.
    fn others(&self) -> [Row; 5] {
        let [_, others @ ..] = rows(self.settings, self.bounds, &self.frame);
        others
    }
}

/// A setting in words: a name for its element, what it is called, and what it says.
type Row = (&'static str, &'static str, String);

/// All settings in words, the scope first.
fn rows(settings: &TenantSettings, bounds: &SettingsBounds, frame: &Frame<'_>) -> [Row; 6] {
    let (language, w) = (frame.language, frame.w());
    let s = SettingsWords::of(language);
    let TenantSettings {
        scope,
        single_sign_on,
        lockout,
        methods,
        trusted_devices,
        backup_codes,
        ..
    } = *settings;
    let backup = described::backup_codes(backup_codes, bounds, language);
    [
        ("scope", w.who_needs, w.scope(scope).to_owned()),
        (
            "single-sign-on",
            s.after_single_sign_on,
            described::single_sign_on(single_sign_on, language).to_owned(),
        ),
        ("methods", w.how_codes_come, described::methods(methods, bounds, language).to_owned()),
        ("lockout", s.lock, described::lockout(lockout, bounds, language)),
        ("trusted-devices", w.devices, described::devices(trusted_devices, bounds, language)),
        ("backup-codes", s.backup_codes, backup.to_owned()),
    ]
}

/// The form for other settings.
#[derive(Clone, Debug, Template)]
#[template(path = "edit_settings.html")]
#[non_exhaustive]
pub struct EditSettingsPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// The version of the settings that the form began with. The form sends it back.
    pub version: SettingsVersion,
    /// What the form shows.
    pub fields: &'a SettingsFields,
    /// What the application allows.
    pub bounds: &'a SettingsBounds,
}

/// A choice: value, name and meaning, and whether it is made.
type Choice = (&'static str, &'static str, String, bool);

impl EditSettingsPage<'_> {
    fn s(&self) -> &'static SettingsWords {
        SettingsWords::of(self.frame.language)
    }

    /// Value, name and meaning of each choice, and whether it is in force.
    fn scopes(&self) -> [Choice; 3] {
        let w = self.frame.w();
        [
            (Scope::DoNotUse, w.off_means),
            (Scope::EntireTenant, w.entire_tenant_means),
            (Scope::SystemAdministratorsOnly, w.administrators_only_means),
        ]
        .map(|(scope, means)| {
            (scope_value(scope), w.scope(scope), means.to_owned(), scope == self.fields.scope)
        })
    }

    fn single_sign_on(&self) -> [Choice; 2] {
        let s = self.s();
        let chosen = sso_value(self.fields);
        [
            ("exempt", s.sso_exempt, s.sso_exempt_means),
            ("system_administrators", s.sso_administrators, s.sso_administrators_mean),
        ]
        .map(|(value, name, means)| (value, name, means.to_owned(), value == chosen))
    }

    fn lockouts(&self) -> [Choice; 2] {
        let s = self.s();
        let chosen = lockout_value(self.fields);
        let default = described::lock(&self.bounds.lockout, self.frame.language);
        [("application", s.application, default), ("own", s.own, s.further_locks.to_owned())]
            .map(|(value, name, means)| (value, name, means, value == chosen))
    }

    fn device_choices(&self) -> Vec<Choice> {
        let s = self.s();
        let chosen = devices_value(self.fields);
        let default =
            described::devices(TrustedDevices::AsApplication, self.bounds, self.frame.language);
        let own = self.offers_devices().then_some((
            "at_most",
            s.devices_at_most,
            s.own_devices_mean.to_owned(),
        ));
        [
            ("as_application", s.application, default),
            ("off", s.not_allowed, s.devices_off_means.to_owned()),
        ]
        .into_iter()
        .chain(own)
        .map(|(value, name, means)| (value, name, means, value == chosen))
        .collect()
    }

    fn offers_devices(&self) -> bool {
        matches!(self.bounds.trusted_devices, TrustedDevices::AtMost { .. })
    }

    fn wrong_codes_range(&self) -> String {
        let SettingsBounds { least_wrong_codes, most_wrong_codes, .. } = *self.bounds;
        described::range(least_wrong_codes, most_wrong_codes, self.frame.language)
    }

    fn longest_lock_range(&self, unit: Unit) -> String {
        let space = if self.frame.language == Language::English { " " } else { "" };
        let SettingsBounds { least_longest_lock, longest_lock, .. } = *self.bounds;
        let range =
            described::time_range(least_longest_lock, longest_lock, unit, self.frame.language);
        format!("{range}{space}{}", self.s().not_shorter)
    }

    fn lock_range(&self, unit: Unit) -> String {
        let SettingsBounds { shortest_lock, longest_lock, .. } = *self.bounds;
        described::time_range(shortest_lock, longest_lock, unit, self.frame.language)
    }

    /// The person chooses the unit, so that each bound has its own.
    fn lifetime_range(&self) -> String {
        let most = match self.bounds.trusted_devices {
            TrustedDevices::AtMost { lifetime, .. } => lifetime,
            _ => self.bounds.shortest_trust,
        };
        let least = self.bounds.shortest_trust;
        described::time_range(least, most, Unit::Days, self.frame.language)
    }

    fn per_user_range(&self) -> String {
        let most = match self.bounds.trusted_devices {
            TrustedDevices::AtMost { per_user, .. } => per_user,
            _ => 1,
        };
        described::range(1, most, self.frame.language)
    }

    fn in_unit(&self, name: &str, unit: Unit) -> String {
        described::in_unit(name, unit, self.frame.language)
    }

    /// The units to choose from, with the one that the time is in now.
    fn units(&self) -> Vec<(&'static str, &'static str, bool)> {
        let now = self.fields.lifetime_unit;
        let more = (!TRUST.contains(&now)).then_some(now);
        TRUST
            .into_iter()
            .chain(more)
            .map(|unit| {
                (unit.value(), described::unit_name(unit, self.frame.language), unit == now)
            })
            .collect()
    }
}

/// The page on which a change of settings is reviewed, before it is saved.
#[derive(Clone, Debug, Template)]
#[template(path = "review_settings.html")]
#[non_exhaustive]
pub struct ReviewSettingsPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// The version of the settings that the change began with. The form sends it back.
    pub version: SettingsVersion,
    /// The settings from then on, as the form sends them.
    pub fields: &'a SettingsFields,
    /// The settings as they are.
    pub before: &'a TenantSettings,
    /// The settings from then on.
    pub after: &'a TenantSettings,
    /// What the application allows.
    pub bounds: &'a SettingsBounds,
    /// Who is affected, as far as people were looked at. `None`: the application has no list of its
    /// users.
    pub found: Option<&'a Rehearsal>,
    /// For how many users something is saved, if the change deletes all of it.
    pub deletes_all_of: Option<u64>,
    /// Whether the person must agree that people may be locked out.
    pub asks_to_accept: bool,
}

/// People who are affected: a name for the element, what happens to them, and who they are.
type Group<'a> = (&'static str, &'static str, &'a Affected);

impl ReviewSettingsPage<'_> {
    fn s(&self) -> &'static SettingsWords {
        SettingsWords::of(self.frame.language)
    }

    fn title(&self) -> &'static str {
        if self.deletes_all_of.is_some() { self.frame.w().off_title } else { self.s().review_title }
    }

    /// Name, value now and value afterwards of each setting that changes.
    fn changes(&self) -> Vec<(&'static str, String, String)> {
        let before = rows(self.before, self.bounds, &self.frame);
        let after = rows(self.after, self.bounds, &self.frame);
        let differ = [
            self.before.scope != self.after.scope,
            self.before.single_sign_on != self.after.single_sign_on,
            self.before.methods != self.after.methods,
            self.before.lockout != self.after.lockout,
            self.before.trusted_devices != self.after.trusted_devices,
            self.before.backup_codes != self.after.backup_codes,
        ];
        before
            .into_iter()
            .zip(after)
            .zip(differ)
            .filter_map(|(((_, name, before), (_, _, after)), differs)| {
                differs.then_some((name, before, after))
            })
            .collect()
    }

    fn deletes_for(&self) -> Option<String> {
        let users = self.deletes_all_of?;
        Some(words::deletes_for(users, self.frame.language))
    }

    fn groups<'f>(&self, found: &'f Rehearsal) -> Vec<Group<'f>> {
        let s = self.s();
        [
            ("locked-out", s.locked_out, &found.locked_out),
            ("newly-asked", s.newly_asked, &found.newly_asked),
            ("no-longer-asked", s.no_longer_asked, &found.no_longer_asked),
            ("other-method", s.other_method, &found.other_method),
            ("settings-deleted", s.settings_deleted, &found.settings_deleted),
            ("unreadable", s.unreadable, &found.unreadable),
        ]
        .into_iter()
        .filter(|(.., affected)| affected.count > 0)
        .collect()
    }

    fn affects_nobody(&self, found: &Rehearsal) -> bool {
        let lost = found.devices_deleted.saturating_add(found.backup_codes_deleted);
        self.groups(found).is_empty() && lost == 0
    }

    fn looked_at(&self, found: &Rehearsal) -> String {
        described::looked_at(found.people, found.next.is_some(), self.frame.language)
    }

    fn users(&self, affected: &Affected) -> String {
        described::users(affected.count, self.frame.language)
    }

    /// How many are not listed, if any.
    fn more(&self, affected: &Affected) -> Option<String> {
        let listed = affected.first.len().min(LISTED) as u64;
        let more = affected.count.saturating_sub(listed);
        (more > 0).then(|| described::and_more(more, self.frame.language))
    }

    /// Names and values of the hidden fields that say the settings.
    fn hidden(&self) -> Vec<(&'static str, &str)> {
        let f = self.fields;
        let chosen = |is: bool, name: &'static str| is.then_some((name, "yes"));
        [
            ("scope", scope_value(f.scope)),
            ("single_sign_on", sso_value(f)),
            ("lockout", lockout_value(f)),
            ("wrong_codes", &*f.wrong_codes),
            ("first_lock", &*f.first_lock),
            ("first_lock_unit", f.first_lock_unit.value()),
            ("longest_lock", &*f.longest_lock),
            ("longest_lock_unit", f.longest_lock_unit.value()),
            ("devices", devices_value(f)),
            ("lifetime", &*f.lifetime),
            ("lifetime_unit", f.lifetime_unit.value()),
            ("per_user", &*f.per_user),
        ]
        .into_iter()
        .chain(chosen(f.email, "email"))
        .chain(chosen(f.sms, "sms"))
        .chain(chosen(f.backup_codes, "backup_codes"))
        .collect()
    }
}

/// A scope as a form sends it.
const fn scope_value(scope: Scope) -> &'static str {
    match scope {
        Scope::DoNotUse => "do_not_use",
        Scope::EntireTenant => "entire_tenant",
        Scope::SystemAdministratorsOnly => "system_administrators_only",
    }
}

const fn sso_value(fields: &SettingsFields) -> &'static str {
    use countersign::tenant::SingleSignOn;
    match fields.single_sign_on {
        SingleSignOn::Exempt => "exempt",
        SingleSignOn::SystemAdministrators => "system_administrators",
    }
}

const fn lockout_value(fields: &SettingsFields) -> &'static str {
    match fields.lockout {
        LockoutChoice::Application => "application",
        LockoutChoice::Own => "own",
    }
}

const fn devices_value(fields: &SettingsFields) -> &'static str {
    match fields.devices {
        DevicesChoice::AsApplication => "as_application",
        DevicesChoice::Off => "off",
        DevicesChoice::AtMost => "at_most",
    }
}
