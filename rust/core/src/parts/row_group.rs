//! A row group: encoded page by page while its interactions are in the processor's cache, then put into its file.

use std::io::Write;
use std::iter::repeat_n;
use std::ops::Range;

use parquet::basic::{Encoding, Type as PhysicalType};
use parquet::data_type::{DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::columns::{ColumnPages, add_deltas};
use super::encoding::{EncodingChoice, Format, PAGE_ROWS};
use crate::expansion::{Id, Interactions};
use crate::pages::{Chunk, Integer, LibraryChunk, begin_codes, put_run};

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

/// The columns of a row group so far.
pub struct RowGroup<'f> {
    format: &'f Format<'f>,
    columns: Vec<ColumnDescPtr>,
    pub rows: usize,
    /// Users, and how many interactions they have.
    runs: Vec<(u64, u32)>,
    items: Items,
    payload: Vec<ColumnPages<'f>>,
}

enum Items {
    Ours(Chunk),
    Library(LibraryChunk),
}

impl<'f> RowGroup<'f> {
    pub fn new(format: &'f Format<'f>, schema: &SchemaDescriptor) -> Self {
        let columns = schema.columns().to_vec();
        let items = match format.encoding {
            EncodingChoice::Default => Items::Ours(Chunk::new(format.compression)),
            EncodingChoice::Fast => Items::Library(LibraryChunk::new(columns[1].clone(), format.properties.clone())),
        };
        let payload = format.columns.iter().zip(&columns[2..]);
        let payload = payload.map(|(column, described)| column.begin(format, described.clone())).collect();
        Self { format, columns, rows: 0, runs: Vec::new(), items, payload }
    }

    /// Adds a page; takes its users from the front.
    pub fn add<I: Stored>(&mut self, interactions: &mut Interactions<I>, rows: Range<usize>) -> Result<()> {
        let items = &interactions.items[rows.clone()];
        match &mut self.items {
            Items::Ours(chunk) => add_deltas(chunk, items)?,
            Items::Library(chunk) => {
                chunk.typed::<I::Column>().write_batch(items, None, None)?;
            }
        }
        for column in &mut self.payload {
            column.add(interactions, rows.clone())?;
        }
        self.rows += rows.len();
        take_runs(&mut interactions.users, rows.len(), &mut self.runs)
    }

    /// Puts everything into a row group of a file.
    pub fn write<U: Stored, W: Write + Send>(self, mut group: SerializedRowGroupWriter<'_, W>) -> Result<()> {
        let mut columns = self.columns.into_iter();
        let mut column = || columns.next().ok_or_else(|| ParquetError::General("a column too many".to_owned()));
        write_users::<U, W>(Chunk::new(self.format.compression), &self.runs, self.rows, &mut group, column()?)?;
        match self.items {
            Items::Ours(chunk) => chunk.append(&mut group, column()?, None, None)?,
            Items::Library(chunk) => {
                column()?;
                chunk.append(&mut group)?;
            }
        }
        for pages in self.payload {
            pages.append(&mut group, column()?)?;
        }
        group.close()?;
        Ok(())
    }
}

/// Moves the users of the first `rows` interactions over.
fn take_runs(users: &mut Vec<(u64, u32)>, rows: usize, runs: &mut Vec<(u64, u32)>) -> Result<()> {
    let (mut left, mut whole) = (rows, 0);
    while let Some(&(_, count)) = users.get(whole).filter(|&&(_, count)| count as usize <= left) {
        left -= count as usize;
        whole += 1;
    }
    for (user, count) in users.drain(..whole) {
        match runs.last_mut() {
            // A user whose first interactions are on the page before.
            Some(last) if last.0 == user => last.1 += count,
            _ => runs.push((user, count)),
        }
    }
    if left > 0 {
        let Some((user, count)) = users.first_mut() else {
            return Err(ParquetError::General("fewer users than items in a row group".to_owned()));
        };
        match runs.last_mut() {
            Some(last) if last.0 == *user => last.1 += left as u32,
            _ => runs.push((*user, left as u32)),
        }
        *count -= left as u32;
    }
    Ok(())
}

/// Writes the column of users: a dictionary of them and their runs, or where those are short differences of ids.
fn write_users<U: Stored, W: Write + Send>(
    mut chunk: Chunk,
    runs: &[(u64, u32)],
    rows: usize,
    group: &mut SerializedRowGroupWriter<'_, W>,
    column: ColumnDescPtr,
) -> Result<()> {
    let ids = runs.iter().map(|&(user, _)| U::at(user, 0));
    let statistics = ids.clone().next().zip(ids.clone().next_back()).map(|(least, most)| U::statistics(least, most));
    if rows < SHORT_RUN * runs.len() {
        let counts = runs.iter().map(|&(_, count)| count as usize);
        let spelt_out: Vec<U> = ids.zip(counts).flat_map(|(id, count)| repeat_n(id, count)).collect();
        spelt_out.chunks(PAGE_ROWS).try_for_each(|page| add_deltas(&mut chunk, page))?;
        return chunk.append(group, column, None, statistics);
    }
    let mut left = (0..).zip(runs.iter().map(|&(_, count)| count as usize)).peekable();
    for start in (0..rows).step_by(PAGE_ROWS) {
        let of_page = PAGE_ROWS.min(rows - start);
        let (mut wanted, mut bytes) = (of_page, Vec::new());
        let width = begin_codes(runs.len(), &mut bytes);
        while let Some((number, count)) = left.peek_mut().filter(|_| wanted > 0) {
            let now = wanted.min(*count);
            put_run(*number, now as u32, width, &mut bytes);
            wanted -= now;
            *count -= now;
            if *count == 0 {
                left.next();
            }
        }
        chunk.add_page(bytes, of_page, Encoding::RLE_DICTIONARY)?;
    }
    let mut plain = Vec::with_capacity(size_of::<U>() * runs.len());
    ids.for_each(|id| id.put(&mut plain));
    chunk.append(group, column, Some((plain, runs.len())), statistics)
}
