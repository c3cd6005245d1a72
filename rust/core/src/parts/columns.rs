//! Payload columns: what a file has beside users and items, and where it comes from.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{Encoding, Repetition, Type as PhysicalType};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::Result;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescPtr, Type, TypePtr};

use super::dictionary::{Dictionary, Occurring};
use super::encoding::Format;
use crate::expansion::Interactions;
use crate::pages::{Chunk, Integer, LibraryChunk, begin_codes, encode_deltas, put_levels, put_packed};

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

    /// Its pages in a row group, none yet.
    #[must_use]
    pub fn begin(&self, format: &Format, column: ColumnDescPtr) -> ColumnPages<'a> {
        let chunk = Chunk::new(format.compression);
        match (self.source, self.dictionary) {
            (Source::Times, _) if self.schema.get_physical_type() == PhysicalType::INT32 => ColumnPages::Days(chunk),
            (Source::Times, _) => ColumnPages::Times(chunk),
            (Source::Carried { valid, .. }, Some(dictionary)) => {
                ColumnPages::Known { chunk, valid, occurring: Occurring::new(dictionary) }
            }
            (source, _) => ColumnPages::Library { chunk: LibraryChunk::new(column, format.properties.clone()), source },
        }
    }
}

/// The pages of a column in a row group.
pub enum ColumnPages<'a> {
    Days(Chunk),
    Times(Chunk),
    /// Values that are in a dictionary, as far as they are there.
    Known {
        chunk: Chunk,
        valid: Option<&'a [bool]>,
        occurring: Occurring<'a>,
    },
    Library {
        chunk: LibraryChunk,
        source: Source<'a>,
    },
}

impl ColumnPages<'_> {
    /// Adds a page of some interactions.
    pub fn add<I>(&mut self, interactions: &Interactions<I>, rows: Range<usize>) -> Result<()> {
        match self {
            Self::Days(chunk) => {
                let days: Vec<i32> = interactions.times[rows].iter().map(|&time| time as i32).collect();
                add_deltas(chunk, &days)
            }
            Self::Times(chunk) => add_deltas(chunk, &interactions.times[rows]),
            Self::Known { chunk, valid, occurring } => add_known(chunk, occurring, *valid, &interactions.sources[rows]),
            Self::Library { chunk, source } => add_by_library(chunk, *source, interactions, rows),
        }
    }

    /// Puts the pages into a row group, as its next column.
    pub fn append<W: Write + Send>(
        self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        column: ColumnDescPtr,
    ) -> Result<()> {
        match self {
            Self::Days(chunk) | Self::Times(chunk) => chunk.append(group, column, None, None),
            Self::Known { chunk, occurring, .. } => chunk.append(group, column, Some(occurring.finish()), None),
            Self::Library { chunk, .. } => chunk.append(group),
        }
    }
}

/// Adds a page of differences.
pub(super) fn add_deltas<T: Integer>(chunk: &mut Chunk, values: &[T]) -> Result<()> {
    let mut bytes = Vec::with_capacity(size_of_val(values));
    encode_deltas(values, &mut bytes);
    chunk.add_page(bytes, values.len(), Encoding::DELTA_BINARY_PACKED)
}

/// Adds a page of values that are in a dictionary.
fn add_known(chunk: &mut Chunk, occurring: &mut Occurring, valid: Option<&[bool]>, entries: &[u32]) -> Result<()> {
    let (mut bytes, mut numbers) = (Vec::with_capacity(2 * entries.len()), Vec::with_capacity(entries.len()));
    if let Some(valid) = valid {
        let levels: Vec<u32> = entries.iter().map(|&entry| u32::from(valid[entry as usize])).collect();
        put_levels(&levels, &mut bytes);
        occurring.look_up(entries.iter().copied().filter(|&entry| valid[entry as usize]), &mut numbers);
    } else {
        occurring.look_up(entries.iter().copied(), &mut numbers);
    }
    let width = begin_codes(occurring.values(), &mut bytes);
    put_packed(&numbers, width, &mut bytes);
    chunk.add_page(bytes, entries.len(), Encoding::RLE_DICTIONARY)
}

fn add_by_library<I>(
    chunk: &mut LibraryChunk,
    source: Source,
    interactions: &Interactions<I>,
    rows: Range<usize>,
) -> Result<()> {
    let Source::Carried { values, valid } = source else {
        return write::<DoubleType, _>(chunk, &interactions.ratings[rows], None, |rating| rating);
    };
    let is_there = valid.map(|valid| move |source: u32| valid[source as usize]);
    let is_there = is_there.as_ref().map(|is_there| is_there as &dyn Fn(u32) -> bool);
    let sources = &interactions.sources[rows];
    match values {
        Values::Boolean(all) => write::<BoolType, _>(chunk, sources, is_there, |source| all[source as usize]),
        Values::Int32(all) => write::<Int32Type, _>(chunk, sources, is_there, |source| all[source as usize]),
        Values::Int64(all) => write::<Int64Type, _>(chunk, sources, is_there, |source| all[source as usize]),
        Values::Float(all) => write::<FloatType, _>(chunk, sources, is_there, |source| all[source as usize]),
        Values::Double(all) => write::<DoubleType, _>(chunk, sources, is_there, |source| all[source as usize]),
        Values::Text { starts, bytes } => write::<ByteArrayType, _>(chunk, sources, is_there, |source| {
            let source = source as usize;
            ByteArray::from(&bytes[starts[source] as usize..starts[source + 1] as usize])
        }),
    }
}

/// Writes what `value` makes of each of `all`; with `is_there`, only of those that are there.
fn write<T: DataType, S: Copy>(
    chunk: &mut LibraryChunk,
    all: &[S],
    is_there: Option<&dyn Fn(S) -> bool>,
    value: impl Fn(S) -> T::T,
) -> Result<()> {
    let writer = chunk.typed::<T>();
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
