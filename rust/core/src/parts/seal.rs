//! The seal: the digest of a file, inside it and out.

use std::io::{self, Write};

use blake3::Hasher;
use parquet::errors::{ParquetError, Result};

/// A file's metadata has its seal under this name: the BLAKE3 digest of the file with zeros in the seal's place.
pub(super) const SEAL: &str = "fractalrs.blake3";
pub(super) const BLANK: [u8; 64] = [b'0'; 64];

/// So many bytes are digested and passed on together, while they are in the processor's cache.
const BUFFER: usize = 1 << 18;

/// Counts and digests what passes through, but for the end of a file, which is held back until it is sealed.
pub(super) struct Digesting<W> {
    sink: W,
    digest: Hasher,
    bytes: u64,
    buffer: Vec<u8>,
    held: bool,
}

impl<W: Write> Digesting<W> {
    pub(super) fn new(sink: W) -> Self {
        Self { sink, digest: Hasher::new(), bytes: 0, buffer: Vec::with_capacity(BUFFER), held: false }
    }

    /// Holds back what comes from now on.
    pub(super) fn hold(&mut self) -> io::Result<()> {
        self.held = true;
        self.pass_on()
    }

    /// Writes what was held back, with the seal in the last place that is blank.
    pub(super) fn seal(mut self) -> Result<Self> {
        let Some(place) = self.buffer.windows(BLANK.len()).rposition(|bytes| bytes == BLANK) else {
            return Err(ParquetError::General("the metadata has no place for the seal".to_owned()));
        };
        let seal = self.digest.clone().update(&self.buffer).finalize().to_hex();
        self.buffer[place..place + BLANK.len()].copy_from_slice(seal.as_bytes());
        self.pass_on()?;
        Ok(self)
    }

    fn pass_on(&mut self) -> io::Result<()> {
        self.digest.update(&self.buffer);
        self.bytes += self.buffer.len() as u64;
        self.sink.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// The sink, and how many bytes went there, with their digest.
    pub(super) fn finish(self) -> (W, u64, String) {
        (self.sink, self.bytes, self.digest.finalize().to_hex().to_string())
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER && !self.held {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
