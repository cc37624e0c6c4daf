//! What time ends: codes, pending logins, number changes and trusted devices (`I-07`, `I-08`). How
//! long each lives: `flow/builder.rs`. When a code is live: `LiveCode` in `record.rs`.

use crate::machine::Draft;

impl Draft<'_> {
    /// Brings the record to the present: what has expired goes. A clock that went back also
    /// ends what it would otherwise revive (`I-08`).
    pub(super) fn observe(&mut self) {
        let (limits, settings) = (self.limits(), &self.settings);
        let went_back = self.now.plus(limits.clock_tolerance) < self.record.seen;
        if !went_back {
            self.now = self.record.seen.max(self.now);
        }
        let now = self.now;
        self.record.edit_if(|record| {
            record.seen = now;
            if went_back {
                record.pending.clear();
                record.setup = None;
                record.devices.retain(|device| device.registered <= now);
                record.code_failures.clamp_to(now, &limits.codes);
                record.setup_failures.clamp_to(now, &limits.codes);
                record.password.failures.clamp_to(now, &limits.passwords);
                record.password.device_failures.clamp_to(now, &limits.passwords);
                record.sends.clamp_to(now);
                record.resets.clamp_to(now);
                record.notices.clamp_to(now);
            }
            // What was seen expired is written, so that no clock that goes back afterwards revives
            // it.
            let before = record.expiring_entries();
            record.pending.retain(|pending| now.is_within(pending.begun, limits.login_ttl));
            for pending in &mut record.pending {
                pending.code.take_if(|code| !code.is_live(now, &limits));
            }
            record.setup.take_if(|setup| !setup.code.is_live(now, &limits));
            record.devices.retain(|device| now < device.expires);
            // A backup code that is gone so is written with the next write, whatever it is for.
            settings.forget_ended(record);
            went_back || record.expiring_entries() != before
        });
    }
}
