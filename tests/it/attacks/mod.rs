//! The attack catalogue: what has gone wrong in other systems, one test for each class.
//! docs/attacks.md has the table of classes, invariants and tests.
//!
//! A test drives the attack against the flow, looks at what is saved and how often plug-ins were
//! called, and has a control in itself: the same attack against a plug-in with the flaw of the real
//! cases ([`broken`]), a configuration or a host with it, or the same check on what it must flag.
//! What the library can't be made to do from outside is shown by a stand-in: four controls have a
//! policy that exempts everybody (`second_step_skipped`, `response_tampering`,
//! `single_sign_on_bypass`, and `non_interactive_bypass` the standard one), three a host of their
//! own (`tenant_confusion`, `blank_or_odd_codes`, `timing_of_the_comparison`), two a generator that
//! repeats itself (`challenge_of_another_browser`, `device_of_another_user_or_tenant`). Each shows
//! that the check sees the attack succeed, and not that it sees every flaw in the core that would
//! let it.
//!
//! Beside that, each of these was seen to fail with a flaw put into `src/` by hand, which was taken
//! out again:
//!
//! | test | flaw |
//! |---|---|
//! | `unlimited_code_guesses` | a wrong code is not counted |
//! | `counter_reset_by_new_login` | the right password clears the failures of codes |
//! | `counter_reset_by_resend` | a resend clears them |
//! | `race_check_then_increment` | the driver takes a conflict for written |
//! | `race_one_code_many_logins` | the same; and a login that is completed stays pending |
//! | `race_backup_code` | the same; and a used backup code stays in force beside its successor |
//! | `replay` | a login that is completed stays pending |
//! | `old_code_after_resend` | a resend leaves the earlier code's tag |
//! | `tenant_confusion` | tags of tokens and codes and the password's epoch leave out the tenant |
//! | `challenge_of_another_browser` | any pending login of the user is taken for the token's |
//! | `second_step_skipped` | a pending token is taken for a trusted device |
//! | `fail_open_on_error` | a failing policy means exempt |
//! | `counter_never_written` | a wrong code does not mark the record as changed |
//! | `password_reset_bypass` | a vouched password counts as single sign-on; trusted devices outlive a new password |
//! | `single_sign_on_bypass` | an exempt login is given the basis of a backup code |
//! | `non_interactive_bypass` | a code may be required of a channel without a person |
//! | `device_survives_changes` | devices outlive a new password and a disabled account; a reset deletes nothing |
//! | `device_of_another_user_or_tenant` | a device's tag covers its token only |
//! | `sessions_survive_a_factor_change` | no event calls for revalidation; a reset deletes nothing |
//! | `enrolment_hijack` | a number is in force before it is proved |
//! | `administrator_of_another_tenant` | the page asks for the role and not whose grant it is |
//! | `reset_leaves_something` | a reset deletes nothing |
//! | `recipient_from_the_request` | a name that looks like an address is where the code goes |
//! | `enumeration_by_response` | an unknown name is answered with another reason |
//! | `enumeration_by_time` | nothing is hashed for an unknown name |
//! | `sms_pumping` | a send is not charged |
//! | `limiter_key_not_canonical` | the key of a limit is the destination as it is written |
//! | `resend_while_locked` | a resend does not ask whether codes are locked |
//! | `lockout_by_strangers` | a wrong password is charged to codes as well |
//! | `spray_over_many_accounts` | a wrong code makes no event |
//! | `secret_in_what_is_printed` | `Debug` of a secret shows it |
//! | `weak_or_biased_randomness` | codes are even numbers |
//! | `secret_too_short` | a backup code has sixteen symbols to choose from |
//! | `blank_or_odd_codes` | what follows the last digit is not looked at |
//! | `truncated_password` | `Argon2id` hashes 72 bytes |
//! | `hash_denial_of_service` | the length of a password is not checked; saved parameters are not bounded |
//! | `panic_on_stored_data` | a record that can't be read ends the process |
//! | `expiry_overflow` | a time in the future is not outside of a code's life; sums of times may overflow |
//! | `clock_backwards` | what has expired is not written; a step back is not noticed |
//! | `counter_rollback` | the driver takes a conflict for written |
//! | `header_injection` | control characters are not refused |
//! | `log_injection` | ids are not quoted; the quotes of a reason are not escaped |
//! | `session_fixation` | a login that is completed stays pending |
//! | `forged_request_for_a_factor_change` | every login is recent |
//! | `enforcement_bypass` | whoever has no record is exempt; a vouched password counts as single sign-on |
//! | `audit_gaps` | an event is emitted twice; a wrong code makes none |
//! | `policy_toggle_as_wipe` | the generation does not rise; switching off asks for no recent login |
//! | `weakening_without_a_fresh_factor` | an old session, or one that began with a device, may weaken |
//! | `reset_as_a_refill` | every reset refills |
//! | `notices_as_a_flood` | no notice is held back |
//! | `tenant_by_another_spelling` | the tenant of what the users table answers is not compared |
//! | `response_tampering` | a grant is not held against the record's identity |
//!
//! `timing_of_the_comparison` is not among them: a comparison by `==`, which leaks, has the same
//! calls and the same effect. Its control is a comparison of the test's own that counts the digits
//! it looks at; of the core's it says nothing.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod binding;
mod broken;
mod bypass;
mod codes;
mod disclosure;
mod guessing;
mod lifecycle;
mod robustness;
mod tenants;

use crate::support::{World, reason};
use countersign::{BackupCode, LoginStep, PendingToken, Reason, ResendTo, TenantId, TrustDevice};

/// Every step that takes a pending token, with the right code last: why each was refused, if it
/// was.
async fn each_step(
    world: &World,
    tenant: &TenantId,
    token: &PendingToken,
    code: &str,
) -> Vec<Option<Reason>> {
    let backup = BackupCode::new("0123-4567-89AB-CDEF-GHJK-MNPQ");
    [
        world.request_for(tenant).submit_backup_code(token, &backup).await.unwrap(),
        world.request_for(tenant).resend(token, ResendTo::Same).await.unwrap(),
        world.request_for(tenant).submit_code(token, &code.into(), TrustDevice::No).await.unwrap(),
    ]
    .iter()
    .map(|step| if let LoginStep::Authenticated(_) = step { None } else { Some(reason(step)) })
    .collect()
}
