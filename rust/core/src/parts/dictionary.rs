//! The distinct values of a carried column, known before anything is written: no value is looked up while writing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::columns::Values;

/// A dictionary of more values would cost more than it saves.
const MOST_VALUES: usize = 1 << 16;
const MOST_BYTES: usize = 1 << 20;

/// The distinct values in the order of their first entry, and which of them each entry of the base has.
pub struct Dictionary {
    /// The values in Parquet's plain encoding, and where each ends.
    plain: Vec<u8>,
    ends: Vec<usize>,
    codes: Codes,
}

enum Codes {
    Bytes(Vec<u8>),
    Shorts(Vec<u16>),
}

impl Dictionary {
    /// That of a column, some of whose values may not be there; `None` where one does not pay.
    #[must_use]
    pub fn of(values: Values, valid: Option<&[bool]>) -> Option<Self> {
        match values {
            // Two values need no dictionary.
            Values::Boolean(_) => None,
            Values::Int32(all) => Self::of_keys(all.iter().map(|value| value.to_le_bytes()), valid, plain),
            Values::Int64(all) => Self::of_keys(all.iter().map(|value| value.to_le_bytes()), valid, plain),
            Values::Float(all) => Self::of_keys(all.iter().map(|value| value.to_le_bytes()), valid, plain),
            Values::Double(all) => Self::of_keys(all.iter().map(|value| value.to_le_bytes()), valid, plain),
            Values::Text { starts, bytes } => {
                let texts = starts.windows(2).map(|pair| &bytes[pair[0] as usize..pair[1] as usize]);
                Self::of_keys(texts, valid, |text, plain| {
                    plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
                    plain.extend_from_slice(text);
                })
            }
        }
    }

    fn of_keys<K: Hash + Eq>(
        keys: impl ExactSizeIterator<Item = K>,
        valid: Option<&[bool]>,
        put: impl Fn(&K, &mut Vec<u8>),
    ) -> Option<Self> {
        let mut known: HashMap<K, u16, BuildHasherDefault<Mixer>> = HashMap::default();
        let (mut plain, mut ends, mut codes) = (Vec::new(), Vec::new(), Vec::with_capacity(keys.len()));
        for (entry, key) in keys.enumerate() {
            if valid.is_some_and(|valid| !valid[entry]) {
                codes.push(0);
                continue;
            }
            let next = known.len();
            let code = *known.entry(key).or_insert_with_key(|key| {
                put(key, &mut plain);
                ends.push(plain.len());
                next as u16
            });
            if ends.len() > MOST_VALUES || plain.len() > MOST_BYTES {
                return None;
            }
            codes.push(code);
        }
        let codes = if ends.len() <= 1 << 8 {
            Codes::Bytes(codes.into_iter().map(|code| code as u8).collect())
        } else {
            Codes::Shorts(codes)
        };
        Some(Self { plain, ends, codes })
    }

    fn value(&self, code: usize) -> &[u8] {
        let start = code.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.plain[start..self.ends[code]]
    }
}

/// The dictionary of one row group: the values that occur there, in the order in which they do.
pub struct Occurring<'d> {
    dictionary: &'d Dictionary,
    /// The number of each value here, or `UNSEEN`.
    numbers: Vec<u32>,
    plain: Vec<u8>,
    values: usize,
}

const UNSEEN: u32 = u32::MAX;

impl<'d> Occurring<'d> {
    pub fn new(dictionary: &'d Dictionary) -> Self {
        Self { dictionary, numbers: vec![UNSEEN; dictionary.ends.len()], plain: Vec::new(), values: 0 }
    }

    /// How many values occurred so far.
    pub fn values(&self) -> usize {
        self.values
    }

    /// The values in the plain encoding.
    pub fn finish(self) -> (Vec<u8>, usize) {
        (self.plain, self.values)
    }

    /// Appends the numbers of the values of some entries.
    pub fn look_up(&mut self, entries: impl Iterator<Item = u32>, numbers: &mut Vec<u32>) {
        match &self.dictionary.codes {
            Codes::Bytes(all) => numbers.extend(entries.map(|entry| self.number(all[entry as usize].into()))),
            Codes::Shorts(all) => numbers.extend(entries.map(|entry| self.number(all[entry as usize].into()))),
        }
    }

    #[inline]
    fn number(&mut self, code: usize) -> u32 {
        let number = self.numbers[code];
        if number == UNSEEN { self.meet(code) } else { number }
    }

    #[cold]
    fn meet(&mut self, code: usize) -> u32 {
        let number = self.values as u32;
        self.numbers[code] = number;
        self.plain.extend_from_slice(self.dictionary.value(code));
        self.values += 1;
        number
    }
}

fn plain<const BYTES: usize>(value: &[u8; BYTES], plain: &mut Vec<u8>) {
    plain.extend_from_slice(value);
}

/// Hashes short keys quickly; nobody who could choose them would gain by it.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            self.0 = (self.0 ^ u64::from_le_bytes(padded)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        }
    }

    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_group_has_the_values_that_occur_in_it(
            values in vec(prop_oneof![any::<f64>(), Just(0.0), Just(-0.0), Just(f64::NAN)], 1..600),
            chosen in vec(any::<proptest::sample::Index>(), 1..50),
        ) {
            let dictionary = Dictionary::of(Values::Double(&values), None).unwrap();
            let mut occurring = Occurring::new(&dictionary);
            let entries: Vec<u32> = chosen.iter().map(|index| index.index(values.len()) as u32).collect();
            let mut numbers = Vec::new();
            occurring.look_up(entries.iter().copied(), &mut numbers);
            let (plain, count) = occurring.finish();
            let (plain, _) = plain.as_chunks::<8>();
            prop_assert_eq!(plain.len(), count);
            for (&number, &entry) in numbers.iter().zip(&entries) {
                prop_assert_eq!(f64::from_le_bytes(plain[number as usize]).to_bits(), values[entry as usize].to_bits());
            }
            prop_assert_eq!(numbers.iter().max().map(|&most| most as usize + 1), Some(count));
        }
    }

    #[test]
    fn texts_are_told_apart_and_those_that_are_missing_count_for_nothing() {
        let (starts, valid) = ([0, 1, 1, 3, 4], [true, true, false, true]);
        let dictionary = Dictionary::of(Values::Text { starts: &starts, bytes: b"axxa" }, Some(&valid)).unwrap();
        let mut occurring = Occurring::new(&dictionary);
        let mut numbers = Vec::new();
        occurring.look_up([3, 1, 0].into_iter(), &mut numbers);
        assert_eq!(numbers, [0, 1, 0]);
        assert_eq!(occurring.finish(), (b"\x01\0\0\0a\0\0\0\0".to_vec(), 2));
    }

    #[test]
    fn too_many_values_have_no_dictionary() {
        let values: Vec<i32> = (0..=MOST_VALUES as i32).collect();
        assert!(Dictionary::of(Values::Int32(&values[..MOST_VALUES]), None).is_some());
        assert!(Dictionary::of(Values::Int32(&values), None).is_none());
    }
}
