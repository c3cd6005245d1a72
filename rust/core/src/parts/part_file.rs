//! One part's train or test interactions as a Parquet file, encoded and digested while they are written.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::columns::Column;
use super::encoding::{BATCH_ROWS, Format};
use super::seal::{BLANK, Digesting, SEAL};
use crate::expansion::{Id, Interactions};

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

/// What is known of a finished file.
#[derive(Clone, Debug)]
pub struct FileSummary {
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
        Ok(Self { file, format, rows: 0, user_ids: Vec::with_capacity(BATCH_ROWS), items: std::marker::PhantomData })
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
        self.file.inner_mut().hold();
        let rows = self.rows;
        let (sink, bytes, sha256) = self.file.into_inner()?.seal()?.finish();
        Ok((sink, FileSummary { rows, bytes, sha256 }))
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

/// Writes the first `rows` user ids, chunk by chunk, and removes them from the users.
fn spell_out<U: Stored>(
    column: &mut ColumnWriterImpl<'_, U::Column>,
    chunk: &mut Vec<U>,
    users: &mut Vec<(u64, u32)>,
    rows: usize,
) -> Result<()> {
    let mut left = rows;
    let mut taken = 0;
    chunk.clear();
    while left > 0 {
        let Some((user, count)) = users.get_mut(taken) else {
            return Err(ParquetError::General("fewer users than items in a row group".to_owned()));
        };
        let now = (*count as usize).min(left).min(BATCH_ROWS - chunk.len());
        chunk.extend(std::iter::repeat_n(U::at(*user, 0), now));
        left -= now;
        *count -= now as u32;
        if *count == 0 {
            taken += 1;
        }
        if chunk.len() == BATCH_ROWS || left == 0 {
            column.write_batch(chunk, None, None)?;
            chunk.clear();
        }
    }
    users.drain(..taken);
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
    columns.extend(payload.iter().map(|column| column.schema.clone()));
    Ok(Arc::new(Type::group_type_builder("interactions").with_fields(columns).build()?))
}
