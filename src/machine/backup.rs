//! The backup code: one, replaced in the commit that uses it (`I-31`).

use zeroize::Zeroizing;

use crate::error::Error;
use crate::event::{EventKind, SecretKind};
use crate::machine::code::wrong;
use crate::machine::entry::{BACKUP_SYMBOLS, CROCKFORD, grouped};
use crate::machine::grant::{Authenticated, FactorProof};
use crate::machine::pending::Next;
use crate::machine::record::{Backup, Pending};
use crate::machine::seal::{Label, Tag};
use crate::machine::token::TokenSecret;
use crate::machine::{Decision, Draft, Gate};
use crate::reason::{Denied, Reason};
use crate::secret::BackupCode;
use crate::sender::NoticeKind;
use crate::user::User;

/// The backup code was compared, was right, and is gone from the record.
pub(crate) struct BackupCodeVerified(());

impl Draft<'_> {
    /// Whether the user has a backup code. Nothing locks it: it cannot be guessed (`I-11`, `I-14`).
    pub(super) fn backup_code_usable(&self) -> bool {
        self.limits().backup_enabled && self.record.backup.is_some()
    }

    /// How many more wrong backup codes a login takes. The next login takes as many again (`I-14`).
    fn backup_attempts_left(&self, pending: &Pending) -> u32 {
        self.limits().codes.lock_after.saturating_sub(pending.wrong_backup)
    }

    /// Makes the user's one backup code; an earlier one is dead.
    pub(super) fn make_backup_code(&mut self) -> Result<BackupCode, Error> {
        // Five bits a symbol, of one byte each: all 32 symbols are equally likely.
        let random: Zeroizing<[u8; BACKUP_SYMBOLS]> = Zeroizing::new(self.draw.bytes()?);
        let symbols: Zeroizing<String> = Zeroizing::new(
            random
                .iter()
                .map(|byte| {
                    char::from(CROCKFORD.get(usize::from(byte & 31)).copied().unwrap_or(b'0'))
                })
                .collect(),
        );
        let pepper = self.rules.seal.current();
        let tag = self.backup_tag(pepper.as_deref(), &symbols)?;
        self.record.backup = Some(Backup { tag, pepper, made: self.now });
        Ok(BackupCode::new(grouped(&symbols)))
    }

    fn backup_tag(&self, pepper: Option<&str>, symbols: &str) -> Result<Tag, Error> {
        let parts: [&[u8]; 4] = [
            self.tenant.as_str().as_bytes(),
            self.user_id.as_str().as_bytes(),
            self.record.id.as_bytes(),
            symbols.as_bytes(),
        ];
        self.rules.seal.peppered_tag(Label::BackupCode, pepper, &parts)
    }

    /// Decides on a backup code. `typed` has the right form already.
    pub(crate) fn submit_backup_code(
        &mut self,
        token: &TokenSecret,
        typed: &str,
        user: Option<&User>,
    ) -> Result<Decision<Next>, Error> {
        let (mut pending, password) = match self.resume(token, user) {
            Ok(resumed) => resumed,
            Err(refusal) => return Ok(refusal.into_decision()),
        };
        let Some(user) = user else {
            return Ok(self.refuse(pending, Denied::new(Reason::LoginOver)));
        };
        if self.backup_attempts_left(&pending) == 0 {
            return Ok(self.refuse(pending, Denied::new(Reason::LoginBackupCodeLimit)));
        }
        let Some(backup) = self.record.backup.take() else {
            return Ok(self.refuse(pending, Denied::new(Reason::NoBackupCode)));
        };
        self.changed = true;
        if !self.backup_tag(backup.pepper.as_deref(), typed)?.matches(&backup.tag) {
            self.record.backup = Some(backup);
            pending.wrong_backup = pending.wrong_backup.saturating_add(1);
            let left = self.backup_attempts_left(&pending);
            let decision =
                wrong(SecretKind::BackupCode, pending.login, Gate::Open, left).map(Next::Denied);
            self.record.pending.push(pending);
            return Ok(decision);
        }
        let verified = BackupCodeVerified(());
        let successor = self.make_backup_code()?;
        let grant = self.complete(
            &password,
            user,
            pending.login,
            pending.channel,
            FactorProof::BackupCode(verified),
        );
        let event = EventKind::LoginCompleted {
            login: pending.login,
            basis: grant.second_factor().clone(),
            trusted: None,
        };
        let completion = Authenticated { grant, device_token: None, backup_code: Some(successor) };
        let mut decision = Decision::new(Next::Complete(Box::new(completion)), event);
        self.notify(&mut decision, user, &NoticeKind::BackupCodeUsed);
        Ok(decision)
    }
}
