//! From the samples of one moment to the points of workloads.

use std::collections::HashMap;

use super::{Reading, WorkloadPoint};
use crate::id::WorkloadId;
use crate::stats::{ColumnsBuilder, Point, Sample, aggregate};

/// Sums by the rules of every other sum, so that a live point and a stored one of the same samples are equal.
pub(super) fn sum<'a>(ts: i64, samples: impl Iterator<Item = &'a Sample>) -> Point {
    let mut builder = ColumnsBuilder::new();
    for (i, sample) in (0..).zip(samples) {
        builder.push(ts, i, sample);
    }
    aggregate(&builder.finish())
        .points()
        .pop()
        .unwrap_or_else(|| Point::unread(ts))
}

/// One point for each workload that has a reading, by id.
pub(super) fn by_workload(ts: i64, readings: &[Reading]) -> Vec<WorkloadPoint> {
    let mut groups: HashMap<&WorkloadId, Vec<&Sample>> = HashMap::new();
    for reading in readings {
        if let Some(workload) = &reading.workload {
            groups.entry(workload).or_default().push(&reading.sample);
        }
    }
    let point = |(workload, samples): (&WorkloadId, Vec<&Sample>)| WorkloadPoint {
        workload_id: workload.clone(),
        point: sum(ts, samples.into_iter()),
    };
    let mut points: Vec<WorkloadPoint> = groups.into_iter().map(point).collect();
    points.sort_by(|a, b| a.workload_id.cmp(&b.workload_id));
    points
}
