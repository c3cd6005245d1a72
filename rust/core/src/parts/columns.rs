//! Payload columns: what a file has beside users and items, and where it comes from.

use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{Repetition, Type as PhysicalType};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::Result;
use parquet::file::writer::SerializedColumnWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{Type, TypePtr};

use crate::expansion::Interactions;

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
        Ok(Self { schema: Arc::new(schema), source })
    }

    /// Writes the column of some interactions.
    pub fn write<I>(
        &self,
        column: &mut SerializedColumnWriter,
        interactions: &Interactions<I>,
        rows: Range<usize>,
    ) -> Result<()> {
        let (values, valid) = match self.source {
            Source::Times if self.schema.get_physical_type() == PhysicalType::INT32 => {
                return write::<Int32Type, _>(column, &interactions.times[rows], None, |time| time as i32);
            }
            Source::Times => return write::<Int64Type, _>(column, &interactions.times[rows], None, |time| time),
            Source::Ratings => {
                return write::<DoubleType, _>(column, &interactions.ratings[rows], None, |rating| rating);
            }
            Source::Carried { values, valid } => (values, valid),
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
