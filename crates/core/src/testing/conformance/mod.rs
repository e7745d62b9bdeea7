//! The contract of the store traits as tests: one function a case, each with a store of its own.

#![allow(
    clippy::unwrap_used,
    reason = "a case that panics is a case that fails, as in any test"
)]

mod build;
mod check;
pub mod containers;
pub mod deploys;
pub mod health;
pub mod ledger;
pub mod prune;
pub mod rollups;
pub mod samples;
pub mod specs;
pub mod workloads;

/// Makes one `#[tokio::test]` of each case that the store traits promise, from the missing row to the order of a list.
///
/// The argument is an async expression that gives a fresh, empty store each time it is evaluated: anything that
/// dereferences to an implementation of all store traits, such as an `Arc`, a `Box`, or a guard that holds a directory.
/// The crate that uses it needs `tokio` with `macros` and `rt` among its `[dev-dependencies]`, and `shipslog-core` with
/// the feature `testing`. Put it into a module of its own for each configuration of the store.
///
/// ```
/// # struct MyStore;
/// # async fn my_store() -> Box<dyn shipslog_core::store::Store> { unreachable!() }
/// #[cfg(test)]
/// mod conformance {
///     shipslog_core::store_conformance!(super::my_store());
/// }
/// ```
///
/// Cases may be added with any version: a store that passes today can fail after an update, and then did not keep to the
/// contract.
#[macro_export]
macro_rules! store_conformance {
    ($fresh:expr) => {
        $crate::__store_conformance_cases! { $fresh;
            workloads {
                a_workload_comes_back_as_it_was_created
                an_unknown_workload_is_not_found
                a_managed_name_is_taken_once
                an_observed_name_takes_no_managed_one
                observing_again_gives_the_first_workload
                workloads_are_listed_by_name_and_managed_first
                deleting_takes_everything_of_a_workload
                deleting_leaves_other_workloads_alone
                deleting_waits_for_a_running_deploy
                deleting_what_is_not_there_is_not_found
                a_deleted_name_is_free_again
            }
            specs {
                a_revision_adds_one_and_keeps_the_ones_before
                a_revision_may_rename
                a_revision_cannot_take_a_name
                a_stale_revision_changes_nothing
                of_two_revisions_at_once_one_wins
                an_observed_workload_has_no_revisions
                revising_an_unknown_workload_is_not_found
                an_unknown_revision_is_not_found
            }
            deploys {
                a_row_comes_back_as_it_was_opened
                a_row_is_not_opened_for_an_unknown_workload
                a_workload_has_one_running_row
                of_two_rows_opened_at_once_one_wins
                a_key_is_used_once_in_a_workload
                a_used_key_is_told_before_a_running_row
                a_row_is_found_by_its_key
                a_row_is_pinned_once
                a_row_may_gain_other_content_of_the_same_reference
                parts_and_plan_come_back_as_they_were_pinned
                a_closed_row_is_not_pinned
                every_outcome_is_kept
                a_row_is_closed_once
                of_two_closings_at_once_one_wins
                a_row_is_not_closed_as_running
                unknown_rows_are_not_found
            }
            ledger {
                current_follows_the_closing_that_says_so
                any_closed_row_can_be_made_current
                a_running_row_is_not_made_current
                rows_are_listed_in_the_order_in_which_they_were_opened
                a_page_ends_at_its_limit_and_begins_after_its_row
                a_page_cannot_begin_at_another_workloads_row
                the_ledger_of_an_unknown_workload_is_empty
                running_rows_of_all_workloads_are_listed_oldest_first
                deleting_rows_counts_those_that_were_there
                deleting_rows_is_all_or_nothing
                a_row_opened_after_a_deletion_is_the_newest
            }
            samples {
                samples_come_back_as_they_were_recorded
                what_is_not_known_stays_unknown
                large_and_small_values_are_kept
                a_window_includes_its_start_and_not_its_end
                a_window_without_samples_is_empty
                containers_of_a_workload_stand_side_by_side
                a_container_may_miss_ticks
                ticks_may_come_in_any_order
                a_repeated_tick_replaces_what_it_names
                a_repeated_tick_without_a_sample_removes_it
                rows_of_unknown_workloads_are_left_out
                a_time_before_1970_is_refused
            }
            containers {
                a_container_is_remembered_after_it_is_gone
                a_container_that_was_not_read_is_remembered
                containers_are_listed_by_when_they_were_last_seen
                the_last_known_name_counts
                an_older_tick_moves_only_the_first_sight
                a_container_that_changes_hands_takes_its_samples_along
                a_container_left_by_a_deleted_workload_begins_anew
                an_empty_tick_ends_nothing_but_presence
                an_unknown_workload_has_no_containers
            }
            prune {
                pruning_goes_from_the_oldest_and_stops_at_its_limit
                pruning_spares_the_time_itself
                pruning_forgets_containers_with_its_last_call
                pruning_forgets_observed_workloads_without_containers
                pruning_keeps_what_was_just_created
                a_forgotten_container_begins_anew
                pruning_comes_to_an_end_after_a_workload_was_deleted
            }
            rollups {
                rollups_come_back_as_they_were_recorded
                a_window_of_rollups_includes_its_start_and_not_its_end
                a_rollup_takes_the_place_of_the_one_before
                tiers_and_workloads_are_kept_apart
                a_late_tick_has_its_bucket_made_again
                rollups_go_with_their_workload
                old_rollups_are_deleted_tier_by_tier
                an_observed_workload_stays_as_long_as_its_rollups
                the_oldest_sample_is_known
                the_revision_tells_of_every_change_to_what_was_there
            }
            health {
                a_store_says_what_it_is
                a_store_that_works_answers
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_conformance_cases {
    ($fresh:expr; $($domain:ident { $($case:ident)* })*) => {
        $($(
            #[::tokio::test]
            async fn $case() {
                let store = $fresh.await;
                $crate::testing::conformance::$domain::$case(&*store).await;
            }
        )*)*
    };
}
