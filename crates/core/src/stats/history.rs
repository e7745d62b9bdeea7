//! Answering for a window: which form of history, how finely, and the part that is not rolled up yet.

use serde::Serialize;

use super::rollup::LEAD;
use super::{
    Point, Retention, Rollup, StatsStore, SteppedPoint, Tier, Usage, aggregate, auto_step, coarsen,
    downsample, roll_up, usage,
};
use crate::id::WorkloadId;
use crate::store::StoreError;
use crate::time::Window;

/// The points of a workload, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum History {
    /// One a timestamp.
    Raw(Vec<Point>),
    /// One a step.
    Stepped(Vec<SteppedPoint>),
}

/// How finely a window is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// As it is kept, or if that gives more than 1,000 points, in steps of a round length.
    Automatic,
    /// Every timestamp of which samples are kept, however far back that is.
    Raw,
    /// So many seconds, but never finer than it is kept.
    Seconds(i64),
}

/// A window of a workload's history that ends with the second `now`.
#[derive(Debug, Clone, Copy)]
pub struct HistoryQuery<'a> {
    /// Whose.
    pub workload: &'a WorkloadId,
    /// Unix seconds; the last second of the window.
    pub now: i64,
    /// How long.
    pub window: Window,
    /// How finely.
    pub step: Step,
    /// Leaves out what is at this time or before.
    pub since: Option<i64>,
}

impl HistoryQuery<'_> {
    /// The first second after the window.
    pub fn to(&self) -> i64 {
        self.now.saturating_add(1)
    }

    /// The first second of what is asked for.
    pub fn from(&self) -> i64 {
        let from = self.to().saturating_sub(self.window.seconds());
        self.since.map_or(from, |since| from.max(since.saturating_add(1)))
    }

    /// Answers from samples where they reach back far enough, else from the finest tier that does, and from samples for
    /// what is not rolled up yet.
    ///
    /// # Errors
    /// As the store.
    pub async fn points(&self, store: &dyn StatsStore, kept: &Retention) -> Result<History, StoreError> {
        let tier = kept.tier_for(self.window).filter(|_| self.step != Step::Raw);
        match tier {
            None => self.sampled(store).await,
            Some(tier) => self.rolled_up(store, tier).await.map(History::Stepped),
        }
    }

    async fn sampled(&self, store: &dyn StatsStore) -> Result<History, StoreError> {
        let points = aggregate(&store.samples(self.workload, self.from(), self.to()).await?).points();
        let seconds = match self.step {
            Step::Raw => None,
            Step::Seconds(seconds) => Some(seconds),
            Step::Automatic => auto_step(points.len(), self.window.seconds()),
        };
        Ok(match seconds {
            None => History::Raw(points),
            Some(seconds) => History::Stepped(downsample(&points, seconds)),
        })
    }

    async fn rolled_up(&self, store: &dyn StatsStore, tier: Tier) -> Result<Vec<SteppedPoint>, StoreError> {
        let rollups = rollups(store, self.workload, tier, self.from(), self.to()).await?;
        let points: Vec<SteppedPoint> = rollups.into_iter().map(|rollup| rollup.point).collect();
        let seconds = match self.step {
            Step::Seconds(seconds) => Some(seconds),
            Step::Raw | Step::Automatic => auto_step(points.len(), self.window.seconds()),
        };
        Ok(match seconds.filter(|seconds| *seconds > tier.seconds()) {
            None => points,
            Some(seconds) => coarsen(&points, seconds),
        })
    }

    /// Whether the answer is points as they were stored, as far as that can be told without reading any: in steps if a sample
    /// every `tick_s` seconds gives more of them than a window shows.
    pub fn is_for_stored(&self, kept: &Retention, tick_s: i64) -> bool {
        let expected = usize::try_from(self.window.seconds() / tick_s.max(1)).unwrap_or(usize::MAX);
        match self.step {
            Step::Raw => true,
            Step::Automatic => kept.tier_for(self.window).is_none() && self.shows(expected),
            Step::Seconds(_) => false,
        }
    }

    /// Whether so many points are answered as they were stored.
    pub fn shows(&self, points: usize) -> bool {
        match self.step {
            Step::Raw => true,
            Step::Automatic => auto_step(points, self.window.seconds()).is_none(),
            Step::Seconds(_) => false,
        }
    }
}

/// What a workload used in a window that ends with the second `now`, in buckets of 5 minutes.
///
/// # Errors
/// As the store.
pub async fn usage_in(
    store: &dyn StatsStore,
    workload: &WorkloadId,
    now: i64,
    window: Window,
) -> Result<Usage, StoreError> {
    let to = now.saturating_add(1);
    let from = to.saturating_sub(window.seconds());
    Ok(usage(
        &rollups(store, workload, Tier::FiveMinutes, from, to).await?,
    ))
}

/// Roll-ups of a window, those that were not made yet included. A bucket that the window begins in is left out.
async fn rollups(
    store: &dyn StatsStore,
    workload: &WorkloadId,
    tier: Tier,
    from: i64,
    to: i64,
) -> Result<Vec<Rollup>, StoreError> {
    let from = tier.bucket(from.saturating_add(tier.seconds() - 1));
    let through = store.rolled_through(tier).await?.unwrap_or(from).max(from);
    let mut rollups = store.rollups(workload, tier, from, through.min(to)).await?;
    let fresh = store.samples(workload, through.saturating_sub(LEAD), to).await?;
    rollups.extend(roll_up(&aggregate(&fresh).points(), tier, through));
    Ok(rollups)
}
