//! A column chunk that the Parquet library encodes, gathered in memory as ours are.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::column::page::{CompressedPage, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnWriter, ColumnWriterImpl, get_column_writer, get_typed_column_writer_mut};
use parquet::data_type::DataType;
use parquet::errors::Result;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// The pages of one column of one row group.
pub struct LibraryChunk {
    writer: Box<ColumnWriter<'static>>,
    pages: Pages,
}

impl LibraryChunk {
    pub fn new(column: ColumnDescPtr, properties: WriterPropertiesPtr) -> Self {
        let pages = Pages(Arc::new(Mutex::new(TrackedWrite::new(Vec::new()))));
        Self { writer: Box::new(get_column_writer(column, properties, Box::new(pages.clone()))), pages }
    }

    /// What values of this type are written to.
    pub fn typed<T: DataType>(&mut self) -> &mut ColumnWriterImpl<'static, T> {
        get_typed_column_writer_mut(&mut self.writer)
    }

    /// Puts the chunk into a row group, as its next column.
    pub fn append<W: Write + Send>(self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<()> {
        let close = self.writer.close()?;
        let pages = std::mem::replace(&mut *self.pages.lock(), TrackedWrite::new(Vec::new()));
        group.append_column(&Bytes::from(pages.into_inner()?), close)
    }
}

/// Where the pages go, shared with the library's writer.
#[derive(Clone)]
struct Pages(Arc<Mutex<TrackedWrite<Vec<u8>>>>);

impl Pages {
    fn lock(&self) -> std::sync::MutexGuard<'_, TrackedWrite<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PageWriter for Pages {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        SerializedPageWriter::new(&mut *self.lock()).write_page(page)
    }

    fn close(&mut self) -> Result<()> {
        Ok(self.lock().flush()?)
    }
}
