//! Fewer points for longer windows.

use serde::Serialize;

use super::Point;

/// The most points that a window gives without being asked for more.
const MAX_POINTS: i64 = 1_000;

/// Lengths of a step that people expect, in seconds.
const STEPS: [i64; 17] = [
    2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400,
];

/// The average over a step, and its peaks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SteppedPoint {
    /// `ts` is the beginning of the step, a multiple of its length. Values are averages over the points in which they are
    /// known; the limit and the number of containers are the highest.
    #[serde(flatten)]
    pub point: Point,
    /// The highest processor use in the step.
    pub cpu_percent_max: Option<f64>,
    /// The highest memory use in the step, in bytes.
    pub memory_usage_max: Option<u64>,
    /// How many timestamps it is the average of: fewer than elsewhere means that part of the step is missing.
    pub samples: u32,
}

/// The step in seconds at which a window of `window_s` seconds gives at most 1,000 points, a round length such as 30
/// seconds, 5 minutes or a day; `None` when its `points` are no more than that.
///
/// ```
/// use shipslog_core::stats::auto_step;
///
/// assert_eq!(auto_step(180, 1_800), None);
/// assert_eq!(auto_step(8_640, 86_400), Some(120));
/// ```
pub fn auto_step(points: usize, window_s: i64) -> Option<i64> {
    if points as i64 <= MAX_POINTS {
        return None;
    }
    // Steps begin at multiples of their length, so that a window may touch one more than it holds.
    let least = window_s / (MAX_POINTS - 1) + 1;
    let days = |least: i64| (least + 86_399) / 86_400 * 86_400;
    Some(
        STEPS
            .into_iter()
            .find(|step| *step >= least)
            .unwrap_or_else(|| days(least)),
    )
}

/// Averages points, oldest first, over steps of `step_s` seconds, at least 1. A step without points gives none.
pub fn downsample(points: &[Point], step_s: i64) -> Vec<SteppedPoint> {
    let step_s = step_s.max(1);
    let step_of = |point: &Point| point.ts.div_euclid(step_s);
    points
        .chunk_by(|a, b| step_of(a) == step_of(b))
        .map(|chunk| average(chunk, step_of(&chunk[0]) * step_s))
        .collect()
}

fn average(points: &[Point], ts: i64) -> SteppedPoint {
    let mean = |value: fn(&Point) -> Option<u64>| mean_u64(points.iter().filter_map(value));
    let point = Point {
        ts,
        cpu_percent: mean_f64(points.iter().filter_map(|point| point.cpu_percent)),
        memory_usage: mean(|point| point.memory_usage),
        memory_limit: highest_limit(points.iter()),
        network_rx: mean(|point| point.network_rx),
        network_tx: mean(|point| point.network_tx),
        block_read: mean(|point| point.block_read),
        block_write: mean(|point| point.block_write),
        containers: points.iter().map(|point| point.containers).max().unwrap_or(0),
    };
    let cpu_percent_max = points
        .iter()
        .filter_map(|point| point.cpu_percent)
        .max_by(f64::total_cmp);
    SteppedPoint {
        point,
        cpu_percent_max,
        memory_usage_max: points.iter().filter_map(|p| p.memory_usage).max(),
        samples: points.len() as u32,
    }
}

/// Puts points of a step, oldest first, together to points of a longer one of `step_s` seconds, a multiple of theirs. Each
/// counts for as many timestamps as it is the average of.
pub fn coarsen(points: &[SteppedPoint], step_s: i64) -> Vec<SteppedPoint> {
    let step_s = step_s.max(1);
    let step_of = |point: &SteppedPoint| point.point.ts.div_euclid(step_s);
    points
        .chunk_by(|a, b| step_of(a) == step_of(b))
        .map(|chunk| together(chunk, step_of(&chunk[0]) * step_s))
        .collect()
}

fn together(points: &[SteppedPoint], ts: i64) -> SteppedPoint {
    let inner = || points.iter().map(|step| &step.point);
    let mean = |value: fn(&Point) -> Option<u64>| {
        let known = points
            .iter()
            .filter_map(|step| Some((value(&step.point)?, step.samples)));
        weighted_u64(known)
    };
    let cpu = points
        .iter()
        .filter_map(|step| Some((step.point.cpu_percent?, step.samples)));
    let point = Point {
        ts,
        cpu_percent: weighted_f64(cpu),
        memory_usage: mean(|point| point.memory_usage),
        memory_limit: highest_limit(inner()),
        network_rx: mean(|point| point.network_rx),
        network_tx: mean(|point| point.network_tx),
        block_read: mean(|point| point.block_read),
        block_write: mean(|point| point.block_write),
        containers: inner().map(|point| point.containers).max().unwrap_or(0),
    };
    SteppedPoint {
        point,
        cpu_percent_max: points
            .iter()
            .filter_map(|step| step.cpu_percent_max)
            .max_by(f64::total_cmp),
        memory_usage_max: points.iter().filter_map(|step| step.memory_usage_max).max(),
        samples: points.iter().map(|step| step.samples).sum(),
    }
}

/// One less than 0 = unlimited wraps round to the highest number.
fn highest_limit<'a>(points: impl Iterator<Item = &'a Point>) -> Option<u64> {
    points
        .filter_map(|point| point.memory_limit)
        .max_by_key(|limit| limit.wrapping_sub(1))
}

fn mean_f64(values: impl Iterator<Item = f64>) -> Option<f64> {
    weighted_f64(values.map(|value| (value, 1)))
}

fn mean_u64(values: impl Iterator<Item = u64>) -> Option<u64> {
    weighted_u64(values.map(|value| (value, 1)))
}

fn weighted_f64(values: impl Iterator<Item = (f64, u32)>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), (value, weight)| {
        (sum + value * f64::from(weight), count + u64::from(weight))
    });
    (count > 0).then(|| (sum / count as f64 * 1e3).round() / 1e3)
}

fn weighted_u64(values: impl Iterator<Item = (u64, u32)>) -> Option<u64> {
    let (sum, count) = values.fold((0_u128, 0_u128), |(sum, count), (value, weight)| {
        (
            sum + u128::from(value) * u128::from(weight),
            count + u128::from(weight),
        )
    });
    (count > 0).then(|| u64::try_from((sum + count / 2) / count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(ts: i64, cpu: Option<f64>, memory: u64, limit: u64) -> Point {
        Point {
            ts,
            cpu_percent: cpu,
            memory_usage: Some(memory),
            memory_limit: Some(limit),
            network_rx: None,
            network_tx: Some(3),
            block_read: Some(0),
            block_write: Some(1),
            containers: 1 + (ts % 2) as u32,
        }
    }

    #[test]
    fn a_step_is_the_average_of_what_is_known_and_keeps_the_peaks() {
        let points = [
            point(119, Some(1.0), 9, 5),
            point(120, None, 10, 5),
            point(121, Some(4.0), 21, 0),
            point(179, Some(5.0), 20, 5),
        ];
        let stepped = downsample(&points, 60);
        assert_eq!(
            stepped.iter().map(|step| step.point.ts).collect::<Vec<_>>(),
            [60, 120]
        );
        let step = stepped[1];
        assert_eq!(
            (step.point.cpu_percent, step.cpu_percent_max),
            (Some(4.5), Some(5.0))
        );
        assert_eq!(
            (step.point.memory_usage, step.memory_usage_max),
            (Some(17), Some(21))
        );
        assert_eq!(
            (
                step.point.network_rx,
                step.point.memory_limit,
                step.point.containers
            ),
            (None, Some(0), 2)
        );
    }

    #[test]
    fn steps_put_together_are_the_step_of_all_their_points() {
        let points: Vec<Point> = (0..600)
            .filter(|ts| ts % 7 != 0 && !(100..190).contains(ts))
            .map(|ts| {
                point(
                    ts,
                    Some((ts * 37 % 100) as f64),
                    4_096 * ts as u64,
                    (ts % 3) as u64,
                )
            })
            .collect();
        let direct = downsample(&points, 300);
        let twice = coarsen(&downsample(&points, 60), 300);
        assert_eq!(direct.len(), twice.len());
        for (a, b) in direct.iter().zip(&twice) {
            assert_eq!(
                (a.samples, a.cpu_percent_max, a.memory_usage_max),
                (b.samples, b.cpu_percent_max, b.memory_usage_max)
            );
            assert_eq!(
                (a.point.ts, a.point.memory_limit, a.point.containers),
                (b.point.ts, b.point.memory_limit, b.point.containers)
            );
            // Each step was rounded to a thousandth, and to a byte, before.
            assert!((a.point.cpu_percent.unwrap() - b.point.cpu_percent.unwrap()).abs() <= 0.001);
            assert!(
                a.point
                    .memory_usage
                    .unwrap()
                    .abs_diff(b.point.memory_usage.unwrap())
                    <= 1
            );
        }
    }

    #[test]
    fn a_long_window_gives_at_most_a_thousand_points() {
        for window_s in [1_001, 5_000, 86_400, 604_800, 7_776_000, 400_000_000] {
            let points: Vec<Point> = (0..window_s)
                .step_by((window_s / 50_000).max(1) as usize)
                .map(|ts| point(ts + 59, None, 1, 0))
                .collect();
            let step = auto_step(points.len(), window_s).unwrap();
            assert!(downsample(&points, step).len() <= 1_000, "{window_s} by {step}");
        }
    }
}
