//! How the files of a job are encoded.

use std::str::FromStr;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::schema::types::ColumnPath;

use super::columns::Column;
use super::periods::Periods;
use crate::error::Error;

/// How many rows a page has.
pub(super) const PAGE_ROWS: usize = 64 * 1024;
/// How many values are handed to the Parquet library at a time.
const BATCH_ROWS: usize = 16 * 1024;

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
    /// What the Parquet library writes itself: byte-stream-split items, and columns without a known dictionary.
    pub(super) properties: WriterPropertiesPtr,
    pub(super) encoding: EncodingChoice,
    pub(super) compression: Compression,
    pub(super) row_group_size: usize,
    /// The columns after user and item.
    pub(super) columns: &'a [Column<'a>],
    /// Where each of them has a file of its own: which period an interaction is in.
    pub(super) periods: Option<&'a Periods>,
}

impl<'a> Format<'a> {
    #[must_use]
    pub fn new(
        encoding: EncodingChoice,
        compression: Compression,
        row_group_size: usize,
        columns: &'a [Column<'a>],
        periods: Option<&'a Periods>,
    ) -> Self {
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("fractalrs version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_dictionary_enabled(false)
            .set_compression(compression)
            .set_column_encoding(ColumnPath::from("item_id"), Encoding::BYTE_STREAM_SPLIT)
            // Users rise through the file, so that bounds let readers skip row groups; all else is everywhere.
            .set_statistics_enabled(EnabledStatistics::None)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(BATCH_ROWS)
            .set_max_row_group_row_count(None);
        for column in columns {
            // Carried values repeat: mostly there are far fewer distinct ones than rows.
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column.schema.name()), true);
        }
        Self { properties: Arc::new(properties.build()), encoding, compression, row_group_size, columns, periods }
    }
}
