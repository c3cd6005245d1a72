//! Bit packing as Parquet has it: values of one width one after the other, their lowest bits first.

/// How many values are packed together.
pub const GROUP: usize = 32;

/// Appends values of at most `width` bits, up to 32.
pub fn pack(values: &[u32; GROUP], width: usize, bytes: &mut Vec<u8>) {
    const PACKS: [Pack; GROUP + 1] = packs!(
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
        30, 31, 32
    );
    PACKS[width](values, bytes);
}

/// Appends values of at most `width` bits, up to 64: what a group of 32 bits has no room for, and slower.
pub fn pack_wide(values: &[u64; GROUP], width: usize, bytes: &mut Vec<u8>) {
    let (mut word, mut filled) = (0_u128, 0);
    for &value in values {
        word |= u128::from(value) << filled;
        filled += width;
        while filled >= 8 {
            bytes.push(word as u8);
            word >>= 8;
            filled -= 8;
        }
    }
}

type Pack = fn(&[u32; GROUP], &mut Vec<u8>);

/// Two values at a time, written out: the width and the number of the pair are constants, and so are all shifts.
fn pack_width<const WIDTH: usize>(values: &[u32; GROUP], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.resize(start + GROUP / 8 * WIDTH, 0);
    let bytes = &mut bytes[start..][..GROUP / 8 * WIDTH];
    let mut word = 0_u64;
    unrolled!(PAIR in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 => {
        let pair = u64::from(values[2 * PAIR]) | u64::from(values[2 * PAIR + 1]) << WIDTH;
        let (full, filled) = (2 * WIDTH * PAIR / 64 * 8, 2 * WIDTH * PAIR % 64);
        word |= pair << filled;
        if filled + 2 * WIDTH >= 64 {
            bytes[full..full + 8].copy_from_slice(&word.to_le_bytes());
            word = if filled == 0 { 0 } else { pair >> (64 - filled) };
        }
    });
    if WIDTH % 2 == 1 {
        bytes[GROUP / 8 * WIDTH - 4..].copy_from_slice(&(word as u32).to_le_bytes());
    }
}

macro_rules! unrolled {
    ($name:ident in $($number:literal)* => $body:block) => { $({ const $name: usize = $number; $body })* };
}
use unrolled;

macro_rules! packs {
    ($($width:literal),*) => { [$(pack_width::<$width>),*] };
}
use packs;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bit by bit.
    fn slowly(values: &[u64; GROUP], width: usize) -> Vec<u8> {
        let bits = values.iter().flat_map(|value| (0..width).map(move |bit| value >> bit & 1));
        let mut bytes = vec![0; GROUP / 8 * width];
        for (place, bit) in bits.enumerate() {
            bytes[place / 8] |= (bit as u8) << (place % 8);
        }
        bytes
    }

    proptest! {
        #[test]
        fn every_width_is_packed_as_bits_are(values: [u64; GROUP], before: Vec<u8>) {
            for width in 0..=64 {
                let values = values.map(|value| if width == 64 { value } else { value & ((1 << width) - 1) });
                let mut bytes = before.clone();
                pack_wide(&values, width, &mut bytes);
                prop_assert_eq!(&bytes[before.len()..], slowly(&values, width));
                if width <= 32 {
                    bytes.truncate(before.len());
                    pack(&values.map(|value| value as u32), width, &mut bytes);
                    prop_assert_eq!(&bytes[before.len()..], slowly(&values, width));
                }
            }
        }
    }
}
