//! Whether a record holds anything that is worth keeping.
//!
//! A record without which nothing would be decided differently may go. What stays, and why:
//!
//! - a number, a backup code, trusted devices, a pending login, a number that is being proved: they
//!   are what the person has;
//! - failures in a row, however old, because only success or a reset clears them (`I-10`), and so
//!   also a suspension (`I-11`);
//! - running locks, and failures, sends, notices and resets inside their windows (`I-12`, `I-15`,
//!   `I-26`);
//! - the names of the password's other hashes: grants are bound to the first one, and would not be
//!   recognised without them;
//! - the record's own identity, for as long as a session can live whose grant is bound to it.
//!
//! Records of unknown names hold failures in a row and nothing else, so they stay: there are at
//! most 256 of them in a tenant, and they count on like those of anybody who gets a password wrong
//! (`I-17`, `I-40`).

use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::Version;
use crate::limits::Limits;
use crate::machine::Rules;
use crate::machine::record::Record;
use crate::machine::settings::Settings;
use crate::store::Snapshot;

/// What a sweep finds in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retention {
    /// Something that a later step could rest on.
    Something,
    /// Nothing, as of this version.
    Nothing(Version),
    /// A record of an earlier generation, which a purge deletes, or none.
    Absent,
    /// A record that can't be read. It is left as it is (`I-37`).
    Unreadable,
}

/// Looks at what one load returned. No session of the application is older than `longest_session`.
pub(crate) fn worth(
    rules: &Rules,
    snapshot: &Snapshot,
    now: Timestamp,
    longest_session: Duration,
) -> Retention {
    let generation = snapshot.settings.as_ref().map(|saved| saved.generation).unwrap_or_default();
    let Some(saved) = snapshot.record.as_ref().filter(|saved| saved.generation >= generation)
    else {
        return Retention::Absent;
    };
    let (record, settings) = (
        Record::decode(&saved.document, rules.reads),
        Settings::read(snapshot.settings.as_ref(), rules.reads),
    );
    let (Ok(mut record), Ok(settings)) = (record, settings) else { return Retention::Unreadable };
    if saved.generation > generation {
        return Retention::Unreadable;
    }
    settings.forget_ended(&mut record);
    if record.is_idle(now, longest_session) && record.is_spent(&rules.limits, now) {
        Retention::Nothing(saved.version)
    } else {
        Retention::Something
    }
}

impl Record {
    /// Whether every session that is bound to this record is over. Whatever makes a grant that is
    /// bound to one also writes it, so none is younger than `seen`.
    fn is_idle(&self, now: Timestamp, longest_session: Duration) -> bool {
        self.seen.plus(longest_session) <= now
    }

    /// Whether a record that was never written would be decided on in the same way.
    fn is_spent(&self, limits: &Limits, now: Timestamp) -> bool {
        // Every field is named, so that a new one can't be forgotten here.
        let Self {
            format: _,
            id: _,
            seen: _,
            password,
            sms,
            // Nothing is decided by it once no device and no login hangs on it.
            address: _,
            pending,
            setup,
            code_failures,
            backup_failures: _,
            setup_failures,
            sends,
            devices,
            backup,
            resets,
            notices,
        } = self;
        sms.is_none()
            && backup.is_none()
            && pending.iter().all(|pending| !now.is_within(pending.begun, limits.login_ttl))
            && setup.as_ref().is_none_or(|setup| !setup.code.is_live(now, limits))
            && devices.iter().all(|device| device.expires <= now)
            && code_failures.is_spent(now, &limits.codes)
            && setup_failures.is_spent(now, &limits.codes)
            && password.failures.is_spent(now, &limits.passwords)
            && password.device_failures.is_spent(now, &limits.passwords)
            && password.rehashed.is_empty()
            && sends.is_spent(now)
            && resets.is_spent(now)
            && notices.is_spent(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Generation, StoredRow};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const SESSION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    const TAG: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_time(time::OffsetDateTime::UNIX_EPOCH).plus(Duration::from_secs(seconds))
    }

    fn rules() -> Rules {
        crate::machine::model::rules()
    }

    /// What is found of a record that was written at second 1,000 and has these fields besides.
    fn found(fields: &str, now: u64, longest_session: Duration) -> Retention {
        let (password, fields) = match fields.strip_prefix("password:") {
            Some(password) => (format!(r#"{{"epoch":"{ID}",{password}}}"#), String::new()),
            None if fields.is_empty() => (format!(r#"{{"epoch":"{ID}"}}"#), String::new()),
            None => (format!(r#"{{"epoch":"{ID}"}}"#), format!(",{fields}")),
        };
        let document =
            format!(r#"{{"format":1,"id":"{ID}","seen":1000000,"password":{password}{fields}}}"#);
        let snapshot = Snapshot { settings: None, record: Some(row(0, &document)) };
        worth(&rules(), &snapshot, at(now), longest_session)
    }

    fn row(generation: u32, document: &str) -> StoredRow {
        StoredRow {
            version: Version::from_bytes([7; 16]),
            generation: Generation::new(generation),
            document: document.to_owned(),
        }
    }

    const NOTHING: Retention = Retention::Nothing(Version::from_bytes([7; 16]));

    /// Each field by itself keeps a record until the second at which it stops to count, or for
    /// ever.
    #[test]
    fn each_field_keeps_a_record_until_it_counts_no_more() {
        let code = format!(r#"{{"tag":"{TAG}","issued":1000000,"reference":"BCDF"}}"#);
        let pending =
            format!(r#"{{"login":"{ID}","token":"{TAG}","channel":"web","begun":1000000}}"#);
        let device = format!(
            r#"{{"id":"{ID}","token":"{TAG}","label":"laptop","registered":1000000,"used":1000000,"expires":5000000}}"#
        );
        let day = 1_000 + DAY.as_secs();
        let month = 1_000 + 30 * DAY.as_secs();
        let hour = 1_000 + 60 * 60;
        let cases: [(&str, Option<u64>); 18] = [
            ("", Some(1_000)),
            (r#""sms":{"number":"+819012345678","proved":1000000}"#, None),
            (&format!(r#""backup":{{"tag":"{TAG}","made":1000000}}"#), None),
            (&format!(r#""pending":[{pending}]"#), Some(1_600)),
            (&format!(r#""setup":{{"token":"{TAG}","login":"{ID}","code":{code}}}"#), Some(1_180)),
            (&format!(r#""devices":[{device}]"#), Some(5_000)),
            (r#""sends":[1000000]"#, Some(day)),
            (r#""code_failures":{"streak":1}"#, None),
            (r#""backup_failures":{"streak":1}"#, Some(1_000)),
            (r#""setup_failures":{"streak":1}"#, None),
            (r#""setup_failures":{"recent":[1000000]}"#, Some(month)),
            (r#"password:"failures":{"streak":1}"#, None),
            (r#"password:"device_failures":{"streak":1}"#, None),
            (&format!(r#"password:"rehashed":["{ID}"]"#), None),
            (r#""resets":[1000000]"#, Some(month)),
            (r#""resets":[0,1000000]"#, Some(month)),
            (r#""notices":[{"about":"reset","sent":1000000}]"#, Some(hour)),
            (r#""notices":[{"about":"reset","sent":1000000,"held_back":1}]"#, Some(month)),
        ];
        for (fields, until) in cases {
            let Some(until) = until else {
                assert_eq!(
                    found(fields, 4_000_000_000, Duration::ZERO),
                    Retention::Something,
                    "{fields}"
                );
                continue;
            };
            assert_eq!(found(fields, until - 1, Duration::ZERO), Retention::Something, "{fields}");
            assert_eq!(found(fields, until, Duration::ZERO), NOTHING, "{fields}");
        }
    }

    #[test]
    fn sessions_keep_a_record_that_holds_nothing() {
        let over = 1_000 + SESSION.as_secs();
        assert_eq!(found("", over - 1, SESSION), Retention::Something);
        assert_eq!(found("", over, SESSION), NOTHING);
        assert_eq!(found("", over, Duration::MAX), Retention::Something);
    }

    /// A window that another configuration counted in is not known any more: what is in it stays
    /// (I-12).
    #[test]
    fn failures_in_an_unknown_window_are_kept() {
        let password = r#"password:"failures":{"recent":[1000000]}"#;
        assert_eq!(found(password, 4_000_000_000, Duration::ZERO), Retention::Something);
    }

    /// I-37: what can't be read is not taken for nothing.
    #[test]
    fn an_unknown_field_makes_a_record_unreadable() {
        assert_eq!(found(r#""passkeys":[]"#, 4_000_000_000, Duration::ZERO), Retention::Unreadable);
    }

    /// I-37: a record of a generation that the tenant has not reached is left as it is.
    #[test]
    fn only_a_record_of_the_tenants_generation_is_looked_into() {
        let document =
            format!(r#"{{"format":1,"id":"{ID}","seen":1000000,"password":{{"epoch":"{ID}"}}}}"#);
        for (generation, expected) in
            [(0, Retention::Absent), (1, NOTHING), (2, Retention::Unreadable)]
        {
            let settings = row(1, r#"{"format":1,"scope":"entire_tenant"}"#);
            let snapshot =
                Snapshot { settings: Some(settings), record: Some(row(generation, &document)) };
            assert_eq!(
                worth(&rules(), &snapshot, at(4_000_000_000), Duration::ZERO),
                expected,
                "{generation}"
            );
        }
    }

    /// What a change of settings has ended keeps nothing, unless it was made after that; and with
    /// settings that can't be read nobody knows.
    #[test]
    fn what_the_tenant_has_ended_is_nothing() {
        for (made, settings, expected) in [
            (1_000_000, r#""backup_codes_from":1000000"#, NOTHING),
            (1_000_001, r#""backup_codes_from":1000000"#, Retention::Something),
            (1_000_000, r#""passkeys":[]"#, Retention::Unreadable),
        ] {
            let document = format!(
                r#"{{"format":1,"id":"{ID}","seen":1000000,"password":{{"epoch":"{ID}"}},"backup":{{"tag":"{TAG}","made":{made}}}}}"#
            );
            let settings = format!(r#"{{"format":2,"scope":"entire_tenant",{settings}}}"#);
            let snapshot =
                Snapshot { settings: Some(row(1, &settings)), record: Some(row(1, &document)) };
            let found = worth(&rules(), &snapshot, at(4_000_000_000), Duration::ZERO);
            assert_eq!(found, expected, "{settings}");
        }
    }

    #[test]
    fn no_record_is_no_record() {
        assert_eq!(worth(&rules(), &Snapshot::default(), at(1), Duration::ZERO), Retention::Absent);
    }
}
