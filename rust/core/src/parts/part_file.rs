//! One part's train or test interactions as a Parquet file, encoded and digested while they are written.

use std::io::Write;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use parquet::errors::Result;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::columns::Column;
use super::encoding::{Format, PAGE_ROWS};
use super::row_group::{RowGroup, Stored};
use super::seal::{BLANK, Digesting, SEAL};
use crate::expansion::Interactions;

/// What is known of a finished file.
#[derive(Clone, Debug)]
pub struct FileSummary {
    /// The folder of its period, where files are divided by periods.
    pub folder: Option<String>,
    pub rows: u64,
    pub bytes: u64,
    pub blake3: String,
}

/// A file being written. Rows that do not fill a page stay in the caller's buffer until `finish`.
pub struct PartFile<'f, U: Stored, I: Stored, W: Write + Send> {
    file: SerializedFileWriter<Digesting<W>>,
    format: &'f Format<'f>,
    group: RowGroup<'f>,
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
        let group = RowGroup::new(format, file.schema_descr());
        Ok(Self { file, format, group, rows: 0, ids: PhantomData })
    }

    /// Writes all full pages in `interactions` and leaves the rest there.
    pub fn write(&mut self, interactions: &mut Interactions<I>) -> Result<()> {
        let mut done = 0;
        loop {
            let page = PAGE_ROWS.min(self.format.row_group_size - self.group.rows);
            if interactions.items.len() - done < page {
                break;
            }
            self.group.add(interactions, done..done + page)?;
            done += page;
            if self.group.rows == self.format.row_group_size {
                self.close_group()?;
            }
        }
        interactions.drain(done);
        Ok(())
    }

    /// Writes what is left and closes the file, with a seal by which a damaged file is known later.
    pub fn finish(mut self, interactions: &mut Interactions<I>) -> Result<(W, FileSummary)> {
        self.write(interactions)?;
        let left = interactions.items.len();
        if left > 0 {
            self.group.add(interactions, 0..left)?;
            interactions.truncate(0);
        }
        if self.group.rows > 0 {
            self.close_group()?;
        }
        self.file.flush()?;
        self.file
            .append_key_value_metadata(KeyValue::new(SEAL.to_owned(), String::from_utf8_lossy(&BLANK).into_owned()));
        self.file.inner_mut().hold()?;
        let rows = self.rows;
        let (sink, bytes, blake3) = self.file.into_inner()?.seal()?.finish();
        Ok((sink, FileSummary { folder: None, rows, bytes, blake3 }))
    }

    fn close_group(&mut self) -> Result<()> {
        let next = RowGroup::new(self.format, self.file.schema_descr());
        let group = mem::replace(&mut self.group, next);
        self.rows += group.rows as u64;
        group.write::<U, _>(self.file.next_row_group()?)
    }
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
