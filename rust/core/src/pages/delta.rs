//! `DELTA_BINARY_PACKED`: differences of neighbours, less the least of their block, as few bits each as a group needs.

use super::hybrid::put_varint;
use super::pack::{GROUP, pack, pack_wide};

const BLOCK: usize = 128;
const GROUPS: usize = BLOCK / GROUP;

/// An integer that Parquet stores. Differences wrap, as the encoding wants them to.
pub trait Integer: Copy + Ord + Default {
    fn minus(self, other: Self) -> Self;
    /// Its bits, of a difference that is not negative but as wide as the type.
    fn bits(self) -> u64;
    fn signed(self) -> i64;
    /// Appends a group, none of whose bits has more than `width` bits.
    fn pack(group: &[Self; GROUP], width: usize, bytes: &mut Vec<u8>);
}

impl Integer for i32 {
    #[inline]
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline]
    fn bits(self) -> u64 {
        u64::from(self as u32)
    }

    fn signed(self) -> i64 {
        i64::from(self)
    }

    fn pack(group: &[Self; GROUP], width: usize, bytes: &mut Vec<u8>) {
        pack(&group.map(|value| value as u32), width, bytes);
    }
}

impl Integer for i64 {
    #[inline]
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline]
    fn bits(self) -> u64 {
        self as u64
    }

    fn signed(self) -> i64 {
        self
    }

    fn pack(group: &[Self; GROUP], width: usize, bytes: &mut Vec<u8>) {
        if width <= 32 {
            pack(&group.map(|value| value as u32), width, bytes);
        } else {
            pack_wide(&group.map(|value| value as u64), width, bytes);
        }
    }
}

/// Appends the values of a page.
pub fn encode_deltas<T: Integer>(values: &[T], bytes: &mut Vec<u8>) {
    put_varint(BLOCK as u64, bytes);
    put_varint(GROUPS as u64, bytes);
    put_varint(values.len() as u64, bytes);
    let Some(&first) = values.first() else { return put_varint(0, bytes) };
    put_varint(zigzag(first.signed()), bytes);
    let mut deltas = [T::default(); BLOCK];
    let blocks = values.windows(BLOCK + 1).step_by(BLOCK);
    let done = blocks.len() * BLOCK;
    for block in blocks {
        for (delta, pair) in deltas.iter_mut().zip(block.windows(2)) {
            *delta = pair[1].minus(pair[0]);
        }
        encode_block(&mut deltas, GROUPS, bytes);
    }
    let rest = &values[done..];
    if rest.len() > 1 {
        for (delta, pair) in deltas.iter_mut().zip(rest.windows(2)) {
            *delta = pair[1].minus(pair[0]);
        }
        // What fills the last group up is not read, and must not widen it.
        let count = rest.len() - 1;
        deltas[count..].fill(rest[1].minus(rest[0]));
        encode_block(&mut deltas, count.div_ceil(GROUP), bytes);
    }
}

/// Appends the first groups of a block; the others have no values.
#[inline]
fn encode_block<T: Integer>(deltas: &mut [T; BLOCK], groups: usize, bytes: &mut Vec<u8>) {
    let least = deltas.iter().fold(deltas[0], |least, &delta| least.min(delta));
    put_varint(zigzag(least.signed()), bytes);
    for delta in deltas.iter_mut() {
        *delta = delta.minus(least);
    }
    let (all, _) = deltas.as_chunks::<GROUP>();
    let mut widths = [0; GROUPS];
    for (width, group) in widths.iter_mut().zip(all).take(groups) {
        let bits = group.iter().fold(0, |bits, &delta| bits | delta.bits());
        *width = u64::BITS - bits.leading_zeros();
    }
    bytes.extend(widths.map(|width| width as u8));
    for (group, width) in all.iter().zip(widths).take(groups) {
        T::pack(group, width as usize, bytes);
    }
}

/// Small numbers of either sign as small ones without.
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}
