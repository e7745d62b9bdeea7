//! Columns and sums, held against a slow and simple model.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use shipslog_core::stats::{Block, BlockRun, BrokenBlock, Columns, ColumnsBuilder, Point, Sample, aggregate};

type Pushed = Vec<(i64, u64, Sample)>;

fn columns(samples: &Pushed) -> Columns {
    let mut builder = ColumnsBuilder::new();
    samples
        .iter()
        .for_each(|(ts, container, sample)| builder.push(*ts, *container, sample));
    builder.finish()
}

fn sum(samples: &[&Sample], of: impl Fn(&Sample) -> Option<u64>) -> Option<u64> {
    samples
        .iter()
        .filter_map(|sample| of(sample))
        .reduce(u64::saturating_add)
}

/// One timestamp, added up container by container.
fn point(ts: i64, samples: &[&Sample]) -> Point {
    let thousandths = |sample: &Sample| {
        sample
            .cpu_percent
            .map(|percent| (percent * 1_000.0).round() as u64)
    };
    let limits: Vec<u64> = samples.iter().filter_map(|sample| sample.memory_limit).collect();
    let highest = || {
        if limits.contains(&0) {
            Some(0)
        } else {
            limits.iter().max().copied()
        }
    };
    Point {
        ts,
        cpu_percent: sum(samples, thousandths).map(|sum| sum as f64 / 1_000.0),
        memory_usage: sum(samples, |sample| sample.memory_usage),
        memory_limit: highest(),
        network_rx: sum(samples, |sample| sample.network_rx),
        network_tx: sum(samples, |sample| sample.network_tx),
        block_read: sum(samples, |sample| sample.block_read),
        block_write: sum(samples, |sample| sample.block_write),
        containers: samples.len() as u32,
    }
}

fn model(samples: &Pushed) -> Vec<Point> {
    let mut ticks: BTreeMap<i64, Vec<&Sample>> = BTreeMap::new();
    samples
        .iter()
        .for_each(|(ts, _, sample)| ticks.entry(*ts).or_default().push(sample));
    ticks.iter().map(|(ts, samples)| point(*ts, samples)).collect()
}

/// Takes spans apart and puts a part of each together, as a store does that keeps blocks.
fn check_parts(samples: &Pushed) {
    const SPAN: i64 = 7;
    let (first, last) = (
        samples.first().map_or(0, |s| s.0),
        samples.last().map_or(0, |s| s.0),
    );
    let (from, to) = (first + 2, last - 1);
    let mut builder = ColumnsBuilder::new();
    for span in samples.chunk_by(|a, b| a.0.div_euclid(SPAN) == b.0.div_euclid(SPAN)) {
        let columns = columns(&span.to_vec());
        let axis = columns.timestamps();
        let place = |ts| axis.partition_point(|at| *at < ts) as u32;
        let again =
            |block: Block| Block::new(block.container(), block.runs().to_vec(), block.columns().clone());
        let blocks: Vec<Block> = columns.blocks().map(|block| again(block).unwrap()).collect();
        builder.extend(axis, place(from)..place(to), &blocks);
    }
    let window: Pushed = samples
        .iter()
        .filter(|s| (from..to).contains(&s.0))
        .copied()
        .collect();
    let put_together = builder.finish();
    assert_eq!(aggregate(&put_together).points(), model(&window));
    assert_eq!(put_together.len(), window.len());
}

#[test]
fn a_timestamp_of_a_span_at_which_a_block_has_nothing_is_no_point() {
    let sample = Sample {
        memory_usage: Some(1),
        ..Sample::default()
    };
    let host = columns(&vec![(10, 1, sample), (20, 2, sample), (30, 1, sample)]);
    let one: Vec<Block> = host.blocks().filter(|block| block.container() == 1).collect();
    let mut builder = ColumnsBuilder::new();
    builder.extend(host.timestamps(), 0..3, &one);
    builder.extend(&[30, 40], 0..2, &one);
    assert_eq!(builder.finish().timestamps(), [10, 30]);
}

#[test]
fn a_block_with_parts_that_do_not_fit_is_refused() {
    let host = columns(&vec![(10, 1, Sample::default()), (20, 1, Sample::default())]);
    let block = host.blocks().next().unwrap();
    let short = vec![BlockRun {
        places: 0..1,
        limit: None,
    }];
    assert_eq!(Block::new(1, short, block.columns().clone()), Err(BrokenBlock));
    let twice = vec![
        BlockRun {
            places: 0..1,
            limit: None,
        },
        BlockRun {
            places: 0..1,
            limit: None,
        },
    ];
    assert_eq!(Block::new(1, twice, block.columns().clone()), Err(BrokenBlock));
    assert!(Block::new(1, block.runs().to_vec(), block.columns().clone()).is_ok());
}

fn check(samples: &Pushed) {
    let columns = columns(samples);
    assert_eq!(aggregate(&columns).points(), model(samples));
    let mut kept: Pushed = columns.samples().collect();
    kept.sort_by_key(|(ts, container, _)| (*ts, *container));
    let mut pushed = samples.clone();
    pushed.sort_by_key(|(ts, container, _)| (*ts, *container));
    assert_eq!(kept, pushed);
    assert_eq!(columns.len(), samples.len());
    check_parts(samples);
    let containers: BTreeSet<u64> = samples.iter().map(|(_, container, _)| *container).collect();
    assert_eq!(columns.containers(), containers.len());
    assert_eq!(columns.is_empty(), samples.is_empty());
}

/// Unknown, or of any width that a column can have.
fn value() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        1 => Just(None),
        4 => (0..60_000_u64).prop_map(Some),
        2 => (0..=u64::from(u32::MAX)).prop_map(Some),
        1 => prop_oneof![any::<u64>(), Just(u64::MAX)].prop_map(Some),
    ]
}

fn memory() -> impl Strategy<Value = Option<u64>> {
    let pages = (0..=u64::from(u32::MAX)).prop_map(|pages| Some(pages << 12));
    prop_oneof![4 => pages, 1 => value()]
}

fn limit() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        Just(None),
        Just(Some(0)),
        (1..4_u64).prop_map(Some),
        Just(Some(u64::MAX))
    ]
}

prop_compose! {
    fn sample()(
        cpu in prop::option::of(0..4_000_000_u64),
        memory_usage in memory(),
        memory_limit in limit(),
        (network_rx, network_tx) in (value(), value()),
        (block_read, block_write) in (value(), value()),
    ) -> Sample {
        let cpu_percent = cpu.map(|thousandths| thousandths as f64 / 1_000.0);
        Sample { cpu_percent, memory_usage, memory_limit, network_rx, network_tx, block_read, block_write }
    }
}

/// Ticks of up to 7 containers, each of which misses more of them or fewer, in an order of its own at each tick.
fn history() -> impl Strategy<Value = Pushed> {
    let presence = prop::collection::vec(prop_oneof![Just(100_u32), Just(95), 0..100_u32], 7);
    let tick = (
        1..40_i64,
        prop::collection::vec((0..100_u32, sample()), 7),
        0..7_usize,
    );
    (presence, prop::collection::vec(tick, 0..60)).prop_map(|(presence, ticks)| {
        let mut ts = 1_700_000_000;
        let mut pushed = Vec::new();
        for (passed, rows, first) in ticks {
            ts += passed;
            for at in (first..7).chain(0..first) {
                let (chance, sample) = &rows[at];
                if *chance < presence[at] {
                    pushed.push((ts, at as u64 * 1_000, *sample));
                }
            }
        }
        pushed
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn sums_are_those_of_the_model_and_samples_come_back(history in history()) {
        check(&history);
    }
}

/// More ticks than are summed at a time, of containers that come, go, pause and are missed in every manner.
#[test]
fn long_windows_are_summed_like_short_ones() {
    let mut pushed = Vec::new();
    for tick in 0..20_000_i64 {
        let missed = [
            false,
            tick % 50 == 7,
            tick % 3 == 0,
            tick < 8_000,
            (4_000..13_000).contains(&tick),
            tick % 2 == 0,
        ];
        let present = (0..).zip(missed).filter(|(_, missed)| !missed);
        pushed.extend(present.map(|(container, _)| (tick * 10, container, plain(tick as u64, container))));
    }
    check(&pushed);
}

fn plain(tick: u64, container: u64) -> Sample {
    let known = |number: u64| (!(tick + container).is_multiple_of(1_000)).then_some(number);
    Sample {
        cpu_percent: known(tick * container % 70_000).map(|thousandths| thousandths as f64 / 1_000.0),
        memory_usage: Some((tick * 7 + container) % 100_000 * 4_096),
        memory_limit: [None, Some(0), Some(1 << 30)][((container + tick / 5_000) % 3) as usize],
        network_rx: known(tick * 12_345 % 5_000_000),
        network_tx: None,
        block_read: known(container),
        block_write: known(0),
    }
}

/// Sums of 32 bits would be past their end after two of these, sums of 64 bits after two of the largest.
#[test]
fn large_numbers_are_added_up_without_running_over() {
    let large = [
        u64::from(u32::MAX),
        1 << 31,
        u64::from(u16::MAX),
        u64::MAX - 10,
        1 << 63,
    ];
    for many in [1, 2, 3, 4, 5, 9, 40] {
        for number in large {
            let sample = Sample {
                memory_usage: Some((number >> 12) << 12),
                network_rx: Some(number),
                network_tx: Some(number / 2),
                ..Sample::default()
            };
            let tick = |ts: i64| (0..many).map(move |container| (ts, container, sample));
            check(&(0..300).flat_map(tick).collect());
        }
    }
}

#[test]
fn unknown_and_known_is_known_and_all_unknown_is_unknown() {
    let known = Sample {
        cpu_percent: Some(1.5),
        memory_limit: Some(7),
        ..Sample::default()
    };
    let points = aggregate(&columns(&vec![
        (10, 1, known),
        (10, 2, Sample::default()),
        (20, 2, Sample::default()),
    ]))
    .points();
    assert_eq!(
        (
            points[0].cpu_percent,
            points[0].memory_limit,
            points[0].containers
        ),
        (Some(1.5), Some(7), 2)
    );
    assert_eq!(
        (
            points[1].cpu_percent,
            points[1].memory_limit,
            points[1].containers
        ),
        (None, None, 1)
    );
}

#[test]
fn what_no_engine_measured_is_left_out() {
    let cpu = |cpu_percent| Sample {
        cpu_percent: Some(cpu_percent),
        ..Sample::default()
    };
    let mut builder = ColumnsBuilder::new();
    for (ts, percent) in [
        (10, f64::NAN),
        (20, f64::INFINITY),
        (30, -1.0),
        (40, 0.0004),
        (50, 0.0006),
    ] {
        builder.push(ts, 1, &cpu(percent));
    }
    builder.push(50, 1, &cpu(99.0));
    builder.push(40, 2, &cpu(99.0));
    let columns = builder.finish();
    let seen: Vec<_> = aggregate(&columns)
        .points()
        .iter()
        .map(|point| point.cpu_percent)
        .collect();
    assert_eq!(seen, [None, None, None, Some(0.0), Some(0.001)]);
    assert_eq!(
        (columns.len(), columns.containers()),
        (5, 1),
        "a repeat and a step back in time are left out"
    );
}

#[test]
fn no_samples_are_no_points() {
    assert_eq!(aggregate(&Columns::default()).points(), []);
    assert!(Columns::default().is_empty());
}

#[test]
fn json_shows_unknown_as_null_and_every_field() {
    let point = aggregate(&columns(&vec![(
        10,
        1,
        Sample {
            memory_usage: Some(u64::MAX),
            ..Sample::default()
        },
    )]))
    .points();
    let json = serde_json::to_string(&point).unwrap();
    let expected = concat!(
        r#"[{"ts":10,"cpu_percent":null,"memory_usage":18446744073709551615,"memory_limit":null,"#,
        r#""network_rx":null,"network_tx":null,"block_read":null,"block_write":null,"containers":1}]"#
    );
    assert_eq!(json, expected);
}
