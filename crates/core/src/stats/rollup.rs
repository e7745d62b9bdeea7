//! Longer steps of history: what is kept of a workload when its samples are gone.

use super::usage::used;
use super::{Point, SteppedPoint, UsageBucket, downsample};

/// Seconds that are read before a bucket, to know how long its first point stands for.
pub(super) const LEAD: i64 = 900;

/// Length of the buckets that history is rolled up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// 1 minute.
    Minute,
    /// 5 minutes.
    FiveMinutes,
}

impl Tier {
    /// From the shortest to the longest.
    pub const ALL: [Self; 2] = [Self::Minute, Self::FiveMinutes];

    /// Seconds a bucket.
    pub fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::FiveMinutes => 300,
        }
    }

    /// The beginning of the bucket that a time is in.
    pub fn bucket(self, ts: i64) -> i64 {
        ts.div_euclid(self.seconds()) * self.seconds()
    }
}

/// A bucket: averages and peaks of a workload's points in it, and what was used up in its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rollup {
    /// Averages and peaks. `samples` tells a bucket that is whole from one that is not.
    pub point: SteppedPoint,
    /// Seconds of one fully used core.
    pub cpu_core_seconds: f64,
    /// Bytes of memory in use, times the seconds they were.
    pub memory_byte_seconds: f64,
}

/// Rolls points, oldest first, up to the buckets that begin at `from` or later; one for each bucket with a point.
///
/// Points before `from` are not counted. The last of them tells how long the first point after them stands for, which is
/// what [`UsageBucket`] adds up.
pub fn roll_up(points: &[Point], tier: Tier, from: i64) -> Vec<Rollup> {
    let counted = &points[points.partition_point(|point| point.ts < from)..];
    let used = used(points, tier.seconds());
    let used = &used[used.partition_point(|bucket| bucket.ts < from)..];
    let steps = downsample(counted, tier.seconds());
    steps.into_iter().zip(used).map(rollup).collect()
}

fn rollup((point, used): (SteppedPoint, &UsageBucket)) -> Rollup {
    Rollup {
        point,
        cpu_core_seconds: used.cpu_core_seconds,
        memory_byte_seconds: used.memory_byte_seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(ts: i64, cpu: f64) -> Point {
        Point {
            ts,
            cpu_percent: Some(cpu),
            memory_usage: Some(1_000),
            memory_limit: Some(0),
            network_rx: None,
            network_tx: Some(ts as u64),
            block_read: Some(0),
            block_write: Some(0),
            containers: 2,
        }
    }

    #[test]
    fn a_bucket_is_rolled_up_with_its_peak_its_count_and_what_was_used() {
        let points: Vec<Point> = (0..13)
            .map(|i| point(550 + i * 10, if i == 7 { 300.0 } else { 100.0 }))
            .collect();
        let buckets = roll_up(&points, Tier::Minute, 600);
        assert_eq!(
            buckets
                .iter()
                .map(|bucket| bucket.point.point.ts)
                .collect::<Vec<_>>(),
            [600, 660]
        );
        let whole = buckets[0];
        assert_eq!(
            (whole.point.samples, whole.point.cpu_percent_max),
            (6, Some(300.0))
        );
        assert_eq!(whole.point.point.cpu_percent, Some(133.333));
        assert_eq!(
            (whole.cpu_core_seconds, whole.memory_byte_seconds),
            (80.0, 60_000.0)
        );
        assert_eq!(
            buckets[1].point.samples, 2,
            "a bucket that has only begun says so"
        );
        assert_eq!(roll_up(&points, Tier::FiveMinutes, 600).len(), 1);
        assert_eq!(roll_up(&[], Tier::Minute, 0), []);
    }

    #[test]
    fn buckets_begin_at_multiples_of_their_length_also_before_1970() {
        assert_eq!(
            (Tier::Minute.bucket(119), Tier::FiveMinutes.bucket(-1)),
            (60, -300)
        );
    }
}
