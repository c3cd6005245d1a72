//! The seal: the digest of a file, inside it and out.

use std::io::{self, Write};

use parquet::errors::{ParquetError, Result};
use sha2::{Digest, Sha256};

/// A file's metadata has its seal under this name: the SHA-256 of the file with zeros in the seal's place.
pub(super) const SEAL: &str = "fractalrs.sha256";
pub(super) const BLANK: [u8; 64] = [b'0'; 64];

/// Counts and digests what passes through, but for the end of a file, which is held back until it is sealed.
pub(super) struct Digesting<W> {
    sink: W,
    digest: Sha256,
    bytes: u64,
    held: Option<Vec<u8>>,
}

impl<W: Write> Digesting<W> {
    pub(super) fn new(sink: W) -> Self {
        Self { sink, digest: Sha256::new(), bytes: 0, held: None }
    }

    pub(super) fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Writes what was held back, with the seal in the last place that is blank.
    pub(super) fn seal(mut self) -> Result<Self> {
        let mut held = self.held.take().unwrap_or_default();
        let Some(place) = held.windows(BLANK.len()).rposition(|bytes| bytes == BLANK) else {
            return Err(ParquetError::General("the metadata has no place for the seal".to_owned()));
        };
        let seal = hex(self.digest.clone().chain_update(&held));
        held[place..place + BLANK.len()].copy_from_slice(seal.as_bytes());
        self.write_all(&held)?;
        Ok(self)
    }

    /// The sink, and how many bytes went there, with their digest.
    pub(super) fn finish(self) -> (W, u64, String) {
        (self.sink, self.bytes, hex(self.digest))
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if let Some(held) = &mut self.held {
            return held.write(buffer);
        }
        let written = self.sink.write(buffer)?;
        self.digest.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
