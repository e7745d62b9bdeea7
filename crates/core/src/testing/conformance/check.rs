//! What cases assert.

use std::fmt::Debug;

use crate::id::WorkloadId;
use crate::stats::{ColumnsBuilder, Point, Sample, aggregate};
use crate::store::{Store, StoreError};

pub(super) fn not_found<T: Debug>(result: Result<T, StoreError>, expected: &str) {
    match result {
        Err(StoreError::NotFound { what }) => assert_eq!(what, expected),
        other => panic!("expected NotFound of {expected}, got {other:?}"),
    }
}

pub(super) fn conflict<T: Debug>(result: Result<T, StoreError>, expected: &str) {
    match result {
        Err(StoreError::Conflict { what }) => assert_eq!(what, expected),
        other => panic!("expected Conflict on {expected}, got {other:?}"),
    }
}

pub(super) fn invalid<T: Debug>(result: Result<T, StoreError>, expected: &str) {
    match result {
        Err(StoreError::Invalid { what }) => assert_eq!(what, expected),
        other => panic!("expected Invalid of {expected}, got {other:?}"),
    }
}

/// Of two results, gives the one that is not a conflict on `expected`; exactly one must be.
pub(super) fn one_winner<T: Debug>(
    results: (Result<T, StoreError>, Result<T, StoreError>),
    expected: &str,
) -> T {
    match results {
        (Ok(won), lost) | (lost, Ok(won)) => {
            conflict(lost, expected);
            won
        }
        other => panic!("expected one winner, got {other:?}"),
    }
}

/// What a window shows: all of a workload's history unless narrowed.
pub(super) async fn points(store: &dyn Store, workload: &WorkloadId, from: i64, to: i64) -> Vec<Point> {
    aggregate(&store.samples(workload, from, to).await.unwrap()).points()
}

/// The timestamps in all of a workload's history.
pub(super) async fn times(store: &dyn Store, workload: &WorkloadId) -> Vec<i64> {
    store
        .samples(workload, 0, i64::MAX)
        .await
        .unwrap()
        .timestamps()
        .to_vec()
}

/// What the samples given would show: each a timestamp, a container and what was measured.
pub(super) fn expected(samples: &[(i64, u64, Sample)]) -> Vec<Point> {
    let mut builder = ColumnsBuilder::default();
    for (ts, container, sample) in samples {
        builder.push(*ts, *container, sample);
    }
    aggregate(&builder.finish()).points()
}
