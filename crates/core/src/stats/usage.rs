//! What a workload used over a long time.

use serde::Serialize;

use super::{Point, Rollup};

/// The longest time that one point stands for, in seconds: what lies further back is a gap, in which nobody knows what was
/// used.
const LONGEST: i64 = 60;

/// What a workload used in a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Seconds of one fully used core.
    pub cpu_core_seconds: f64,
    /// Bytes of memory in use, times the seconds they were.
    pub memory_byte_seconds: f64,
    /// Five minutes each, oldest first; those without any sample are left out.
    pub buckets: Vec<UsageBucket>,
}

/// What was used in five minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageBucket {
    /// Its beginning in unix seconds, a multiple of 300.
    pub ts: i64,
    /// Seconds of one fully used core.
    pub cpu_core_seconds: f64,
    /// Bytes of memory in use, times the seconds they were.
    pub memory_byte_seconds: f64,
    /// How many timestamps it is made of: fewer than elsewhere means that part of it is missing.
    pub samples: u32,
}

/// Adds up roll-ups of 5 minutes, oldest first. All numbers are finite, and 0 for none.
///
/// ```
/// use shipslog_core::stats::{ColumnsBuilder, Sample, Tier, aggregate, roll_up, usage};
///
/// let mut builder = ColumnsBuilder::new();
/// for ts in [600, 610, 620] {
///     builder.push(ts, 1, &Sample { cpu_percent: Some(50.0), ..Sample::default() });
/// }
/// let points = aggregate(&builder.finish()).points();
/// assert_eq!(usage(&roll_up(&points, Tier::FiveMinutes, 600)).cpu_core_seconds, 10.0);
/// ```
pub fn usage(rollups: &[Rollup]) -> Usage {
    let buckets: Vec<UsageBucket> = rollups.iter().map(bucket).collect();
    // From +0: the sum of no numbers is -0, and JSON would show its sign.
    let total = |of: fn(&UsageBucket) -> f64| buckets.iter().map(of).fold(0.0, |sum, part| sum + part);
    Usage {
        cpu_core_seconds: total(|bucket| bucket.cpu_core_seconds),
        memory_byte_seconds: total(|bucket| bucket.memory_byte_seconds),
        buckets,
    }
}

fn bucket(rollup: &Rollup) -> UsageBucket {
    UsageBucket {
        ts: rollup.point.point.ts,
        cpu_core_seconds: rollup.cpu_core_seconds,
        memory_byte_seconds: rollup.memory_byte_seconds,
        samples: rollup.point.samples,
    }
}

/// Adds up points, oldest first, in buckets of so many seconds.
///
/// A point stands for the time since the one before it, but at most for 60 seconds: a gap is not charged. The first point
/// has none before it and stands for no time. A point's share goes to the bucket of its timestamp; unknown values count
/// nothing.
pub(super) fn used(points: &[Point], bucket_s: i64) -> Vec<UsageBucket> {
    let mut buckets: Vec<UsageBucket> = Vec::new();
    let mut before = None;
    for point in points {
        let seconds = before.map_or(0, |ts: i64| (point.ts - ts).clamp(0, LONGEST)) as f64;
        before = Some(point.ts);
        let bucket = bucket_of(&mut buckets, point.ts.div_euclid(bucket_s) * bucket_s);
        bucket.cpu_core_seconds += point.cpu_percent.unwrap_or(0.0) / 100.0 * seconds;
        bucket.memory_byte_seconds += point.memory_usage.unwrap_or(0) as f64 * seconds;
        bucket.samples += 1;
    }
    buckets
}

fn bucket_of(buckets: &mut Vec<UsageBucket>, ts: i64) -> &mut UsageBucket {
    if buckets.last().is_none_or(|bucket| bucket.ts != ts) {
        buckets.push(UsageBucket {
            ts,
            cpu_core_seconds: 0.0,
            memory_byte_seconds: 0.0,
            samples: 0,
        });
    }
    let last = buckets.len() - 1;
    &mut buckets[last]
}

#[cfg(test)]
mod tests {
    use super::super::{Tier, roll_up};
    use super::*;

    fn usage(points: &[Point]) -> Usage {
        super::usage(&roll_up(points, Tier::FiveMinutes, 0))
    }

    fn point(ts: i64, cpu_percent: Option<f64>, memory: u64) -> Point {
        Point {
            ts,
            cpu_percent,
            memory_usage: Some(memory),
            memory_limit: None,
            network_rx: None,
            network_tx: None,
            block_read: None,
            block_write: None,
            containers: 1,
        }
    }

    #[test]
    fn half_a_core_for_twenty_seconds_is_ten_core_seconds() {
        let used = usage(&[
            point(1_000, Some(50.0), 8),
            point(1_010, Some(50.0), 8),
            point(1_020, Some(50.0), 8),
        ]);
        assert_eq!((used.cpu_core_seconds, used.memory_byte_seconds), (10.0, 160.0));
        assert_eq!(used.buckets.len(), 1);
        assert_eq!((used.buckets[0].ts, used.buckets[0].samples), (900, 3));
    }

    #[test]
    fn a_gap_is_charged_for_a_minute_and_unknown_values_for_nothing() {
        let used = usage(&[
            point(0, Some(100.0), 1),
            point(7_200, Some(100.0), 1),
            point(7_210, None, 1),
        ]);
        assert_eq!((used.cpu_core_seconds, used.memory_byte_seconds), (60.0, 70.0));
        assert_eq!(
            used.buckets.iter().map(|bucket| bucket.ts).collect::<Vec<_>>(),
            [0, 7_200]
        );
    }

    #[test]
    fn a_share_goes_where_its_point_is_and_the_parts_add_up() {
        let points: Vec<Point> = (0..70).map(|i| point(i * 10, Some(200.0), 1_000)).collect();
        let used = usage(&points);
        let part = |i: usize| {
            (
                used.buckets[i].ts,
                used.buckets[i].cpu_core_seconds,
                used.buckets[i].samples,
            )
        };
        assert_eq!(
            (part(0), part(1), part(2)),
            ((0, 580.0, 30), (300, 600.0, 30), (600, 200.0, 10))
        );
        assert_eq!(
            (used.cpu_core_seconds, used.memory_byte_seconds),
            (1_380.0, 690_000.0)
        );
    }

    #[test]
    fn json_has_finite_numbers_and_no_signed_zero() {
        let nothing = serde_json::to_string(&usage(&[])).unwrap();
        assert_eq!(
            nothing,
            r#"{"cpu_core_seconds":0.0,"memory_byte_seconds":0.0,"buckets":[]}"#
        );
        let most = usage(&[point(0, None, 0), point(60, Some(f64::from(u32::MAX)), u64::MAX)]);
        let json = serde_json::to_value(&most).unwrap();
        assert!(
            json["memory_byte_seconds"]
                .as_f64()
                .is_some_and(|sum| sum > 1e21 && sum.is_finite()),
            "{json}"
        );
        assert_eq!(json["buckets"][0]["samples"], 2);
    }
}
