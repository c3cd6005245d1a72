//! A column chunk: pages gathered one after the other, then put into a file that the Parquet library writes.

use std::io::Write;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// The pages of one column of one row group.
pub struct Chunk {
    /// What pages are compressed with beyond their encoding, if anything.
    level: Option<ZstdLevel>,
    bytes: TrackedWrite<Vec<u8>>,
    /// Where each page of data begins, how long it is, and how many rows it has.
    pages: Vec<(i64, i32, i64)>,
    encodings: Vec<Encoding>,
    uncompressed: usize,
}

impl Chunk {
    /// Compresses pages with `zstd` alone: quicker compressors find nothing in what is encoded already.
    pub fn new(compression: Compression) -> Self {
        let level = if let Compression::ZSTD(level) = compression { Some(level) } else { None };
        let bytes = TrackedWrite::new(Vec::new());
        Self { level, bytes, pages: Vec::new(), encodings: Vec::new(), uncompressed: 0 }
    }

    /// Adds the values of some rows.
    pub fn add_page(&mut self, encoded: Vec<u8>, rows: usize, encoding: Encoding) -> Result<()> {
        let (buf, size) = self.compressed(encoded)?;
        let page = Page::DataPage {
            buf,
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let page = CompressedPage::new(page, size);
        let written = SerializedPageWriter::new(&mut self.bytes).write_page(page)?;
        self.uncompressed += written.uncompressed_size;
        self.pages.push((written.offset as i64, written.bytes_written as i32, rows as i64));
        if !self.encodings.contains(&encoding) {
            self.encodings.push(encoding);
        }
        Ok(())
    }

    /// Puts the chunk into a row group, as its next column. The values of its dictionary, if it has one, are in the plain
    /// encoding.
    pub fn append<W: Write + Send>(
        mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        column: ColumnDescPtr,
        dictionary: Option<(Vec<u8>, usize)>,
        statistics: Option<Statistics>,
    ) -> Result<()> {
        self.bytes.flush()?;
        let mut bytes = TrackedWrite::new(Vec::new());
        let has_dictionary = dictionary.is_some();
        if let Some((plain, values)) = dictionary {
            let (buf, size) = self.compressed(plain)?;
            let encoding = Encoding::PLAIN;
            let page = Page::DictionaryPage { buf, num_values: values as u32, encoding, is_sorted: false };
            let written = SerializedPageWriter::new(&mut bytes).write_page(CompressedPage::new(page, size))?;
            bytes.flush()?;
            self.uncompressed += written.uncompressed_size;
            self.encodings.push(encoding);
        }
        let data = bytes.bytes_written() as i64;
        let mut bytes = bytes.into_inner()?;
        if bytes.is_empty() {
            bytes = self.bytes.into_inner()?;
        } else {
            bytes.extend(self.bytes.into_inner()?);
        }
        let mut pages = OffsetIndexBuilder::new();
        for &(offset, length, rows) in &self.pages {
            pages.append_row_count(rows);
            pages.append_offset_and_size(data + offset, length);
        }
        let rows = self.pages.iter().map(|&(_, _, rows)| rows).sum();
        // Levels too are runs, where there are any.
        self.encodings.push(Encoding::RLE);
        let mut metadata = ColumnChunkMetaData::builder(column)
            .set_compression(self.level.map_or(Compression::UNCOMPRESSED, Compression::ZSTD))
            .set_encodings(self.encodings)
            .set_num_values(rows)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_dictionary_page_offset(has_dictionary.then_some(0))
            .set_data_page_offset(data);
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(pages.build()),
        };
        group.append_column(&Bytes::from(bytes), close)
    }

    fn compressed(&self, page: Vec<u8>) -> Result<(Bytes, usize)> {
        let size = page.len();
        let Some(level) = self.level else { return Ok((page.into(), size)) };
        let compressed = zstd::bulk::compress(&page, level.compression_level());
        Ok((compressed.map_err(|error| ParquetError::External(Box::new(error)))?.into(), size))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::column::reader::get_typed_column_reader;
    use parquet::data_type::{DataType, Int32Type, Int64Type};
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::pages::{Integer, begin_codes, encode_deltas, put_levels, put_packed, put_run};

    /// What the Parquet library reads of a file that has one column of one chunk.
    fn read_back<T: DataType>(
        kind: &str,
        chunk: Chunk,
        dictionary: Option<(Vec<u8>, usize)>,
        rows: usize,
    ) -> (Vec<T::T>, Vec<i16>) {
        let schema = Arc::new(parse_message_type(&format!("message of {{ {kind} values; }}")).unwrap());
        let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
        let column = file.schema_descr().column(0);
        let mut group = file.next_row_group().unwrap();
        chunk.append(&mut group, column, dictionary, None).unwrap();
        group.close().unwrap();
        let reader = SerializedFileReader::new(Bytes::from(file.into_inner().unwrap())).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), rows as i64);
        let mut column = get_typed_column_reader::<T>(reader.get_row_group(0).unwrap().get_column_reader(0).unwrap());
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let (read, _, _) = column.read_records(rows, Some(&mut levels), None, &mut values).unwrap();
        assert_eq!(read, rows);
        (values, levels)
    }

    fn chunks_of_deltas<T: Integer>(values: &[T], page: usize, compression: Compression) -> Chunk {
        let mut chunk = Chunk::new(compression);
        for page in values.chunks(page) {
            let mut bytes = Vec::new();
            encode_deltas(page, &mut bytes);
            chunk.add_page(bytes, page.len(), Encoding::DELTA_BINARY_PACKED).unwrap();
        }
        chunk
    }

    fn compressions() -> impl Strategy<Value = Compression> {
        prop_oneof![
            Just(Compression::UNCOMPRESSED),
            Just(Compression::LZ4_RAW),
            Just(Compression::ZSTD(ZstdLevel::default()))
        ]
    }

    proptest! {
        #[test]
        fn differences_are_read_back(
            bits in vec(any::<i64>(), 1..700), shift in 0..64_u32, page in 1..700_usize, compression in compressions(),
        ) {
            let values: Vec<i64> = bits.iter().map(|&bits| bits >> shift).collect();
            let chunk = chunks_of_deltas(&values, page, compression);
            prop_assert_eq!(read_back::<Int64Type>("REQUIRED INT64", chunk, None, values.len()).0, &values[..]);
            let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
            let chunk = chunks_of_deltas(&values, page, compression);
            prop_assert_eq!(read_back::<Int32Type>("REQUIRED INT32", chunk, None, values.len()).0, values);
        }

        #[test]
        fn codes_and_levels_are_read_back(
            (count, codes) in (1..70_000_usize).prop_flat_map(|count| (Just(count), vec(0..count as u32, 1..300))),
            there: [bool; 7],
            compression in compressions(),
        ) {
            let plain: Vec<u8> = (0..count as i32).flat_map(|value| (value * 3).to_le_bytes()).collect();
            let there: Vec<bool> = (0..codes.len()).map(|number| there[number % there.len()]).collect();
            let levels: Vec<u32> = there.iter().map(|&there| u32::from(there)).collect();
            let codes: Vec<u32> = codes.iter().zip(&there).filter(|&(_, &there)| there).map(|(&code, _)| code).collect();
            let mut bytes = Vec::new();
            put_levels(&levels, &mut bytes);
            let width = begin_codes(count, &mut bytes);
            put_packed(&codes, width, &mut bytes);
            let mut chunk = Chunk::new(compression);
            chunk.add_page(bytes, levels.len(), Encoding::RLE_DICTIONARY).unwrap();
            let (values, read) = read_back::<Int32Type>("OPTIONAL INT32", chunk, Some((plain, count)), levels.len());
            prop_assert_eq!(values, codes.iter().map(|&code| code as i32 * 3).collect::<Vec<_>>());
            prop_assert_eq!(read, there.iter().map(|&there| i16::from(there)).collect::<Vec<_>>());
        }

        #[test]
        fn runs_are_read_back(runs in vec(1..2_000_u32, 1..400)) {
            let plain: Vec<u8> = (0..runs.len() as i64).flat_map(|value| (value << 33).to_le_bytes()).collect();
            let mut bytes = Vec::new();
            let width = begin_codes(runs.len(), &mut bytes);
            for (code, &count) in (0..).zip(&runs) {
                put_run(code, count, width, &mut bytes);
            }
            let rows = runs.iter().sum::<u32>() as usize;
            let mut chunk = Chunk::new(Compression::UNCOMPRESSED);
            chunk.add_page(bytes, rows, Encoding::RLE_DICTIONARY).unwrap();
            let expected = (0..).zip(&runs).flat_map(|(code, &count)| vec![i64::from(code) << 33; count as usize]);
            prop_assert_eq!(read_back::<Int64Type>("REQUIRED INT64", chunk, Some((plain, runs.len())), rows).0, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_width_and_every_length_are_read_back() {
        for width in 0..=64_u32 {
            let most = if width == 64 { -1 } else { (1_i64 << width).wrapping_sub(1) };
            for length in [1, 2, 31, 32, 33, 34, 127, 128, 129, 130, 160, 161, 255, 256, 257, 258] {
                // Differences of `most` and `-most` by turns need a bit more, of 0 and `most` just those.
                let values: Vec<i64> = (0..length).map(|number| if number % 2 == 0 { 0 } else { most }).collect();
                let chunk = chunks_of_deltas(&values, 1 << 16, Compression::UNCOMPRESSED);
                assert_eq!(read_back::<Int64Type>("REQUIRED INT64", chunk, None, values.len()).0, values);
                let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
                let chunk = chunks_of_deltas(&values, 1 << 16, Compression::UNCOMPRESSED);
                assert_eq!(read_back::<Int32Type>("REQUIRED INT32", chunk, None, values.len()).0, values);
            }
        }
    }
}
