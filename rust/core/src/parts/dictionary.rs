//! The distinct values of a carried column, known before anything is written: no value is looked up while writing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::columns::Values;

/// A dictionary of more values would cost more than it saves.
const MOST_VALUES: usize = 1 << 16;
const MOST_BYTES: usize = 1 << 20;

/// The distinct values in the order of their first entry, and which of them each entry of the base has.
pub struct Dictionary {
    /// The values in Parquet's plain encoding.
    pub(super) plain: Vec<u8>,
    pub(super) values: usize,
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
        let (mut plain, mut codes) = (Vec::new(), Vec::with_capacity(keys.len()));
        for (entry, key) in keys.enumerate() {
            if valid.is_some_and(|valid| !valid[entry]) {
                codes.push(0);
                continue;
            }
            let next = known.len();
            let code = *known.entry(key).or_insert_with_key(|key| {
                put(key, &mut plain);
                next as u16
            });
            if known.len() > MOST_VALUES || plain.len() > MOST_BYTES {
                return None;
            }
            codes.push(code);
        }
        let codes = if known.len() <= 1 << 8 {
            Codes::Bytes(codes.into_iter().map(|code| code as u8).collect())
        } else {
            Codes::Shorts(codes)
        };
        Some(Self { plain, values: known.len(), codes })
    }

    /// Appends the codes of some entries.
    pub(super) fn look_up(&self, entries: impl Iterator<Item = u32>, codes: &mut Vec<u32>) {
        match &self.codes {
            Codes::Bytes(all) => codes.extend(entries.map(|entry| u32::from(all[entry as usize]))),
            Codes::Shorts(all) => codes.extend(entries.map(|entry| u32::from(all[entry as usize]))),
        }
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
