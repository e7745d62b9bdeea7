//! A tick as one value: its rows one after another, each a container number, a length, and what was measured.
//!
//! The length lets a reader that looks for a few containers step over the others.

use shipslog_core::stats::Sample;

use super::super::error::Failure;
use super::varint::{Reader, put};

/// A container's number and what was read of it; `None` for one that was listed and not read.
pub(super) type Row = (i64, Option<Sample>);

/// Set for a row with a sample. Below it stands a bit for each measure that is known.
const READ: u8 = 0x80;

/// Memory mostly comes in pages of 4 KiB. Such a number is kept in pages with its lowest bit set, another in bytes.
const PAGE_BITS: u32 = 12;

/// Bytes that a row takes at most, and mostly.
const USUAL_ROW: usize = 28;

/// Packs rows, which must be in the order of their numbers.
pub(super) fn pack(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() * USUAL_ROW);
    let mut before = 0;
    for (number, sample) in rows {
        put(&mut bytes, number.abs_diff(before));
        before = *number;
        let length_at = bytes.len();
        bytes.push(0);
        put_sample(&mut bytes, sample.as_ref());
        bytes[length_at] = (bytes.len() - length_at - 1) as u8;
    }
    bytes
}

fn put_sample(bytes: &mut Vec<u8>, sample: Option<&Sample>) {
    let Some(sample) = sample else {
        return bytes.push(0);
    };
    let values = [
        sample.cpu_percent.and_then(thousandths),
        sample.memory_usage.map(in_pages),
        sample.memory_limit.map(in_pages),
        sample.network_rx.map(capped),
        sample.network_tx.map(capped),
        sample.block_read.map(capped),
        sample.block_write.map(capped),
    ];
    let known = values
        .iter()
        .enumerate()
        .map(|(bit, value)| u8::from(value.is_some()) << bit);
    bytes.push(known.fold(READ, |flags, bit| flags | bit));
    values.into_iter().flatten().for_each(|value| put(bytes, value));
}

/// Every row of a packed tick.
///
/// # Errors
/// `Invalid` when the bytes are damaged.
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    each(bytes, |number, body| {
        rows.push((number, sample(body)?));
        Some(())
    })?;
    Ok(rows)
}

/// The samples of those containers whose numbers `wanted` holds, in order.
///
/// # Errors
/// `Invalid` when the bytes are damaged.
pub(super) fn pick(bytes: &[u8], wanted: &[i64], mut found: impl FnMut(i64, &Sample)) -> Result<(), Failure> {
    let mut wanted = wanted.iter().peekable();
    each(bytes, |number, body| {
        while wanted.next_if(|next| **next < number).is_some() {}
        if wanted.next_if_eq(&&number).is_some()
            && let Some(sample) = sample(body)?
        {
            found(number, &sample);
        }
        Some(())
    })
}

/// Goes through the rows; `None` from the visitor means that a body cannot be read.
fn each<'a>(bytes: &'a [u8], mut visit: impl FnMut(i64, &'a [u8]) -> Option<()>) -> Result<(), Failure> {
    let mut reader = Reader::new(bytes);
    let mut number = 0_i64;
    let mut next = || {
        number = number.checked_add_unsigned(reader.varint()?)?;
        let length = reader.byte()?;
        visit(number, reader.take(length.into())?)?;
        Some(reader.is_empty())
    };
    if bytes.is_empty() {
        return Ok(());
    }
    loop {
        match next() {
            Some(true) => return Ok(()),
            Some(false) => {}
            None => return Err(Failure::invalid("stored value")),
        }
    }
}

/// What a body says; the outer `None` if it is damaged.
fn sample(body: &[u8]) -> Option<Option<Sample>> {
    let mut reader = Reader::new(body);
    let flags = reader.byte()?;
    if flags & READ == 0 {
        return Some(None);
    }
    let mut value = |bit: u32| -> Option<Option<u64>> {
        let known = flags & (1 << bit) != 0;
        if known {
            reader.varint().map(Some)
        } else {
            Some(None)
        }
    };
    Some(Some(Sample {
        cpu_percent: value(0)?.map(|thousandths| thousandths as f64 / 1000.0),
        memory_usage: value(1)?.map(in_bytes),
        memory_limit: value(2)?.map(in_bytes),
        network_rx: value(3)?,
        network_tx: value(4)?,
        block_read: value(5)?,
        block_write: value(6)?,
    }))
}

/// `None` for what is no share of a processor: better not known than wrong.
fn thousandths(percent: f64) -> Option<u64> {
    let valid = percent.is_finite() && percent >= 0.0;
    valid.then(|| capped((percent * 1000.0).round() as u64))
}

/// 8 EiB are more than any counter means.
fn capped(value: u64) -> u64 {
    value.min(i64::MAX as u64)
}

fn in_pages(bytes: u64) -> u64 {
    let bytes = capped(bytes);
    let pages = bytes >> PAGE_BITS;
    if pages << PAGE_BITS == bytes {
        pages << 1 | 1
    } else {
        bytes << 1
    }
}

fn in_bytes(packed: u64) -> u64 {
    if packed & 1 == 1 {
        capped((packed >> 1) << PAGE_BITS)
    } else {
        packed >> 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let sample = |memory, cpu| Sample {
            cpu_percent: cpu,
            memory_usage: Some(memory),
            memory_limit: Some(0),
            network_rx: None,
            network_tx: Some(u64::MAX),
            block_read: Some(0),
            block_write: Some(12_345),
        };
        vec![
            (1, Some(sample(4096, Some(0.125)))),
            (2, None),
            (70_000, Some(sample(4097, None))),
            (70_001, Some(Sample::default())),
        ]
    }

    #[test]
    fn rows_come_back_and_past_63_bits_as_the_largest_number() {
        let mut expected = rows();
        for (_, sample) in &mut expected {
            if let Some(sample) = sample {
                sample.network_tx = sample.network_tx.map(|_| i64::MAX as u64);
            }
        }
        assert_eq!(unpack(&pack(&rows())).unwrap(), expected);
        assert_eq!(unpack(&pack(&[])).unwrap(), []);
    }

    #[test]
    fn the_containers_that_are_looked_for_are_found() {
        let mut found = Vec::new();
        pick(&pack(&rows()), &[0, 2, 70_000, 80_000], |number, sample| {
            found.push((number, sample.memory_usage))
        })
        .unwrap();
        assert_eq!(found, [(70_000, Some(4097))]);
    }

    #[test]
    fn damaged_bytes_are_an_error_and_never_a_panic() {
        let whole = pack(&rows());
        for end in 1..whole.len() {
            let cut = unpack(&whole[..end]).map(|rows| rows.len());
            assert!(cut.is_err() || cut.is_ok_and(|rows| rows < 4), "{end}");
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                let _ = unpack(&damaged);
            }
        }
    }
}
