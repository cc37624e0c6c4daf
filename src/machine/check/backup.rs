//! The backup code: made and compared (`I-31`).

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::machine::Draft;
use crate::machine::record::Backup;
use crate::machine::seal::{Label, Tag};
use crate::machine::typed::{BACKUP_SYMBOLS, CROCKFORD, grouped};
use crate::secret::BackupCode;

/// The backup code was compared, was right, and is gone from the record.
pub(crate) struct BackupCodeVerified(());

impl Draft<'_> {
    /// Whether the user has a backup code. Nothing locks it: it cannot be guessed (`I-11`, `I-14`).
    pub(in crate::machine) fn backup_code_usable(&self) -> bool {
        self.limits().backup_enabled && self.record.backup.is_some()
    }

    /// Makes the user's one backup code; an earlier one is dead.
    pub(in crate::machine) fn make_backup_code(&mut self) -> Result<BackupCode, Error> {
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
        // What was made before the tenant's settings ended it does not come back; see
        // `backup_codes_from`.
        let from = self.settings.backup_codes_from;
        let made = self.now.max(from.map_or(self.now, Timestamp::next));
        self.record.edit().backup = Some(Backup { tag, pepper, made });
        Ok(BackupCode::new(grouped(&symbols)))
    }

    /// Compares in constant time. A right code is taken out of the record. `None`: it is wrong, or
    /// there is none.
    pub(in crate::machine) fn check_backup_code(
        &mut self,
        typed: &str,
    ) -> Result<Option<BackupCodeVerified>, Error> {
        let Some(backup) = &self.record.backup else { return Ok(None) };
        let tag = self.backup_tag(backup.pepper.as_deref(), typed)?;
        if !tag.matches(&backup.tag) {
            return Ok(None);
        }
        self.record.edit().backup = None;
        Ok(Some(BackupCodeVerified(())))
    }

    fn backup_tag(&self, pepper: Option<&str>, symbols: &str) -> Result<Tag, Error> {
        let parts: [&[u8]; 4] = [
            self.call.tenant.as_str().as_bytes(),
            self.user_id.as_str().as_bytes(),
            self.record.id.as_bytes(),
            symbols.as_bytes(),
        ];
        self.rules.seal.peppered_tag(Label::BackupCode, pepper, &parts)
    }
}
