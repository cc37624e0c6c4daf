//! Negative controls: drivers with one fault each. The checker must find the story that shows it,
//! and the claim that it breaks.

use super::change::{Change, Lax};
use super::ledger::Claim;
use super::scenario::{Action, Scenario};
use super::settings::{
    administering, offering_little, rehearsing, rolling, settings, single_sign_on,
};
use super::sound::{
    backup_codes, devices, guessing, methods, passwords, policy, reset, resetting, single_use,
    switching_off, tenants,
};
use super::sweeps::{sweeping, sweeping_at_night};
use super::tamper::Fault;
use super::world::Tenant;

macro_rules! caught {
    ($($test:ident: $fault:ident breaks $claim:ident in $model:ident;)*) => {
        $(#[test]
        fn $test() {
            $model().catches(Fault::$fault, Claim::$claim);
        })*
    };
}

caught! {
    a_commit_without_condition_lets_a_code_work_twice: Unconditional breaks I05 in single_use;
    a_commit_without_condition_brings_back_what_was_reset: Unconditional breaks I26 in reset;
    a_commit_on_the_record_alone_outlives_switching_off: SettingsNotInTheCondition breaks I27 in switching_off;
    versions_that_are_reused_bring_back_what_was_reset: VersionsReused breaks I26 in reset;
    a_generation_that_is_ignored_revives_what_was_switched_off: GenerationIgnored breaks I27 in switching_off;
    a_generation_that_does_not_rise_leaves_everything_in_force: OffKeepsGeneration breaks I27 in switching_off;
    a_purge_that_deletes_nothing_leaves_rows: PurgeDeletesNothing breaks I27 in switching_off;
    a_reset_that_forgets_devices_leaves_a_way_in: ResetKeepsDevices breaks I26 in reset;
    a_reset_that_always_refills_is_a_supply_of_guesses: ResetAlwaysRefills breaks I12 in resetting;
    a_reset_that_always_refills_is_a_supply_of_messages: ResetAlwaysRefills breaks I15 in resetting;
    a_reset_that_does_not_note_its_time_refills_again: ResetForgetsItsTime breaks I26 in resetting;
    a_reset_without_condition_forgets_what_was_counted_meanwhile: ResetUnconditional breaks I12 in resetting;
    a_sweep_that_overlooks_resets_refills_the_budgets: SweepForgetsResets breaks I26 in sweeping_at_night;
    a_resend_that_clears_the_count_gives_more_guesses: ResendClearsCount breaks I10 in guessing;
    a_resend_that_saves_the_earlier_code_confuses_the_window: ResendKeepsCode breaks I06 in single_use;
    a_password_that_clears_the_count_gives_more_guesses: PasswordClearsCodeCount breaks I13 in guessing;
    a_success_that_clears_the_rolling_budget_feeds_the_patient: SuccessClearsRolling breaks I12 in guessing;
    a_suspension_that_waiting_ends_is_none: SuspensionWaits breaks I11 in guessing;
    an_answer_before_the_commit_is_a_free_guess: AnswerFirst breaks I09 in guessing;
    sends_that_are_forgotten_flood_the_person: SendsForgotten breaks I15 in guessing;
    a_code_that_stays_works_twice: CodeStays breaks I05 in single_use;
    a_code_at_its_very_end_is_over: ExpiryInclusive breaks I07 in single_use;
    any_code_is_not_the_code: AnyCodeAccepted breaks I01 in guessing;
    a_backup_code_that_stays_works_twice: BackupStays breaks I05 in backup_codes;
    a_successor_that_is_not_installed_locks_its_owner_out: SuccessorNotInstalled breaks I31 in backup_codes;
    a_lock_that_covers_the_backup_code_locks_its_owner_out: BackupSharesLock breaks I14 in backup_codes;
    a_suspension_that_covers_the_backup_code_locks_its_owner_out: BackupSharesSuspension breaks I14 in backup_codes;
    wrong_backup_codes_that_are_forgotten_have_no_bound: WrongBackupForgotten breaks I14 in backup_codes;
    strangers_who_share_a_devices_count_lock_its_owner_out: DeviceSharesLock breaks I16 in devices;
    a_user_as_of_the_first_step_lets_the_disabled_in: UserAsOfFirstStep breaks I25 in policy;
    settings_as_of_the_first_step_revive_what_was_switched_off: SettingsAsOfFirstStep breaks I27 in policy;
    a_session_as_of_its_login_outlives_a_promotion: SessionsAsOfLogin breaks I28 in policy;
    a_password_of_before_lets_nobody_in_now: CheckForgotten breaks I01 in policy;
    an_unknown_name_that_is_not_counted_tells_itself_apart: PhantomSkipped breaks I17 in passwords;
    a_lock_that_clears_its_count_never_grows: LockClearsPasswords breaks I16 in passwords;
    a_lock_that_outlives_its_password_keeps_the_owner_out: PasswordChangeUnseen breaks I16 in passwords;
    a_device_that_outlives_the_password_skips_the_code: PasswordChangeUnseen breaks I30 in devices;
    a_device_at_its_very_end_is_over: DeviceExpiryInclusive breaks I29 in devices;
    a_token_of_any_tenant_opens_the_wrong_door: AnyTenant breaks I03 in tenants;
    a_token_of_any_tenant_writes_to_the_other_one: AnyTenant breaks I04 in tenants;
    an_exemption_as_of_the_load_outlives_the_scope: SettingsNotInTheCondition breaks I28 in policy;
    a_token_of_another_kind_opens_nothing: AnyKindOfToken breaks I02 in devices;
    a_record_that_is_damaged_lets_nobody_on: DamagesRecords breaks I37 in single_use;
    a_sweep_without_condition_forgets_what_was_counted_meanwhile: SweepUnconditional breaks I10 in sweeping;
    a_sweep_that_overlooks_failures_gives_more_guesses: SweepForgetsFailures breaks I10 in sweeping;
    a_sweep_that_overlooks_sends_floods_the_person: SweepForgetsSends breaks I15 in sweeping_at_night;
    a_sweep_that_overlooks_sessions_ends_them: SweepForgetsSessions breaks I25 in sweeping;
    a_number_that_is_saved_unproved_gets_the_codes: NumberSavedUnproved breaks I32 in methods;
    a_method_that_is_forbidden_completes_a_login: MethodsForgotten breaks I50 in settings;
    settings_as_of_the_first_step_let_a_forbidden_method_in: SettingsAsOfFirstStep breaks I50 in settings;
    settings_that_are_not_in_the_condition_let_a_forbidden_method_in: SettingsNotInTheCondition breaks I50 in settings;
    settings_that_nobody_checks_outdo_the_application: BoundsNotChecked breaks I42 in settings;
    a_page_that_is_saved_whatever_it_showed_undoes_a_change: ShownVersionIgnored breaks I42 in administering;
    a_page_from_before_switching_off_is_not_what_holds: ShownGenerationIgnored breaks I42 in administering;
    settings_written_without_condition_undo_a_change: SettingsUnconditional breaks I42 in administering;
    devices_that_were_switched_off_come_back: DevicesComeBack breaks I42 in settings;
    backup_codes_that_were_switched_off_come_back: BackupCodesComeBack breaks I42 in settings;
    a_login_after_single_sign_on_takes_a_device: SingleSignOnTakesDevice breaks I43 in single_sign_on;
    a_login_after_single_sign_on_claims_a_password: SingleSignOnClaimsPassword breaks I43 in single_sign_on;
    a_switch_that_is_forgotten_lets_administrators_in: SwitchForgotten breaks I28 in single_sign_on;
    an_old_node_that_guesses_misreads_a_login: OldNodeGuesses breaks I41 in rolling;
    a_rehearsal_that_writes_changes_the_settings: RehearsalWrites breaks I44 in rehearsing;
    a_rehearsal_of_today_foretells_nothing: RehearsalForgetsChange breaks I44 in rehearsing;
}

/// The model with this change alone.
fn only(model: fn() -> Scenario, lax: Lax) -> Scenario {
    let mut scenario = model();
    scenario.alphabet = vec![Action::Set(Tenant::Acme, Change::TooLax(lax))];
    scenario
}

/// I-42: each bound by itself, and each thing that an application may not offer: where it is not
/// checked, the model notices.
#[test]
fn every_bound_that_nobody_checks_is_noticed() {
    for lax in Lax::ALL {
        only(administering, lax).catches(Fault::BoundsNotChecked, Claim::I42);
    }
    for lax in Lax::NOT_OFFERED {
        only(offering_little, lax).catches(Fault::BoundsNotChecked, Claim::I42);
    }
}
