//! A file of a data set, read user by user.

use std::cell::Cell;
use std::fmt::Display;
use std::fs::File;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Once;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::cursor::UserCursor;
use super::far::{FarFile, Opener};
use crate::error::Error;

/// How many interactions are decoded at a time.
const CHUNK: usize = 1 << 16;
const COLUMNS: [&str; 2] = ["user_id", "item_id"];

/// The users of one file; of no file there are none.
pub struct FileCursor {
    path: PathBuf,
    reader: Option<Box<dyn FileReader>>,
    /// The file, where it is not on this machine.
    far: Option<FarFile>,
    next_group: usize,
    columns: Option<[ColumnReader; 2]>,
    users: Vec<i64>,
    items: Vec<i64>,
    /// Those of the user at hand.
    user_rows: Range<usize>,
}

impl FileCursor {
    /// Opens a file, of this machine or by `opener`.
    pub fn open(path: Option<&Path>, opener: Option<&Opener>) -> Result<Self, Error> {
        let mut cursor = Self {
            path: path.unwrap_or(Path::new("")).to_path_buf(),
            reader: None,
            far: None,
            next_group: 0,
            columns: None,
            users: Vec::new(),
            items: Vec::new(),
            user_rows: 0..0,
        };
        if path.is_some() {
            let (reader, far) = unless_panic(|| opened(&cursor.path, opener)).map_err(|error| cursor.damaged(error))?;
            let schema = reader.metadata().file_metadata().schema_descr();
            if !schema.columns().iter().map(|column| column.name()).take(2).eq(COLUMNS) {
                return Err(cursor.damaged(ParquetError::General("its columns are not user_id, item_id".to_owned())));
            }
            (cursor.reader, cursor.far) = (Some(reader), far);
        }
        Ok(cursor)
    }

    /// The users of several files, each of which has users that rise: all of them in memory, the rows of one user in the
    /// order of the files.
    pub fn gather(paths: &[PathBuf], opener: Option<&Opener>) -> Result<Self, Error> {
        let mut all = Self::open(None, None)?;
        for path in paths {
            let mut one = Self::open(Some(path), opener)?;
            while one.read_on()? {}
            if !one.users.is_sorted() {
                return Err(one.damaged("its users do not rise"));
            }
            all.users.append(&mut one.users);
            all.items.append(&mut one.items);
        }
        let mut order: Vec<usize> = (0..all.users.len()).collect();
        order.sort_by_key(|&row| all.users[row]);
        all.items = order.iter().map(|&row| all.items[row]).collect();
        all.users.sort_unstable();
        Ok(all)
    }

    fn damaged(&self, reason: impl Display) -> Error {
        let row_group = self.next_group.checked_sub(1);
        Error::Damaged { path: self.path.clone(), row_group, reason: reason.to_string() }
    }

    /// Decodes more interactions; says whether there were any.
    fn read_on(&mut self) -> Result<bool, Error> {
        let Some(reader) = &self.reader else { return Ok(false) };
        loop {
            if let Some([users, items]) = &mut self.columns {
                let before = self.users.len();
                let more = unless_panic(|| {
                    read(users, &mut self.users)?;
                    read(items, &mut self.items)
                });
                more.map_err(|error| self.damaged(error))?;
                if self.users.len() != self.items.len() {
                    return Err(self.damaged(ParquetError::General("its columns differ in length".to_owned())));
                }
                if self.users.len() > before {
                    return Ok(true);
                }
            }
            if self.next_group == reader.num_row_groups() {
                return Ok(false);
            }
            self.next_group += 1;
            let columns = unless_panic(|| {
                let group = reader.get_row_group(self.next_group - 1)?;
                if let Some(far) = &self.far {
                    let [users, items] = [0, 1].map(|column| group.metadata().column(column).byte_range());
                    let ends = [users, items].map(|(start, length)| start.saturating_add(length));
                    far.hold(users.0.min(items.0), ends[0].max(ends[1]))?;
                }
                Ok([group.get_column_reader(0)?, group.get_column_reader(1)?])
            });
            self.columns = Some(columns.map_err(|error| self.damaged(error))?);
        }
    }
}

/// Reads a file's footer; where it is not on this machine, returns the file too.
fn opened(path: &Path, opener: Option<&Opener>) -> Result<(Box<dyn FileReader>, Option<FarFile>), ParquetError> {
    let Some(opener) = opener else {
        return Ok((Box::new(SerializedFileReader::new(File::open(path)?)?), None));
    };
    let far = FarFile::new(opener(path)?)?;
    Ok((Box::new(SerializedFileReader::new(far.clone())?), Some(far)))
}

impl UserCursor for FileCursor {
    fn advance(&mut self) -> Result<(), Error> {
        self.user_rows = self.user_rows.end..self.user_rows.end;
        loop {
            let user = self.users.get(self.user_rows.start);
            while self.user_rows.end < self.users.len() && self.users.get(self.user_rows.end) == user {
                self.user_rows.end += 1;
            }
            if self.user_rows.end < self.users.len() {
                return Ok(());
            }
            // The user may go on beyond what is decoded.
            self.users.drain(..self.user_rows.start);
            self.items.drain(..self.user_rows.start);
            self.user_rows = 0..self.user_rows.len();
            if !self.read_on()? {
                return Ok(());
            }
        }
    }

    fn user(&self) -> Option<u64> {
        self.users.get(self.user_rows.start).map(|&user| user as u64)
    }

    fn items(&self) -> &[i64] {
        &self.items[self.user_rows.clone()]
    }
}

thread_local! {
    /// Whether a panic on this thread becomes an error.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Does what reads a file. The Parquet library panics on some damage; what it was at is not used again.
fn unless_panic<T>(job: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !CAUGHT.get() {
                usual(panic);
            }
        }));
    });
    CAUGHT.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(job));
    CAUGHT.set(false);
    outcome.unwrap_or_else(|panic| {
        let formatted = panic.downcast_ref::<String>().map(String::as_str);
        let why = formatted.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Err(ParquetError::General(format!("it is damaged: {why}")))
    })
}

/// Appends up to [`CHUNK`] values of a column.
fn read(column: &mut ColumnReader, values: &mut Vec<i64>) -> Result<(), ParquetError> {
    fn chunk<T: DataType>(column: &mut ColumnReaderImpl<T>, values: &mut Vec<T::T>) -> Result<(), ParquetError> {
        let end = values.len() + CHUNK;
        // A call stops at the end of a page.
        while values.len() < end {
            if column.read_records(end - values.len(), None, None, values)?.0 == 0 {
                break;
            }
        }
        Ok(())
    }
    match column {
        ColumnReader::Int64ColumnReader(column) => chunk(column, values),
        ColumnReader::Int32ColumnReader(column) => {
            let mut narrow = Vec::with_capacity(CHUNK);
            chunk(column, &mut narrow)?;
            values.extend(narrow.into_iter().map(i64::from));
            Ok(())
        }
        _ => Err(ParquetError::General("its ids are not integers".to_owned())),
    }
}
