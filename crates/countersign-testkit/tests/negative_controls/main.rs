//! The suite bites: for each check there is a store that is broken in one way, and fails it.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod budgets;
mod line;
mod reference;
mod users;

use countersign_testkit::conformance::{Breach, factors, run};
use reference::{Flaw, ReferenceStores};

/// Each line: a check, and the flaws that it must find.
macro_rules! bites {
    ($($check:ident: $($flaw:ident),+;)+) => {
        $(
            #[test]
            fn $check() {
                $(
                    let verdict = run(
                        stringify!($check),
                        async { Ok(Some(ReferenceStores::with(Flaw::$flaw))) },
                        |toys| Box::pin(factors::$check(toys)),
                    );
                    assert!(
                        matches!(verdict, Err(Breach::Contract(_))),
                        "a store that is broken by {:?} is found out, not {verdict:?}",
                        Flaw::$flaw
                    );
                )+
            }
        )+

        /// A check that no flaw is listed for would not be known to bite.
        const BITING: &[&str] = &[$(stringify!($check)),+];
    };
}

bites! {
    nothing_saved_is_none: EmptyRecordForNobody, RecordsMakeSettings;
    what_is_committed_is_read_back: KeepsFirstGeneration;
    settings_are_read_back: KeepsFirstSettings;
    settings_may_keep_their_version: RefusesUnchangedVersion;
    what_is_there_may_be_written_again: CountsChangedRows;
    removing_is_exact: RemovesPrefixes;
    documents_are_kept_byte_for_byte: NormalisesDocuments, EmptiesUnknownFormats;
    documents_may_be_as_large_as_the_limit: ShortensDocuments;
    ids_may_be_as_long_as_allowed: ShortensIds;
    numbers_may_be_as_large_as_their_type: SignedNumbers;
    a_conflict_changes_nothing: IgnoresSettings, ReplacesWhereNoneExpected, NoneMeansAny, SaysWrittenAnyway;
    of_many_first_commits_one_wins: ChecksThenInserts;
    of_many_commits_one_wins: ChecksThenUpdates;
    of_many_first_settings_one_wins: ChecksThenSetsFirst;
    of_many_changes_of_settings_one_wins: ChecksThenSets;
    users_of_a_new_tenant_do_not_conflict: ConflictsOverNewTenant;
    no_update_is_lost: ChecksThenUpdates, SaysWrittenAnyway;
    a_removed_version_stays_dead: KeepsRemovedVersions;
    a_remove_and_a_commit_exclude_each_other: UpsertsAfterCheck;
    a_load_is_of_one_instant: TornLoad;
    many_records_come_in_the_order_of_the_list: AnswersAsRowsCome, LeavesOutTheMissing, AnswersTheSameOnce, HidesEarlierRecords, AnswersNothingToNobody;
    many_records_are_of_one_tenant_and_its_users: AnswersOfAnyTenant, SplitsListsAtCommas, FoldsLists;
    a_thousand_records_are_read_in_one_call: CutsLongLists;
    many_records_show_every_acknowledged_write: CachesLists, CachesSettingsOfLists;
    a_conditional_removal_is_exact: RemovesAnyVersion, SaysRemovedAnyway;
    a_conditional_removal_and_commits_exclude_each_other: ChecksThenRemoves, RemovesAnyVersion;
    users_are_listed_in_the_order_of_their_bytes: ListsEveryGeneration, ListsInTheOrderOfALocale, ListsFromTheCursor, ListsTooMany, PurgesEverybody;
    a_listing_goes_on_while_records_go: ListsByPosition;
    changed_settings_end_commits_that_expected_others: IgnoresSettings, ChecksSettingsFirst;
    first_settings_end_commits_that_expected_none: NoneMeansAny, ChecksSettingsFirst, LocksNothingWithoutSettings;
    a_held_commit_and_a_change_of_settings_exclude_each_other: LocksNothingWithoutSettings, ChecksSettingsFirst;
    a_purge_deletes_earlier_generations_only: PurgesInclusively, PurgesTooMuch;
    a_purge_of_many_batches_ends_complete: CountsDoubly, EndsBatchesEarly;
    a_purge_never_takes_a_later_record: PurgesByKey;
    nothing_earlier_appears_after_a_purge: ChecksSettingsFirst, IgnoresSettings;
    tenants_are_apart: PurgesEverybody, FoldsCase;
    similar_ids_are_different_ids: JoinsKeys, FoldsCase, FoldsSpaces, ComposesAccents;
    acknowledged_writes_are_seen_at_once: Caches;
    a_dropped_call_writes_all_or_nothing: WritesInHalves;
    a_dropped_removal_removes_all_or_nothing: RemovesInHalves;
    a_lost_answer_is_no_verdict: TakesLostForWritten, TakesLostForConflict, SendsAgain;
    a_write_is_sent_once: SendsAgain, SendsAgainAndLooks;
    comes_back_after_an_interruption: DiesWithItsConnection, ForgetsOnRestart;
    outlives_a_rollback_of_the_application: JoinsHostTransaction;
}

/// The checks of one suite, as [`countersign_testkit::conformance`] lists them.
fn suite(list: &str) -> Vec<&'static str> {
    let suite = include_str!("../../src/conformance/mod.rs");
    names(suite.split(list).nth(1).and_then(|rest| rest.split('}').next()).unwrap(), ',')
}

fn names(list: &'static str, separator: char) -> Vec<&'static str> {
    let names = list.split(separator).map(|name| name.trim_matches(&['#', ' ', ',', '\n'][..]));
    names.filter(|name| !name.is_empty()).collect()
}

/// The checks that the example of a page of the manual is put to.
fn tried(page: &'static str) -> Vec<&'static str> {
    names(page.split("all! {\n").nth(1).and_then(|rest| rest.split('}').next()).unwrap(), '\n')
}

/// The list above and the suite are the same list.
/// `I-39`: the suite that a store must pass has a broken store for each of its checks.
#[test]
fn every_check_of_the_suite_is_known_to_bite() {
    assert_eq!(suite("run, factors, $backend,"), BITING);
    // The example of the manual is put to all of them.
    assert_eq!(tried(include_str!("../../src/manual/writing_a_store.md")), BITING);
}

/// Without a flaw the reference store passes, so that it is the flaws that are found.
mod sound {
    use super::{Flaw, ReferenceStores};

    countersign_testkit::factor_store_conformance!(async {
        Ok(Some(ReferenceStores::with(Flaw::None)))
    });
}
