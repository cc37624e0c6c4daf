//! What stands in for the hash and the generator, and the small limits that bring every budget
//! within reach.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::entropy::Entropy;
use crate::error::PluginError;
use crate::limits::{DeviceLimits, FailureRule, Limits, SendRule, TenantBounds};
use crate::machine::{READS, Rules, Seal};
use crate::tenant::Methods;

pub(super) const SPACING: Duration = Duration::from_secs(30);
pub(super) const CODE_TTL: Duration = Duration::from_secs(180);
pub(super) const LOGIN_TTL: Duration = Duration::from_secs(600);
pub(super) const LOCK: Duration = Duration::from_secs(900);
pub(super) const PASSWORD_LOCK: Duration = Duration::from_secs(60);
pub(super) const RECENT_LOGIN: Duration = Duration::from_secs(600);
pub(super) const DEVICE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How many devices a user may have trusted.
pub(super) const DEVICES: u32 = 4;
/// The longest lock that a tenant may choose, and the most wrong codes before one.
pub(super) const LONGEST_LOCK: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const TENANT_WRONG_CODES: u32 = 3;
pub(super) const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
pub(super) const LOCK_AFTER: usize = 2;
pub(super) const SUSPEND_AFTER: usize = 4;
pub(super) const ROLLING: usize = 5;
pub(super) const PENDING: usize = 2;
pub(super) const SENDS_PER_LOGIN: u32 = 2;
pub(super) const SENDS_PER_HOUR: usize = 3;
pub(super) const SENDS_PER_DAY: usize = 4;
pub(super) const REFILLS: usize = 1;

pub(in crate::machine) fn rules() -> Rules {
    let codes = FailureRule {
        lock_after: 2,
        lock: LOCK,
        lock_at_most: Duration::from_secs(24 * 60 * 60),
        suspend_after: Some(4),
        rolling: Some((5, MONTH)),
    };
    let limits = Limits {
        digits: 6,
        code_ttl: CODE_TTL,
        login_ttl: LOGIN_TTL,
        pending: PENDING,
        codes,
        passwords: FailureRule {
            lock_after: 2,
            lock: PASSWORD_LOCK,
            lock_at_most: LOCK,
            suspend_after: None,
            rolling: None,
        },
        sends: SendRule { spacing: SPACING, per_login: SENDS_PER_LOGIN, per_hour: 3, per_day: 4 },
        refills: 1,
        recent_login: RECENT_LOGIN,
        session_lifetime: Duration::from_secs(400 * 24 * 60 * 60),
        clock_tolerance: Duration::from_secs(5),
        backup_enabled: true,
        fall_back_to_email: false,
        devices: Some(DeviceLimits { lifetime: DEVICE_LIFETIME, per_user: DEVICES as usize }),
        methods: Methods::default(),
        tenant: TenantBounds {
            least_longest: LOCK,
            wrong_codes: (1, TENANT_WRONG_CODES),
            lock: (LOCK, LONGEST_LOCK),
        },
    };
    Rules { limits, seal: Seal::new(cheap_tag, None, Vec::new()), reads: READS }
}

const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// No secret keeps it, but it separates whatever differs, and that is all that a model needs of a
/// hash.
fn cheap_tag(key: &[u8], label: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut state = [0x243F_6A88_85A3_08D3_u64, 0x1319_8A2E_0370_7344];
    let mut absorb = |word: u64| {
        state = [
            mix(state[0] ^ word).wrapping_add(state[1]),
            mix(state[1].wrapping_add(word) ^ 0xA409_3822_299F_31D0),
        ];
    };
    for part in [key, label].into_iter().chain(parts.iter().copied()) {
        absorb(part.len() as u64);
        for chunk in part.chunks(8) {
            absorb(chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }
    let mut tag = [0; 32];
    for (lane, out) in (0_u64..).zip(tag.chunks_exact_mut(8)) {
        out.copy_from_slice(&mix(state[0] ^ mix(state[1].wrapping_add(lane))).to_le_bytes());
    }
    tag
}

/// The randomness of one step, from who it is about and how many steps of theirs were decided
/// before: two orders of steps of different people lead to the same world, and nothing that was
/// drawn is ever drawn again.
pub(super) struct Dice {
    seed: u64,
    drawn: AtomicU64,
}

impl Dice {
    pub(super) fn new(who: u64, nth: u32) -> Self {
        Self { seed: mix(who << 32 | u64::from(nth)), drawn: AtomicU64::new(0) }
    }
}

impl Entropy for Dice {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError> {
        for chunk in bytes.chunks_mut(8) {
            let nth = self.drawn.fetch_add(1, Ordering::Relaxed);
            let word =
                mix(self.seed.wrapping_add(nth.wrapping_mul(0x9E37_79B9_7F4A_7C15))).to_le_bytes();
            chunk.iter_mut().zip(word).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}
