//! Rates: what two readings say, and what they do not.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use shipslog_core::stats::{Counters, CpuCounters, IoCounters, MemoryCounters, Sample, rates};
use shipslog_core::time::Timestamp;

const SECOND: u64 = 1_000_000_000;

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp::from_second(1_700_000_000 + seconds).unwrap())
}

/// A container on four processors that used half a core and moved 1,000 and 100 bytes a second since its start.
fn reading(seconds: u64) -> Counters {
    Counters {
        read_at: at(seconds as i64),
        started_at: at(0),
        paused: false,
        cpu: Some(CpuCounters {
            total_ns: seconds * SECOND / 2,
            system_ns: 1_000 * SECOND + seconds * SECOND * 4,
            online: 4,
        }),
        memory: Some(MemoryCounters {
            usage: 300,
            inactive_file: 100,
            limit: 1_000,
        }),
        network: Some(IoCounters {
            read: seconds * 1_000,
            written: seconds * 100,
        }),
        block: Some(IoCounters {
            read: seconds * 10,
            written: 0,
        }),
    }
}

fn held() -> Sample {
    Sample {
        memory_usage: Some(200),
        memory_limit: Some(1_000),
        ..Sample::default()
    }
}

#[test]
fn rates_are_what_happened_between_two_readings() {
    let sample = rates(Some(&reading(10)), &reading(20));
    let expected = Sample {
        cpu_percent: Some(50.0),
        network_rx: Some(1_000),
        network_tx: Some(100),
        block_read: Some(10),
        block_write: Some(0),
        ..held()
    };
    assert_eq!(sample, expected);
}

#[test]
fn a_container_on_all_cores_is_above_a_hundred() {
    let mut now = reading(20);
    now.cpu = Some(CpuCounters {
        total_ns: 45 * SECOND,
        system_ns: 1_080 * SECOND,
        online: 4,
    });
    assert_eq!(rates(Some(&reading(10)), &now).cpu_percent, Some(400.0));
}

#[test]
fn time_is_that_of_the_engine_to_the_nanosecond() {
    let mut now = reading(20);
    now.read_at = Some("2023-11-14T22:13:32.5Z".parse().unwrap());
    assert_eq!(rates(Some(&reading(10)), &now).network_rx, Some(4_000));
}

#[test]
fn a_first_reading_knows_what_is_held_and_no_rate() {
    assert_eq!(rates(None, &reading(10)), held());
}

#[test]
fn readings_that_cannot_be_compared_give_no_rate() {
    let changed = |change: fn(&mut Counters)| {
        let mut counters = reading(20);
        change(&mut counters);
        counters
    };
    for now in [
        changed(|c| c.started_at = at(15)),
        changed(|c| c.started_at = None),
        changed(|c| c.paused = true),
        changed(|c| c.read_at = None),
        changed(|c| c.read_at = at(10)),
        changed(|c| c.read_at = at(9)),
    ] {
        assert_eq!(rates(Some(&reading(10)), &now), held(), "{now:?}");
    }
    let mut paused = reading(10);
    paused.paused = true;
    assert_eq!(rates(Some(&paused), &reading(20)), held());
}

#[test]
fn each_group_of_counters_is_reset_for_itself() {
    let mut now = reading(20);
    now.network = Some(IoCounters {
        read: 20_000,
        written: 999,
    });
    let sample = rates(Some(&reading(10)), &now);
    assert_eq!(
        (sample.network_rx, sample.network_tx),
        (None, None),
        "one of two went backwards"
    );
    assert_eq!((sample.cpu_percent, sample.block_read), (Some(50.0), Some(10)));

    now.cpu = Some(CpuCounters {
        total_ns: SECOND,
        system_ns: 2_000 * SECOND,
        online: 4,
    });
    now.block = None;
    let sample = rates(Some(&reading(10)), &now);
    assert_eq!(
        (sample.cpu_percent, sample.block_read, sample.block_write),
        (None, None, None)
    );
}

#[test]
fn a_host_clock_that_does_not_go_on_gives_no_cpu() {
    for system_ns in [1_040 * SECOND, 1_000 * SECOND] {
        let mut now = reading(20);
        now.cpu = Some(CpuCounters {
            total_ns: 10 * SECOND,
            system_ns,
            online: 4,
        });
        assert_eq!(rates(Some(&reading(10)), &now).cpu_percent, None);
    }
}

#[test]
fn more_than_all_processors_can_do_is_no_cpu() {
    let mut now = reading(20);
    now.cpu = Some(CpuCounters {
        total_ns: u64::MAX,
        system_ns: 1_080 * SECOND,
        online: 4,
    });
    assert_eq!(rates(Some(&reading(10)), &now).cpu_percent, None);
    now.cpu = Some(CpuCounters {
        total_ns: 10 * SECOND,
        system_ns: 1_080 * SECOND,
        online: 0,
    });
    assert_eq!(rates(Some(&reading(10)), &now).cpu_percent, None);
}

#[test]
fn memory_is_never_below_zero_and_a_limit_past_all_machines_is_none() {
    let mut now = reading(20);
    now.memory = Some(MemoryCounters {
        usage: 50,
        inactive_file: 60,
        limit: u64::MAX,
    });
    let sample = rates(None, &now);
    assert_eq!((sample.memory_usage, sample.memory_limit), (Some(50), Some(0)));
    now.memory = None;
    let sample = rates(Some(&reading(10)), &now);
    assert_eq!(
        (sample.memory_usage, sample.memory_limit, sample.cpu_percent),
        (None, None, Some(50.0))
    );
}

/// What an engine answered for one container, as its adapter reads it: processor time used, whether it was paused, and
/// when it had been started. Without a process the engine reads at no time and has no other numbers.
struct Answer {
    seconds: u64,
    total_ns: Option<u64>,
    paused: bool,
    started: i64,
}

impl Answer {
    fn counters(&self) -> Counters {
        let Some(total_ns) = self.total_ns else {
            return Counters {
                started_at: at(self.started),
                ..Counters::default()
            };
        };
        Counters {
            cpu: Some(CpuCounters {
                total_ns,
                ..reading(self.seconds).cpu.unwrap()
            }),
            started_at: at(self.started),
            paused: self.paused,
            ..reading(self.seconds)
        }
    }
}

#[test]
fn a_life_with_stop_start_and_pause_never_shows_a_number_that_was_not_measured() {
    let answer = |seconds, total_ns, paused, started| Answer {
        seconds,
        total_ns,
        paused,
        started,
    };
    let life = [
        (answer(1, Some(11_778_341), false, 0), None),
        (answer(2, Some(31_778_341), false, 0), Some(2.0)),
        // Stopped: an answer of zeros, in which the counters before it must not be subtracted.
        (answer(3, None, false, 0), None),
        (answer(4, None, false, 0), None),
        // Started again, from a lower count.
        (answer(5, Some(23_464_151), false, 5), None),
        (answer(6, Some(43_464_151), false, 5), Some(2.0)),
        // Paused: the count stands still, which is no use of 0 %.
        (answer(7, Some(43_464_151), true, 5), None),
        (answer(8, Some(43_464_151), true, 5), None),
        (answer(9, Some(53_464_151), false, 5), None),
        (answer(10, Some(53_464_151), false, 5), Some(0.0)),
    ];
    let mut previous = None;
    for (answer, expected) in life {
        let now = answer.counters();
        let sample = rates(previous.as_ref(), &now);
        assert_eq!(sample.cpu_percent, expected, "at {}", answer.seconds);
        assert_eq!(
            sample.network_rx,
            expected.map(|_| 1_000),
            "at {}",
            answer.seconds
        );
        assert_eq!(
            sample.memory_usage.is_some(),
            answer.total_ns.is_some(),
            "at {}",
            answer.seconds
        );
        previous = Some(now);
    }
}

/// Numbers where it hurts: small, close to each other, and at the ends.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..4_u64,
        any::<u64>(),
        (u64::MAX - 3)..=u64::MAX,
        Just(9_223_372_036_854_771_712),
        0..10_000_000_000_u64
    ]
}

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    let seconds = prop_oneof![
        0..4_i64,
        Timestamp::MIN.as_second() + 1..Timestamp::MAX.as_second()
    ];
    let time = (seconds, 0..3_i32).prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).ok());
    prop_oneof![4 => time, 1 => Just(None)]
}

fn io() -> impl Strategy<Value = Option<IoCounters>> {
    prop::option::of((number(), number()).prop_map(|(read, written)| IoCounters { read, written }))
}

prop_compose! {
    fn cpu()(
        total_ns in number(),
        system_ns in number(),
        online in prop_oneof![0..8_u32, any::<u32>()],
    ) -> CpuCounters {
        CpuCounters { total_ns, system_ns, online }
    }
}

prop_compose! {
    fn memory()(usage in number(), inactive_file in number(), limit in number()) -> MemoryCounters {
        MemoryCounters { usage, inactive_file, limit }
    }
}

prop_compose! {
    fn counters()(
        read_at in time(),
        started_at in prop_oneof![3 => Just(at(0)), 1 => time()],
        paused in prop::bool::weighted(0.1),
        cpu in prop::option::of(cpu()),
        memory in prop::option::of(memory()),
        network in io(),
        block in io(),
    ) -> Counters {
        Counters { read_at, started_at, paused, cpu, memory, network, block }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn no_pair_of_readings_gives_a_number_that_is_none(previous in prop::option::of(counters()), now in counters()) {
        let sample = rates(previous.as_ref(), &now);
        let cores = now.cpu.map_or(0.0, |cpu| f64::from(cpu.online));
        prop_assert!(sample.cpu_percent.is_none_or(|percent| (0.0..=cores * 200.1).contains(&percent)));
        let held = [sample.memory_usage, sample.memory_limit];
        let moved = [sample.network_rx, sample.network_tx, sample.block_read, sample.block_write];
        let mut whole = held.iter().chain(&moved).flatten();
        prop_assert!(whole.all(|number| i64::try_from(*number).is_ok()), "{sample:?}");
        prop_assert!(sample.memory_usage <= now.memory.map(|memory| memory.usage));
    }

    #[test]
    fn nothing_comes_of_counters_that_went_backwards(earlier in counters(), later in counters()) {
        let sample = rates(Some(&earlier), &later);
        let back = |before: Option<IoCounters>, after: Option<IoCounters>| {
            let fell = |(before, after): (IoCounters, IoCounters)| {
                after.read < before.read || after.written < before.written
            };
            before.zip(after).is_some_and(fell)
        };
        prop_assert!(!back(earlier.network, later.network) || sample.network_rx.is_none());
        prop_assert!(!back(earlier.block, later.block) || sample.block_write.is_none());
        let back = |before: CpuCounters, after: CpuCounters| {
            after.total_ns < before.total_ns || after.system_ns <= before.system_ns
        };
        let back = earlier.cpu.zip(later.cpu).is_some_and(|(before, after)| back(before, after));
        prop_assert!(!back || sample.cpu_percent.is_none());
    }
}
