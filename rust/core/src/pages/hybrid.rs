//! The hybrid of runs and bit-packed groups, in which dictionary codes and levels are stored.

use super::pack::{GROUP, pack};

/// How many bits the codes of a dictionary of so many values have.
fn width_of(values: usize) -> usize {
    (usize::BITS - values.saturating_sub(1).leading_zeros()) as usize
}

/// Begins the codes of a page: how wide they are. Returns that.
pub fn begin_codes(values: usize, bytes: &mut Vec<u8>) -> usize {
    let width = width_of(values);
    bytes.push(width as u8);
    width
}

/// Appends a code `count` times.
#[inline]
pub fn put_run(code: u32, count: u32, width: usize, bytes: &mut Vec<u8>) {
    put_varint(u64::from(count) << 1, bytes);
    bytes.extend_from_slice(&code.to_le_bytes()[..width.div_ceil(8)]);
}

/// Appends codes one by one; none may follow them, for their last group may be filled up.
pub fn put_packed(codes: &[u32], width: usize, bytes: &mut Vec<u8>) {
    if width == 0 {
        return put_run(0, codes.len() as u32, width, bytes);
    }
    let (groups, rest) = codes.as_chunks::<GROUP>();
    let eights = groups.len() * GROUP / 8 + rest.len().div_ceil(8);
    put_varint((eights as u64) << 1 | 1, bytes);
    for group in groups {
        pack(group, width, bytes);
    }
    if !rest.is_empty() {
        let mut group = [0; GROUP];
        group[..rest.len()].copy_from_slice(rest);
        let start = bytes.len();
        pack(&group, width, bytes);
        bytes.truncate(start + rest.len().div_ceil(8) * width);
    }
}

/// Appends whether each value is there, as pages of the first version have it: with the length before it.
pub fn put_levels(levels: &[u32], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    put_packed(levels, 1, bytes);
    let length = (bytes.len() - start - 4) as u32;
    bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Appends a number, seven bits a byte.
#[inline]
pub fn put_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
