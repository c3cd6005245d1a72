//! One part's train or test interactions as a Parquet file, encoded and digested while they are written.

use std::io::Write;
use std::iter::repeat_n;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{Encoding, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::columns::{Column, next_column, write_deltas};
use super::encoding::{EncodingChoice, Format, PAGE_ROWS};
use super::seal::{BLANK, Digesting, SEAL};
use crate::expansion::{Id, Interactions};
use crate::pages::{Chunk, Integer, begin_codes, put_run};

/// Below so many interactions a user differences of ids are shorter than a dictionary with its runs.
const SHORT_RUN: usize = 16;

/// An id type that a Parquet column can hold.
pub trait Stored: Id + Integer {
    type Column: DataType<T = Self>;
    const PHYSICAL: PhysicalType;
    /// The bounds of a column chunk.
    fn statistics(least: Self, most: Self) -> Statistics;
    /// Appends it in the plain encoding.
    fn put(self, bytes: &mut Vec<u8>);
}

impl Stored for i32 {
    type Column = Int32Type;
    const PHYSICAL: PhysicalType = PhysicalType::INT32;

    fn statistics(least: Self, most: Self) -> Statistics {
        Statistics::int32(Some(least), Some(most), None, Some(0), false)
    }

    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }
}

impl Stored for i64 {
    type Column = Int64Type;
    const PHYSICAL: PhysicalType = PhysicalType::INT64;

    fn statistics(least: Self, most: Self) -> Statistics {
        Statistics::int64(Some(least), Some(most), None, Some(0), false)
    }

    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }
}

/// What is known of a finished file.
#[derive(Clone, Debug)]
pub struct FileSummary {
    pub rows: u64,
    pub bytes: u64,
    pub blake3: String,
}

/// A file being written. Rows that do not fill a row group stay in the caller's buffer until `finish`.
pub struct PartFile<'f, U: Stored, I: Stored, W: Write + Send> {
    file: SerializedFileWriter<Digesting<W>>,
    format: &'f Format<'f>,
    rows: u64,
    ids: PhantomData<(U, I)>,
}

impl<'f, U: Stored, I: Stored, W: Write + Send> PartFile<'f, U, I, W> {
    /// `labels` are stored in the file's own metadata.
    pub fn new(sink: W, format: &'f Format<'f>, labels: &[(String, String)]) -> Result<Self> {
        let schema = schema::<U, I>(format.columns)?;
        let mut file = SerializedFileWriter::new(Digesting::new(sink), schema, format.properties.clone())?;
        for (name, value) in labels {
            file.append_key_value_metadata(KeyValue::new(name.clone(), value.clone()));
        }
        Ok(Self { file, format, rows: 0, ids: PhantomData })
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
    pub fn finish(mut self, interactions: &mut Interactions<I>) -> Result<(W, FileSummary)> {
        self.write(interactions)?;
        if !interactions.items.is_empty() {
            self.row_group(interactions, 0..interactions.items.len())?;
            interactions.truncate(0);
        }
        self.file.flush()?;
        self.file
            .append_key_value_metadata(KeyValue::new(SEAL.to_owned(), String::from_utf8_lossy(&BLANK).into_owned()));
        self.file.inner_mut().hold()?;
        let rows = self.rows;
        let (sink, bytes, blake3) = self.file.into_inner()?.seal()?.finish();
        Ok((sink, FileSummary { rows, bytes, blake3 }))
    }

    /// Writes one row group; takes its users from the front.
    fn row_group(&mut self, interactions: &mut Interactions<I>, rows: Range<usize>) -> Result<()> {
        let format = self.format;
        let columns = self.file.schema_descr().columns().to_vec();
        let mut group = self.file.next_row_group()?;
        let runs = take_runs(&mut interactions.users, rows.len())?;
        let bounds = runs.first().zip(runs.last());
        let bounds = bounds.map(|(first, last)| U::statistics(U::at(first.0, 0), U::at(last.0, 0)));
        write_users::<U>(Chunk::new(format.compression), &runs, rows.len())?.append(
            &mut group,
            columns[0].clone(),
            bounds,
        )?;
        let items = &interactions.items[rows.clone()];
        match format.encoding {
            EncodingChoice::Default => {
                let chunk = write_deltas(Chunk::new(format.compression), items)?;
                chunk.append(&mut group, columns[1].clone(), None)?;
            }
            EncodingChoice::Fast => {
                let mut column = next_column(&mut group)?;
                column.typed::<I::Column>().write_batch(items, None, None)?;
                column.close()?;
            }
        }
        for (payload, column) in format.columns.iter().zip(&columns[2..]) {
            payload.write(&mut group, column.clone(), format.compression, interactions, rows.clone())?;
        }
        group.close()?;
        self.rows += rows.len() as u64;
        Ok(())
    }
}

/// Takes the runs of the first `rows` interactions.
fn take_runs(users: &mut Vec<(u64, u32)>, rows: usize) -> Result<Vec<(u64, u32)>> {
    let (mut left, mut whole) = (rows, 0);
    while let Some(&(_, count)) = users.get(whole).filter(|&&(_, count)| count as usize <= left) {
        left -= count as usize;
        whole += 1;
    }
    let mut runs: Vec<(u64, u32)> = users.drain(..whole).collect();
    if left > 0 {
        let Some((user, count)) = users.first_mut() else {
            return Err(ParquetError::General("fewer users than items in a row group".to_owned()));
        };
        runs.push((*user, left as u32));
        *count -= left as u32;
    }
    Ok(runs)
}

/// Adds the pages of users: a dictionary of them and their runs, or where those are short differences of ids.
fn write_users<U: Stored>(mut chunk: Chunk, runs: &[(u64, u32)], rows: usize) -> Result<Chunk> {
    if rows < SHORT_RUN * runs.len() {
        let ids = runs.iter().flat_map(|&(user, count)| repeat_n(U::at(user, 0), count as usize));
        return write_deltas(chunk, &ids.collect::<Vec<_>>());
    }
    let mut plain = Vec::with_capacity(size_of::<U>() * runs.len());
    for &(user, _) in runs {
        U::at(user, 0).put(&mut plain);
    }
    chunk.add_dictionary(plain, runs.len())?;
    let mut counts = (0..).zip(runs.iter().map(|&(_, count)| count as usize)).peekable();
    for start in (0..rows).step_by(PAGE_ROWS) {
        let of_page = PAGE_ROWS.min(rows - start);
        let (mut left, mut bytes) = (of_page, Vec::new());
        let width = begin_codes(runs.len(), &mut bytes);
        while let Some((code, count)) = counts.peek_mut().filter(|_| left > 0) {
            let now = left.min(*count);
            put_run(*code, now as u32, width, &mut bytes);
            left -= now;
            *count -= now;
            if *count == 0 {
                counts.next();
            }
        }
        chunk.add_page(bytes, of_page, Encoding::RLE_DICTIONARY)?;
    }
    Ok(chunk)
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
    columns.extend(payload.iter().map(|column| column.schema.clone()));
    Ok(Arc::new(Type::group_type_builder("interactions").with_fields(columns).build()?))
}
