//! How the files of a job are encoded.

use std::str::FromStr;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::schema::types::ColumnPath;

use super::columns::{Column, Source};
use crate::error::Error;

const PAGE_ROWS: usize = 64 * 1024;
/// How many values are handed to the Parquet library at a time.
pub(super) const BATCH_ROWS: usize = 16 * 1024;

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

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "default" => Ok(Self::Default),
            "fast" => Ok(Self::Fast),
            _ => Err(Error::Invalid(format!("encoding is {text:?}; it must be 'default' or 'fast'"))),
        }
    }
}

/// Reads `none`, `lz4`, `snappy`, `zstd` or `zstd(LEVEL)`.
pub fn parse_compression(text: &str) -> Result<Compression, Error> {
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

/// The format of all files of a job.
pub struct Format<'a> {
    pub(super) properties: WriterPropertiesPtr,
    pub(super) row_group_size: usize,
    /// The columns after user and item.
    pub(super) columns: &'a [Column<'a>],
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
            .set_write_batch_size(BATCH_ROWS)
            .set_max_row_group_row_count(None);
        for column in columns {
            let path = ColumnPath::from(column.schema.name());
            properties = match column.source {
                Source::Times => properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
                // Carried values repeat: mostly there are far fewer distinct ones than rows.
                Source::Ratings | Source::Carried { .. } => properties.set_column_dictionary_enabled(path, true),
            };
        }
        Self { properties: Arc::new(properties.build()), row_group_size, columns }
    }
}
