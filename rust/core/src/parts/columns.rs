//! Payload columns: what a file has beside users and items, and where it comes from.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, Repetition, Type as PhysicalType};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::{SerializedColumnWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescPtr, Type, TypePtr};

use super::dictionary::Dictionary;
use super::encoding::PAGE_ROWS;
use crate::expansion::Interactions;
use crate::pages::{Chunk, Integer, begin_codes, encode_deltas, put_levels, put_packed};

/// How many values are gathered at a time.
const CHUNK: usize = 16 * 1024;

/// The values of a carried column as Parquet stores them, one per entry of the base.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    Boolean(&'a [bool]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Float(&'a [f32]),
    Double(&'a [f64]),
    /// Each text from its start to the next one's.
    Text {
        starts: &'a [i64],
        bytes: &'a [u8],
    },
}

#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// The times that interactions were given.
    Times,
    /// Ratings times factors of blocks.
    Ratings,
    /// A column of the base, and which of its values are there; `None`: all are.
    Carried { values: Values<'a>, valid: Option<&'a [bool]> },
}

/// A column of the files.
pub struct Column<'a> {
    pub(super) schema: TypePtr,
    pub(super) source: Source<'a>,
    dictionary: Option<&'a Dictionary>,
}

impl<'a> Column<'a> {
    /// A column whose values mean what Parquet's schemas call so: `DATE`, `TIMESTAMP(MILLIS,true)`, or `NONE`.
    pub fn new(name: &str, meaning: &str, source: Source<'a>) -> Result<Self> {
        let physical = match source {
            Source::Times if meaning == "DATE" => PhysicalType::INT32,
            Source::Times => PhysicalType::INT64,
            Source::Ratings => PhysicalType::DOUBLE,
            Source::Carried { values, .. } => match values {
                Values::Boolean(_) => PhysicalType::BOOLEAN,
                Values::Int32(_) => PhysicalType::INT32,
                Values::Int64(_) => PhysicalType::INT64,
                Values::Float(_) => PhysicalType::FLOAT,
                Values::Double(_) => PhysicalType::DOUBLE,
                Values::Text { .. } => PhysicalType::BYTE_ARRAY,
            },
        };
        // The name comes after parsing: a parser would not take every name.
        let parsed = parse_message_type(&format!("message of {{ required {physical} values ({meaning}); }}"))?;
        let logical = parsed.get_fields()[0].get_basic_info().logical_type_ref().cloned();
        let optional = matches!(source, Source::Carried { valid: Some(_), .. });
        let repetition = if optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let column = Type::primitive_type_builder(name, physical);
        let schema = column.with_repetition(repetition).with_logical_type(logical).build()?;
        Ok(Self { schema: Arc::new(schema), source, dictionary: None })
    }

    /// The dictionary of its values, where one pays: to be made once, and given back with `with`.
    #[must_use]
    pub fn dictionary(&self) -> Option<Dictionary> {
        let Source::Carried { values, valid } = self.source else { return None };
        Dictionary::of(values, valid)
    }

    /// The column, to be written with that dictionary.
    #[must_use]
    pub fn with(self, dictionary: Option<&'a Dictionary>) -> Self {
        Self { dictionary, ..self }
    }

    /// Writes the column of some interactions as the next of a row group.
    pub fn write<I, W: Write + Send>(
        &self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        column: ColumnDescPtr,
        compression: Compression,
        interactions: &Interactions<I>,
        rows: Range<usize>,
    ) -> Result<()> {
        let chunk = Chunk::new(compression);
        match (self.source, self.dictionary) {
            (Source::Times, _) if self.schema.get_physical_type() == PhysicalType::INT32 => {
                let days: Vec<i32> = interactions.times[rows].iter().map(|&time| time as i32).collect();
                write_deltas(chunk, &days)?.append(group, column, None)
            }
            (Source::Times, _) => write_deltas(chunk, &interactions.times[rows])?.append(group, column, None),
            // A dictionary is written whole into every row group.
            (Source::Carried { valid, .. }, Some(dictionary)) if dictionary.values * 8 <= rows.len() => {
                write_codes(chunk, dictionary, valid, &interactions.sources[rows])?.append(group, column, None)
            }
            _ => {
                let mut column = next_column(group)?;
                self.write_by_library(&mut column, interactions, rows)?;
                column.close()
            }
        }
    }

    fn write_by_library<I>(
        &self,
        column: &mut SerializedColumnWriter,
        interactions: &Interactions<I>,
        rows: Range<usize>,
    ) -> Result<()> {
        let Source::Carried { values, valid, .. } = self.source else {
            return write::<DoubleType, _>(column, &interactions.ratings[rows], None, |rating| rating);
        };
        let is_there = valid.map(|valid| move |source: u32| valid[source as usize]);
        let is_there = is_there.as_ref().map(|is_there| is_there as &dyn Fn(u32) -> bool);
        let sources = &interactions.sources[rows];
        match values {
            Values::Boolean(all) => write::<BoolType, _>(column, sources, is_there, |source| all[source as usize]),
            Values::Int32(all) => write::<Int32Type, _>(column, sources, is_there, |source| all[source as usize]),
            Values::Int64(all) => write::<Int64Type, _>(column, sources, is_there, |source| all[source as usize]),
            Values::Float(all) => write::<FloatType, _>(column, sources, is_there, |source| all[source as usize]),
            Values::Double(all) => write::<DoubleType, _>(column, sources, is_there, |source| all[source as usize]),
            Values::Text { starts, bytes } => write::<ByteArrayType, _>(column, sources, is_there, |source| {
                let source = source as usize;
                ByteArray::from(&bytes[starts[source] as usize..starts[source + 1] as usize])
            }),
        }
    }
}

/// The next column of a row group, for the Parquet library to encode.
pub(super) fn next_column<'g, W: Write + Send>(
    group: &'g mut SerializedRowGroupWriter<'_, W>,
) -> Result<SerializedColumnWriter<'g>> {
    let missing = || ParquetError::General("a row group has fewer columns than the schema".to_owned());
    group.next_column()?.ok_or_else(missing)
}

/// Adds pages of differences.
pub(super) fn write_deltas<T: Integer>(mut chunk: Chunk, values: &[T]) -> Result<Chunk> {
    for page in values.chunks(PAGE_ROWS) {
        let mut bytes = Vec::with_capacity(size_of_val(page));
        encode_deltas(page, &mut bytes);
        chunk.add_page(bytes, page.len(), Encoding::DELTA_BINARY_PACKED)?;
    }
    Ok(chunk)
}

/// Adds a dictionary and pages of the codes of some entries.
fn write_codes(mut chunk: Chunk, dictionary: &Dictionary, valid: Option<&[bool]>, entries: &[u32]) -> Result<Chunk> {
    chunk.add_dictionary(dictionary.plain.clone(), dictionary.values)?;
    let (mut codes, mut levels) = (Vec::with_capacity(PAGE_ROWS), Vec::new());
    for page in entries.chunks(PAGE_ROWS) {
        let mut bytes = Vec::with_capacity(2 * page.len());
        codes.clear();
        if let Some(valid) = valid {
            levels.clear();
            levels.extend(page.iter().map(|&entry| u32::from(valid[entry as usize])));
            put_levels(&levels, &mut bytes);
            dictionary.look_up(page.iter().copied().filter(|&entry| valid[entry as usize]), &mut codes);
        } else {
            dictionary.look_up(page.iter().copied(), &mut codes);
        }
        let width = begin_codes(dictionary.values, &mut bytes);
        put_packed(&codes, width, &mut bytes);
        chunk.add_page(bytes, page.len(), Encoding::RLE_DICTIONARY)?;
    }
    Ok(chunk)
}

/// Writes what `value` makes of each of `all`; with `is_there`, only of those that are there.
fn write<T: DataType, S: Copy>(
    column: &mut SerializedColumnWriter,
    all: &[S],
    is_there: Option<&dyn Fn(S) -> bool>,
    value: impl Fn(S) -> T::T,
) -> Result<()> {
    let writer = column.typed::<T>();
    let (mut values, mut levels) = (Vec::with_capacity(CHUNK), Vec::new());
    for some in all.chunks(CHUNK) {
        values.clear();
        let Some(is_there) = is_there else {
            values.extend(some.iter().map(|&one| value(one)));
            writer.write_batch(&values, None, None)?;
            continue;
        };
        levels.clear();
        levels.extend(some.iter().map(|&one| i16::from(is_there(one))));
        values.extend(some.iter().filter(|&&one| is_there(one)).map(|&one| value(one)));
        writer.write_batch(&values, Some(&levels), None)?;
    }
    Ok(())
}
