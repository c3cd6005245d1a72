//! One part's train or test interactions as a Parquet file, encoded and digested while they are written.

use std::io::{self, Write};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, LogicalType, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type, TypePtr};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::expansion::{Id, Interactions};
use crate::payload::{Column, Source};

/// How many user ids are spelt out at a time.
const USER_CHUNK: usize = 16 * 1024;
const PAGE_ROWS: usize = 64 * 1024;
/// A file's metadata has its seal under this name: the SHA-256 of the file with zeros in the seal's place.
const SEAL: &str = "fractalrs.sha256";
const BLANK: [u8; 64] = [b'0'; 64];

/// An id type that a Parquet column can hold.
pub trait Stored: Id {
    type Column: DataType<T = Self>;
    const PHYSICAL: PhysicalType;
}

impl Stored for i32 {
    type Column = Int32Type;
    const PHYSICAL: PhysicalType = PhysicalType::INT32;
}

impl Stored for i64 {
    type Column = Int64Type;
    const PHYSICAL: PhysicalType = PhysicalType::INT64;
}

/// How ids are encoded; `docs/performance.md` has the measurements behind the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingChoice {
    /// What every reader of today understands, Spark 3.5 included.
    Default,
    /// Byte-stream-split items: quicker to write, read by fewer programs.
    Fast,
}

impl FromStr for EncodingChoice {
    type Err = Error;

    fn from_str(text: &str) -> std::result::Result<Self, Error> {
        match text {
            "default" => Ok(Self::Default),
            "fast" => Ok(Self::Fast),
            _ => Err(Error::Invalid(format!("encoding is {text:?}; it must be 'default' or 'fast'"))),
        }
    }
}

/// Reads `none`, `lz4`, `snappy`, `zstd` or `zstd(LEVEL)`.
pub fn parse_compression(text: &str) -> std::result::Result<Compression, Error> {
    let invalid = || {
        Error::Invalid(format!(
            "compression is {text:?}; it must be one of none, lz4, snappy, zstd, zstd(1) … zstd(22)"
        ))
    };
    match text {
        "none" => Ok(Compression::UNCOMPRESSED),
        "lz4" => Ok(Compression::LZ4_RAW),
        "snappy" => Ok(Compression::SNAPPY),
        "zstd" => Ok(Compression::ZSTD(ZstdLevel::default())),
        _ => {
            let level = text.strip_prefix("zstd(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(invalid)?;
            let level = level.parse().ok().filter(|&level| level > 0).ok_or_else(invalid)?;
            Ok(Compression::ZSTD(ZstdLevel::try_new(level).map_err(|_| invalid())?))
        }
    }
}

/// The format of all files of a run.
pub struct Format<'a> {
    properties: WriterPropertiesPtr,
    row_group_size: usize,
    /// The columns after user and item.
    columns: &'a [Column<'a>],
}

impl<'a> Format<'a> {
    #[must_use]
    pub fn new(
        encoding: EncodingChoice,
        compression: Compression,
        row_group_size: usize,
        columns: &'a [Column<'a>],
    ) -> Self {
        let (user, item) = (ColumnPath::from("user_id"), ColumnPath::from("item_id"));
        let user_encoding = match compression {
            // Runs of one id: a general compressor takes them away at less cost than the delta encoding.
            Compression::UNCOMPRESSED => Encoding::DELTA_BINARY_PACKED,
            _ => Encoding::PLAIN,
        };
        let (item_encoding, item_compression) = match (encoding, compression) {
            (EncodingChoice::Fast, _) => (Encoding::BYTE_STREAM_SPLIT, compression),
            // Bit-packed deltas hold nothing that a byte-wise compressor could find.
            (EncodingChoice::Default, Compression::LZ4_RAW | Compression::SNAPPY) => {
                (Encoding::DELTA_BINARY_PACKED, Compression::UNCOMPRESSED)
            }
            (EncodingChoice::Default, _) => (Encoding::DELTA_BINARY_PACKED, compression),
        };
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("fractalrs version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_dictionary_enabled(false)
            .set_compression(compression)
            .set_column_encoding(user.clone(), user_encoding)
            .set_column_encoding(item.clone(), item_encoding)
            .set_column_compression(item.clone(), item_compression)
            // Users rise through the file, so that bounds let readers skip row groups; all else is everywhere.
            .set_statistics_enabled(EnabledStatistics::None)
            .set_column_statistics_enabled(user, EnabledStatistics::Chunk)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(USER_CHUNK)
            .set_max_row_group_row_count(None);
        for column in columns {
            let path = ColumnPath::from(column.name.as_str());
            properties = match column.source {
                Source::Times => properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
                // Carried values repeat: mostly there are far fewer distinct ones than rows.
                Source::Ratings | Source::Carried { .. } => properties.set_column_dictionary_enabled(path, true),
            };
        }
        Self { properties: Arc::new(properties.build()), row_group_size, columns }
    }
}

/// What is known of a finished file.
#[derive(Clone, Debug)]
pub struct FileReport {
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// A file being written. Rows that do not fill a row group stay in the caller's buffer until `finish`.
pub struct PartFile<'f, U: Stored, I: Stored, W: Write + Send> {
    file: SerializedFileWriter<Digesting<W>>,
    format: &'f Format<'f>,
    rows: u64,
    user_ids: Vec<U>,
    items: std::marker::PhantomData<I>,
}

impl<'f, U: Stored, I: Stored, W: Write + Send> PartFile<'f, U, I, W> {
    /// `labels` are stored in the file's own metadata.
    pub fn new(sink: W, format: &'f Format<'f>, labels: &[(String, String)]) -> Result<Self> {
        let schema = schema::<U, I>(format.columns)?;
        let mut file = SerializedFileWriter::new(Digesting::new(sink), schema, format.properties.clone())?;
        for (name, value) in labels {
            file.append_key_value_metadata(KeyValue::new(name.clone(), value.clone()));
        }
        Ok(Self { file, format, rows: 0, user_ids: Vec::with_capacity(USER_CHUNK), items: std::marker::PhantomData })
    }

    /// Writes all full row groups in `interactions` and leaves the rest there.
    pub fn write(&mut self, interactions: &mut Interactions<I>) -> Result<()> {
        let size = self.format.row_group_size;
        let full = interactions.items.len() / size * size;
        for start in (0..full).step_by(size) {
            self.row_group(interactions, start..start + size)?;
        }
        interactions.drain(full);
        Ok(())
    }

    /// Writes what is left and closes the file, with a seal by which a damaged file is known later.
    pub fn finish(mut self, interactions: &mut Interactions<I>) -> Result<(W, FileReport)> {
        self.write(interactions)?;
        if !interactions.items.is_empty() {
            self.row_group(interactions, 0..interactions.items.len())?;
            interactions.truncate(0);
        }
        self.file.flush()?;
        self.file
            .append_key_value_metadata(KeyValue::new(SEAL.to_owned(), String::from_utf8_lossy(&BLANK).into_owned()));
        self.file.inner_mut().hold();
        let rows = self.rows;
        let digesting = self.file.into_inner()?.seal()?;
        let report = FileReport { rows, bytes: digesting.bytes, sha256: hex(digesting.digest) };
        Ok((digesting.sink, report))
    }

    /// Writes one row group; takes its users from the front.
    fn row_group(&mut self, interactions: &mut Interactions<I>, rows: Range<usize>) -> Result<()> {
        let missing = || ParquetError::General("a row group has fewer columns than the schema".to_owned());
        let mut group = self.file.next_row_group()?;
        let mut column = group.next_column()?.ok_or_else(missing)?;
        spell_out(column.typed::<U::Column>(), &mut self.user_ids, &mut interactions.users, rows.len())?;
        column.close()?;
        let mut column = group.next_column()?.ok_or_else(missing)?;
        column.typed::<I::Column>().write_batch(&interactions.items[rows.clone()], None, None)?;
        column.close()?;
        for payload in self.format.columns {
            let mut column = group.next_column()?.ok_or_else(missing)?;
            payload.write(&mut column, interactions, rows.clone())?;
            column.close()?;
        }
        group.close()?;
        self.rows += rows.len() as u64;
        Ok(())
    }
}

/// Writes the first `rows` user ids of the runs, chunk by chunk, and removes them from the runs.
fn spell_out<U: Stored>(
    column: &mut ColumnWriterImpl<'_, U::Column>,
    chunk: &mut Vec<U>,
    runs: &mut Vec<(u64, u32)>,
    rows: usize,
) -> Result<()> {
    let mut left = rows;
    let mut taken = 0;
    chunk.clear();
    while left > 0 {
        let Some((user, count)) = runs.get_mut(taken) else {
            return Err(ParquetError::General("fewer users than items in a row group".to_owned()));
        };
        let now = (*count as usize).min(left).min(USER_CHUNK - chunk.len());
        chunk.extend(std::iter::repeat_n(U::at(*user, 0), now));
        left -= now;
        *count -= now as u32;
        if *count == 0 {
            taken += 1;
        }
        if chunk.len() == USER_CHUNK || left == 0 {
            column.write_batch(chunk, None, None)?;
            chunk.clear();
        }
    }
    runs.drain(..taken);
    Ok(())
}

fn schema<U: Stored, I: Stored>(payload: &[Column]) -> Result<TypePtr> {
    let column = |name: &str, physical: PhysicalType| {
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(None::<LogicalType>)
            .build()
            .map(Arc::new)
    };
    let mut columns = vec![column("user_id", U::PHYSICAL)?, column("item_id", I::PHYSICAL)?];
    for column in payload {
        columns.push(column.schema()?);
    }
    Ok(Arc::new(Type::group_type_builder("interactions").with_fields(columns).build()?))
}

/// Counts and digests what passes through, but for the end of a file, which is held back until it is sealed.
struct Digesting<W> {
    sink: W,
    digest: Sha256,
    bytes: u64,
    held: Option<Vec<u8>>,
}

impl<W: Write> Digesting<W> {
    fn new(sink: W) -> Self {
        Self { sink, digest: Sha256::new(), bytes: 0, held: None }
    }

    fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Writes what was held back, with the seal in the last place that is blank.
    fn seal(mut self) -> Result<Self> {
        let mut held = self.held.take().unwrap_or_default();
        let Some(place) = held.windows(BLANK.len()).rposition(|bytes| bytes == BLANK) else {
            return Err(ParquetError::General("the metadata has no place for the seal".to_owned()));
        };
        let seal = hex(self.digest.clone().chain_update(&held));
        held[place..place + BLANK.len()].copy_from_slice(seal.as_bytes());
        self.write_all(&held)?;
        Ok(self)
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
