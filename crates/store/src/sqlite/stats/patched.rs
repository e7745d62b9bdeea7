//! Small numbers in as few bits as most of them need, with the few that need more patched in: larger than entropy coding makes
//! them, and read several times as fast.
//!
//! The numbers are taken relative to their smallest, or each to the one before, whichever is shorter. They are packed 128 at a
//! time: the number of bits, the number of patches, the packed bits, and for each patch its place and the bits above.
//!
//! The scheme is PFOR (Zukowski, Héman, Nes and Boncz, "Super-Scalar RAM-CPU Cache Compression", 2006).

use bitpacking::{BitPacker, BitPacker4x};

use super::varint::{Reader, put};

/// Numbers that are packed together.
const BLOCK: usize = BitPacker4x::BLOCK_LEN;

/// Most bits of a number.
const WIDEST: u8 = 32;

/// What the packed numbers are.
mod relative {
    /// Differences to the smallest.
    pub(super) const TO_BASE: u8 = 0;
    /// Differences to the one before, of which the lowest bit is the sign.
    pub(super) const TO_LAST: u8 = 1;
}

/// Packs numbers, of which there is at least one.
pub(super) fn pack(numbers: &[u32]) -> Vec<u8> {
    let base = numbers.iter().copied().min().unwrap_or(0);
    let to_base: Vec<u32> = numbers.iter().map(|number| number - base).collect();
    let to_base = whole(relative::TO_BASE, base, &to_base);
    match steps(numbers) {
        Some(steps) => shorter(to_base, whole(relative::TO_LAST, numbers[0], &steps)),
        None => to_base,
    }
}

fn shorter(a: Vec<u8>, b: Vec<u8>) -> Vec<u8> {
    if b.len() < a.len() { b } else { a }
}

fn whole(kind: u8, base: u32, numbers: &[u32]) -> Vec<u8> {
    let mut bytes = vec![kind];
    put(&mut bytes, base.into());
    numbers
        .chunks(BLOCK)
        .for_each(|block| put_block(&mut bytes, block));
    bytes
}

/// The differences; `None` when one does not fit.
fn steps(numbers: &[u32]) -> Option<Vec<u32>> {
    let mut last = *numbers.first()?;
    let step = |number: &u32| {
        let step = i64::from(*number) - i64::from(last);
        last = *number;
        u32::try_from((step << 1 ^ step >> 63).cast_unsigned()).ok()
    };
    numbers.iter().map(step).collect()
}

fn put_block(bytes: &mut Vec<u8>, numbers: &[u32]) {
    let width = best_width(numbers);
    let mask = low_bits(width);
    let mut low = [0; BLOCK];
    low.iter_mut()
        .zip(numbers)
        .for_each(|(low, number)| *low = number & mask);
    let patched = || numbers.iter().enumerate().filter(|(_, number)| **number > mask);
    bytes.push(width);
    bytes.push(patched().count() as u8);
    let packed = bytes.len();
    bytes.resize(packed + packed_size(width), 0);
    BitPacker4x::new().compress(&low, &mut bytes[packed..], width);
    for (place, number) in patched() {
        bytes.push(place as u8);
        put(bytes, (number >> width).into());
    }
}

fn low_bits(width: u8) -> u32 {
    u32::MAX.checked_shr(u32::from(WIDEST - width)).unwrap_or(0)
}

fn packed_size(width: u8) -> usize {
    usize::from(width) * BLOCK / 8
}

/// The width with which the block is shortest.
fn best_width(numbers: &[u32]) -> u8 {
    let size = |width: u8| {
        let above = numbers.iter().filter(|number| **number > low_bits(width));
        let patches =
            above.map(|number| 1 + (u32::BITS - (number >> width).leading_zeros()).div_ceil(7) as usize);
        packed_size(width) + patches.sum::<usize>()
    };
    (0..=WIDEST).min_by_key(|width| size(*width)).unwrap_or(WIDEST)
}

/// So many numbers, as [`pack`] packed them; `None` if the bytes are damaged.
pub(super) fn unpack<T: TryFrom<u32>>(bytes: &[u8], len: usize) -> Option<Vec<T>> {
    let mut reader = Reader::new(bytes);
    let kind = reader.byte()?;
    let mut base = u32::try_from(reader.varint()?).ok()?;
    let mut numbers = Vec::with_capacity(len);
    let mut block = [0; BLOCK];
    while numbers.len() < len {
        take_block(&mut reader, &mut block)?;
        let used = &mut block[..BLOCK.min(len - numbers.len())];
        match kind {
            relative::TO_BASE => used
                .iter_mut()
                .for_each(|number| *number = number.wrapping_add(base)),
            relative::TO_LAST => base = sum_up(used, base),
            _ => return None,
        }
        for number in used {
            numbers.push(T::try_from(*number).ok()?);
        }
    }
    reader.is_empty().then_some(numbers)
}

fn sum_up(steps: &mut [u32], mut last: u32) -> u32 {
    for step in steps {
        let signed = (*step >> 1) ^ (*step & 1).wrapping_neg();
        last = last.wrapping_add(signed);
        *step = last;
    }
    last
}

fn take_block(reader: &mut Reader<'_>, block: &mut [u32; BLOCK]) -> Option<()> {
    let width = reader.byte().filter(|width| *width <= WIDEST)?;
    let patches = reader.byte()?;
    BitPacker4x::new().decompress(reader.take(packed_size(width))?, block, width);
    for _ in 0..patches {
        let place = block.get_mut(usize::from(reader.byte()?))?;
        let above = u32::try_from(reader.varint()?).ok()?;
        *place |= above.checked_shl(width.into())?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same_again(numbers: &[u32]) -> Vec<u8> {
        let bytes = pack(numbers);
        assert_eq!(unpack::<u32>(&bytes, numbers.len()).as_deref(), Some(numbers));
        bytes
    }

    /// Every width, with and without patches, up to the largest numbers, and lengths around those of blocks.
    #[test]
    fn numbers_come_back() {
        for bits in 0..=32 {
            for len in [1, 2, 127, 128, 129, 512] {
                let small = |i: u32| (i.wrapping_mul(2_654_435_761) >> 7) & low_bits(bits);
                let numbers: Vec<u32> = (0..len).map(small).collect();
                same_again(&numbers);
                let patched =
                    |(i, number): (usize, &u32)| if i % 50 == 3 { u32::MAX - *number } else { *number };
                same_again(&numbers.iter().enumerate().map(patched).collect::<Vec<_>>());
            }
        }
        same_again(&[u32::MAX, 0, u32::MAX]);
    }

    #[test]
    fn what_climbs_or_is_far_up_takes_no_more_than_what_is_small() {
        let climbing: Vec<u32> = (0..512).map(|i| 4_000_000_000 + i * 3).collect();
        let level: Vec<u32> = (0..512).map(|i| 4_000_000_000 + i % 8).collect();
        for numbers in [climbing, level] {
            assert!(same_again(&numbers).len() < 512 * 4 / 8);
        }
    }

    #[test]
    fn a_rare_large_number_costs_a_few_bytes() {
        let mut numbers = vec![7; 512];
        let without = same_again(&numbers).len();
        numbers[300] = u32::MAX;
        assert!(same_again(&numbers).len() <= without + 8);
    }

    #[test]
    fn damaged_bytes_are_noticed_or_read_as_something_else_and_never_panic() {
        let numbers: Vec<u32> = (0..300)
            .map(|i| if i % 40 == 0 { i << 20 } else { i % 9 })
            .collect();
        let whole = pack(&numbers);
        for end in 0..whole.len() {
            assert_eq!(unpack::<u32>(&whole[..end], numbers.len()), None, "{end}");
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x10, 0x80, 0xFF] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                let _ = unpack::<u32>(&damaged, numbers.len());
                let _ = unpack::<u16>(&damaged, numbers.len());
            }
        }
    }

    #[test]
    fn what_does_not_fit_the_type_is_damaged() {
        assert_eq!(unpack::<u16>(&pack(&[1, 70_000]), 2), None);
        assert_eq!(unpack::<u16>(&pack(&[1, 60_000]), 2), Some(vec![1, 60_000]));
    }
}
