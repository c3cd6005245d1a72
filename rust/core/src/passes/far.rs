//! A file that is not on this machine: the stretches of it that are read are asked for, and held while they are.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// A file of which stretches are asked for.
pub trait Stretches: Send + Sync {
    fn length(&self) -> io::Result<u64>;
    fn stretch(&self, start: u64, length: usize) -> io::Result<Vec<u8>>;
}

/// What opens a file by its path.
pub type Opener<'o> = dyn Fn(&Path) -> io::Result<Box<dyn Stretches>> + Sync + 'o;

/// So much of a file's end is asked for first: its footer is hardly ever longer.
const FOOTER: u64 = 1 << 16;

/// A file as the Parquet library reads it; clones are of the same file.
#[derive(Clone)]
pub struct FarFile(Arc<Held>);

struct Held {
    file: Box<dyn Stretches>,
    length: u64,
    /// Where the stretch that is held begins, and its bytes.
    stretch: Mutex<(u64, Bytes)>,
}

impl FarFile {
    pub fn new(file: Box<dyn Stretches>) -> Result<Self> {
        let length = file.length()?;
        let far = Self(Arc::new(Held { file, length, stretch: Mutex::default() }));
        far.hold(length.saturating_sub(FOOTER), length)?;
        Ok(far)
    }

    /// Holds a stretch in place of the one before: to read it asks for nothing more.
    pub fn hold(&self, start: u64, end: u64) -> Result<()> {
        let bytes = self.asked(start, end.saturating_sub(start))?;
        *self.0.stretch.lock().unwrap_or_else(PoisonError::into_inner) = (start, bytes);
        Ok(())
    }

    /// A stretch that is not held, all of it.
    fn asked(&self, start: u64, length: u64) -> Result<Bytes> {
        let early = || ParquetError::EOF(format!("it ends before byte {}", start.saturating_add(length)));
        if start.saturating_add(length) > self.0.length {
            return Err(early());
        }
        let bytes = Bytes::from(self.0.file.stretch(start, length as usize)?);
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(early()) }
    }

    /// What is held from a place on; nothing where that is not.
    fn held(&self, start: u64) -> Bytes {
        let (first, bytes) = self.0.stretch.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let skipped = start.checked_sub(first).filter(|&skipped| skipped <= bytes.len() as u64);
        skipped.map_or_else(Bytes::new, |skipped| bytes.slice(skipped as usize..))
    }
}

impl Length for FarFile {
    fn len(&self) -> u64 {
        self.0.length
    }
}

impl ChunkReader for FarFile {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let held = self.held(start);
        let bytes =
            if held.is_empty() { self.asked(start, FOOTER.min(self.0.length.saturating_sub(start)))? } else { held };
        Ok(bytes.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let held = self.held(start);
        if held.len() >= length { Ok(held.slice(..length)) } else { self.asked(start, length as u64) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how often it is asked.
    struct Counted(Vec<u8>, Arc<AtomicUsize>);

    impl Stretches for Counted {
        fn length(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }

        fn stretch(&self, start: u64, length: usize) -> io::Result<Vec<u8>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(self.0[start as usize..].iter().take(length).copied().collect())
        }
    }

    #[test]
    fn what_is_held_is_asked_for_once() {
        let content: Vec<u8> = (0..300_000).map(|place| (place % 251) as u8).collect();
        let asked = Arc::new(AtomicUsize::new(0));
        let far = FarFile::new(Box::new(Counted(content.clone(), asked.clone()))).unwrap();
        let read = |start: usize, length: usize| {
            assert_eq!(far.get_bytes(start as u64, length).unwrap(), content[start..start + length]);
        };
        read(299_000, 1_000);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        far.hold(1_000, 90_000).unwrap();
        for start in [1_000, 50_000, 89_990] {
            read(start, 10);
            assert_eq!(far.get_read(start as u64).unwrap().into_inner()[..10], content[start..start + 10]);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        // What is not held is there, too.
        for start in [0, 990, 89_995, 200_000] {
            read(start, 10);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 6);
        assert!(far.get_bytes(299_995, 10).is_err());
        assert!(far.get_read(300_001).is_err());
        assert!(far.hold(u64::MAX - 1, u64::MAX).is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn a_file_that_ends_early_is_refused() {
        struct Short;
        impl Stretches for Short {
            fn length(&self) -> io::Result<u64> {
                Ok(1_000)
            }

            fn stretch(&self, _: u64, _: usize) -> io::Result<Vec<u8>> {
                Ok(vec![0; 10])
            }
        }
        assert!(FarFile::new(Box::new(Short)).is_err());
    }
}
