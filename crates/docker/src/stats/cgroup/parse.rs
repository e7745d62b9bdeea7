//! Numbers out of the kernel's files, without allocating. `None` is a text that makes no sense.

use shipslog_core::stats::IoCounters;

/// Nanoseconds in the hundredth of a second in which `/proc/stat` counts on every architecture that Linux runs on today.
const TICK_NS: u64 = 10_000_000;

/// A file of one number.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

/// The number behind `name` in a file of `name number` lines.
pub(super) fn named(text: &[u8], name: &str) -> Option<u64> {
    let line = lines(text).find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b" "))?;
    number(line)
}

/// A limit in bytes; 0 = unlimited, which cgroup v2 writes as `max` and v1 as the largest number of whole pages. One that the
/// machine cannot reach is the machine's memory, as the engine has it.
pub(super) fn limit(text: &[u8], machine: u64) -> Option<u64> {
    if text.trim_ascii() == b"max" {
        return Some(0);
    }
    let limit = number(text)?;
    Some(if limit > i64::MAX as u64 / 2 {
        0
    } else {
        limit.min(machine)
    })
}

/// `8:0 Read 4096` and so on, the sum over all devices. Empty when nothing was moved yet.
pub(super) fn block_v1(text: &[u8]) -> Option<IoCounters> {
    let mut moved = IoCounters { read: 0, written: 0 };
    for line in lines(text) {
        let mut words = words(line).skip(1);
        match words.next() {
            Some(b"Read") => add(&mut moved.read, words.next()?)?,
            Some(b"Write") => add(&mut moved.written, words.next()?)?,
            _ => {}
        }
    }
    Some(moved)
}

/// `8:0 rbytes=4096 wbytes=0 …`, the sum over all devices. Empty when nothing was moved yet.
pub(super) fn block_v2(text: &[u8]) -> Option<IoCounters> {
    let mut moved = IoCounters { read: 0, written: 0 };
    for word in lines(text).flat_map(words) {
        if let Some(bytes) = word.strip_prefix(b"rbytes=") {
            add(&mut moved.read, bytes)?;
        } else if let Some(bytes) = word.strip_prefix(b"wbytes=") {
            add(&mut moved.written, bytes)?;
        }
    }
    Some(moved)
}

/// The sum over the interfaces that the engine made, which it calls `eth…`, and which are all that it counts: not the
/// loopback, and not what a container makes for itself and passes its packets through a second time. Where no interface is
/// called so, as with some network plugins, all but the loopback. The inner `None` without any.
pub(super) fn network(text: &[u8]) -> Option<Option<IoCounters>> {
    let (mut engine, mut others) = (None, None);
    for line in lines(text) {
        let Some((name, numbers)) = split_once(line, b':') else {
            continue;
        };
        match name.trim_ascii() {
            b"lo" => {}
            name if name.starts_with(b"eth") => add_interface(&mut engine, numbers)?,
            _ => add_interface(&mut others, numbers)?,
        }
    }
    Some(engine.or(others))
}

/// Processor time that passed, idle or not, and the processors that it passed on: the first seven columns of the line `cpu`,
/// which are those that the engine sums, and the lines of single processors.
pub(super) fn processors(text: &[u8]) -> Option<(u64, u32)> {
    let mut all = None;
    let mut online = 0;
    for line in lines(text).take_while(|line| line.starts_with(b"cpu")) {
        match line.strip_prefix(b"cpu ") {
            Some(columns) => all = Some(columns),
            None => online += 1,
        }
    }
    let mut ticks = 0;
    for column in words(all?).take(7) {
        add(&mut ticks, column)?;
    }
    (online > 0).then_some((ticks.checked_mul(TICK_NS)?, online))
}

pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

pub(super) fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|&byte| byte == at)?;
    Some((&text[..place], &text[place + 1..]))
}

fn add(sum: &mut u64, text: &[u8]) -> Option<()> {
    *sum = sum.saturating_add(number(text)?);
    Some(())
}

/// Bytes received are the first column, bytes sent the ninth.
fn add_interface(sum: &mut Option<IoCounters>, numbers: &[u8]) -> Option<()> {
    let sum = sum.get_or_insert(IoCounters { read: 0, written: 0 });
    let mut words = words(numbers);
    add(&mut sum.read, words.next()?)?;
    add(&mut sum.written, words.nth(7)?)
}
