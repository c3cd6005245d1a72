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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::Compression;
    use parquet::data_type::{Int32Type, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const ROWS: usize = 600;

    /// A file of some row groups as the library writes it; each user has some items.
    fn file(compression: Compression, dictionary: bool) -> Vec<u8> {
        let schema = "message of { REQUIRED INT32 user_id; REQUIRED INT64 item_id; }";
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_dictionary_enabled(dictionary)
            .set_data_page_row_count_limit(70)
            .set_write_batch_size(70)
            .build();
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
        for rows in (0..ROWS as i32).collect::<Vec<_>>().chunks(250) {
            let users: Vec<i32> = rows.iter().map(|row| row / 7).collect();
            let items: Vec<i64> = rows.iter().map(|row| i64::from(row * 31 % 97) << 31).collect();
            let mut group = file.next_row_group().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int32Type>().write_batch(&users, None, None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&items, None, None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        file.into_inner().unwrap()
    }

    /// Reads all users; returns how many interactions there are.
    fn read_all(path: &Path) -> Result<usize, Error> {
        let mut cursor = FileCursor::open(Some(path), None)?;
        let mut count = 0;
        cursor.advance()?;
        while cursor.user().is_some() {
            count += cursor.items().len();
            cursor.advance()?;
        }
        Ok(count)
    }

    fn files() -> impl Strategy<Value = Vec<u8>> {
        let compression =
            prop_oneof![Just(Compression::UNCOMPRESSED), Just(Compression::LZ4_RAW), Just(Compression::SNAPPY)];
        (compression, any::<bool>()).prop_map(|(compression, dictionary)| file(compression, dictionary))
    }

    proptest! {
        #[test]
        fn what_is_whole_is_read(bytes in files()) {
            let path = std::env::temp_dir().join(format!("fractalrs-whole-{}", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            let read = read_all(&path);
            std::fs::remove_file(&path).unwrap();
            prop_assert_eq!(read.unwrap(), ROWS);
        }

        #[test]
        fn what_is_damaged_is_refused_or_read_and_ends(
            mut bytes in files(),
            changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
            cut in proptest::option::weighted(0.2, any::<proptest::sample::Index>()),
        ) {
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
            let path = std::env::temp_dir().join(format!("fractalrs-damaged-{}", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            let read = read_all(&path);
            std::fs::remove_file(&path).unwrap();
            match read {
                // Which rows there are is for the manifest to say; that there are no more than fit is for the reader.
                Ok(count) => prop_assert!(count <= 2 * ROWS, "{count} rows"),
                Err(error) => prop_assert!(error.to_string().contains("fractalrs-damaged"), "{error}"),
            }
        }

        #[test]
        fn any_bytes_are_refused(bytes in vec(any::<u8>(), 0..300), magic: bool) {
            let path = std::env::temp_dir().join(format!("fractalrs-bytes-{}", std::process::id()));
            let bytes = if magic { [b"PAR1", &bytes[..], b"PAR1"].concat() } else { bytes };
            std::fs::write(&path, bytes).unwrap();
            let read = read_all(&path);
            std::fs::remove_file(&path).unwrap();
            prop_assert!(read.is_err());
        }
    }
}
