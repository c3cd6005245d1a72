//! Text files in which ids and times are integers in their usual form: most of them, and read several times as fast as by
//! what takes any.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::Error;
use crate::threads::{Progress, on_threads};

/// No line is longer.
const LONGEST_LINE: usize = 1 << 16;
/// With so many digits every integer is a float, and every power of ten that may divide it.
const EXACT_DIGITS: usize = 15;
const MOST_DIGITS: usize = 18;
const POWERS: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// What a cell of a line is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// An integer of the column of integers of this number.
    Integer(usize),
    /// A decimal of the column of decimals of this number.
    Decimal(usize),
    /// Nothing.
    Skipped,
}

/// How a text file is written: what stands between cells, what they are, and how many lines come before the first row.
#[derive(Clone, Debug)]
pub struct PlainText {
    pub delimiter: u8,
    pub cells: Vec<Cell>,
    pub first_line: usize,
}

/// Some rows: columns of integers and of decimals.
#[derive(Debug, Default, PartialEq)]
pub struct Rows {
    pub integers: Vec<Vec<i64>>,
    pub decimals: Vec<Vec<f64>>,
}

impl PlainText {
    /// Reads a file, so many bytes at a time: its rows, in order. None where there is anything but plain numbers in a column of
    /// integers (with an odd zero, say, or in quotes) or of decimals, a line of another length, or a file that cannot be read.
    pub fn read(
        &self,
        path: &Path,
        block: usize,
        threads: usize,
        progress: &Progress,
    ) -> Result<Option<Vec<Rows>>, Error> {
        let Some((start, size)) = self.start_and_size(path) else { return Ok(None) };
        let (next, odd) = (AtomicUsize::new(0), AtomicBool::new(false));
        let blocks = (size - start).div_ceil(block);
        let parts = on_threads(threads, progress, || {
            let (mut file, mut text, mut found) = (File::open(path).ok(), Vec::new(), Vec::new());
            while !odd.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= blocks {
                    break;
                }
                let first = start + number * block;
                let rows = file.as_mut().and_then(|file| self.block(file, first, block, number > 0, &mut text));
                match rows {
                    Some(rows) => {
                        progress.advance(0)?;
                        found.push((number, rows));
                    }
                    None => odd.store(true, Ordering::Relaxed),
                }
            }
            Ok(found)
        })?;
        if odd.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut parts: Vec<_> = parts.into_iter().flatten().collect();
        parts.sort_unstable_by_key(|&(number, _)| number);
        Ok(Some(parts.into_iter().map(|(_, rows)| rows).collect()))
    }

    /// Where the first row begins, and the file ends.
    fn start_and_size(&self, path: &Path) -> Option<(usize, usize)> {
        let mut file = File::open(path).ok()?;
        let size = usize::try_from(file.metadata().ok()?.len()).ok()?;
        let mut head = vec![0; size.min((self.first_line + 1) * LONGEST_LINE)];
        file.read_exact(&mut head).ok()?;
        let mut ends = head.iter().enumerate().filter(|&(_, &byte)| byte == b'\n');
        let start = match self.first_line {
            0 => 0,
            lines => ends.nth(lines - 1)?.0 + 1,
        };
        Some((start, size))
    }

    /// The rows that begin in a block; where others come before it, not the one that goes on into it.
    fn block(&self, file: &mut File, first: usize, size: usize, others: bool, text: &mut Vec<u8>) -> Option<Rows> {
        let from = first - usize::from(others);
        file.seek(SeekFrom::Start(from as u64)).ok()?;
        text.clear();
        let most = first - from + size + LONGEST_LINE;
        file.take(most as u64).read_to_end(text).ok()?;
        let begin =
            if others { text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |end| end + 1) } else { 0 };
        self.rows(text, begin, (first - from + size).min(text.len()), text.len() < most)
    }

    /// The rows that begin between two places of a text, which may be the end of the file.
    fn rows(&self, text: &[u8], begin: usize, end: usize, to_end: bool) -> Option<Rows> {
        let count = |of: fn(&Cell) -> bool| self.cells.iter().filter(|&cell| of(cell)).count();
        let guess = (end.saturating_sub(begin)) / (8 * self.cells.len()) + 16;
        let mut rows = Rows {
            integers: vec![Vec::with_capacity(guess); count(|cell| matches!(cell, Cell::Integer(_)))],
            decimals: vec![Vec::with_capacity(guess); count(|cell| matches!(cell, Cell::Decimal(_)))],
        };
        let mut at = begin;
        while at < end {
            match (text[at], text.get(at + 1)) {
                (b'\n', _) => at += 1,
                (b'\r', Some(b'\n')) => at += 2,
                _ => at = self.row(text, at, to_end, &mut rows)?,
            }
        }
        Some(rows)
    }

    /// Reads a row; returns where the next line begins.
    fn row(&self, text: &[u8], mut at: usize, to_end: bool, rows: &mut Rows) -> Option<usize> {
        let last = self.cells.len() - 1;
        for (place, cell) in self.cells.iter().enumerate() {
            match *cell {
                Cell::Integer(column) => {
                    let (value, end) = integer(text, at)?;
                    rows.integers[column].push(value);
                    at = end;
                }
                Cell::Decimal(column) => {
                    let (value, end) = decimal(text, at)?;
                    rows.decimals[column].push(value);
                    at = end;
                }
                Cell::Skipped => at = self.skipped(text, at)?,
            }
            at = match (text.get(at), place == last) {
                (Some(&byte), false) if byte == self.delimiter => at + 1,
                (Some(b'\n'), true) => at + 1,
                (Some(b'\r'), true) if text.get(at + 1) == Some(&b'\n') => at + 2,
                (None, true) if to_end => at,
                _ => return None,
            };
        }
        Some(at)
    }

    fn skipped(&self, text: &[u8], at: usize) -> Option<usize> {
        let ends = |&byte: &u8| byte == self.delimiter || matches!(byte, b'\n' | b'\r' | b'"');
        let end = text[at..].iter().position(ends).map_or(text.len(), |length| at + length);
        if text.get(end) == Some(&b'"') { None } else { Some(end) }
    }
}

/// The digits from a place on: their value, how many they are, and where they end.
#[inline]
fn digits(text: &[u8], mut at: usize) -> (u64, usize, usize) {
    let (begin, mut value) = (at, 0_u64);
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (value, at - begin, at)
}

/// An integer in its usual form, and where it ends.
#[inline]
fn integer(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = text.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let (value, count, end) = digits(text, first);
    let usual = (1..=MOST_DIGITS).contains(&count) && (text[first] != b'0' || (count == 1 && !negative));
    usual.then_some((if negative { -(value as i64) } else { value as i64 }, end))
}

/// A decimal of so few digits that it is rounded once, and so correctly; and where it ends.
#[inline]
fn decimal(text: &[u8], at: usize) -> Option<(f64, usize)> {
    let negative = text.get(at) == Some(&b'-');
    let (mut value, mut count, mut end) = digits(text, at + usize::from(negative));
    let mut places = 0;
    if count > 0 && text.get(end) == Some(&b'.') {
        let (fraction, digits, after) = digits(text, end + 1);
        (places, count, end) = (digits, count + digits, after);
        if digits == 0 || count > EXACT_DIGITS {
            return None;
        }
        value = value * 10_u64.pow(digits as u32) + fraction;
    }
    if !(1..=EXACT_DIGITS).contains(&count) {
        return None;
    }
    let size = value as f64 / POWERS[places];
    Some((if negative { -size } else { size }, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(cells: &[Cell]) -> PlainText {
        PlainText { delimiter: b',', cells: cells.to_vec(), first_line: 0 }
    }

    fn all(text: &str, cells: &[Cell]) -> Option<Rows> {
        layout(cells).rows(text.as_bytes(), 0, text.len(), true)
    }

    const PAIR: [Cell; 2] = [Cell::Integer(0), Cell::Integer(1)];

    #[test]
    fn lines_become_rows() {
        let expected = Rows { integers: vec![vec![1, -3], vec![20, 0]], decimals: vec![] };
        for text in ["1,20\n-3,0\n", "1,20\n-3,0", "1,20\r\n\r\n-3,0\r\n", "\n1,20\n\n-3,0\n"] {
            assert_eq!(
                all(text, &PAIR),
                Some(Rows { integers: expected.integers.clone(), decimals: vec![] }),
                "{text}"
            );
        }
        let some = [Cell::Integer(0), Cell::Skipped, Cell::Decimal(0)];
        let rows = all("7,ab c,3.5\n8,,-0.125\n", &some).unwrap();
        assert_eq!(rows, Rows { integers: vec![vec![7, 8]], decimals: vec![vec![3.5, -0.125]] });
    }

    #[test]
    fn what_is_not_plain_is_left_to_others() {
        for text in [
            "01,2\n",
            "-0,2\n",
            "+1,2\n",
            " 1,2\n",
            "1,2,3\n",
            "1\n",
            "1,\n",
            "1,2.0\n",
            "\"1\",2\n",
            "1,2\r3,4\n",
            "a,2\n",
            "1,1234567890123456789\n",
            "1,-\n",
        ] {
            assert_eq!(all(text, &PAIR), None, "{text}");
        }
        for text in [".5", "1.", "nan", "1e3", "1234567890.1234567", "1.5 ", "--1"] {
            assert_eq!(all(text, &[Cell::Decimal(0)]), None, "{text}");
        }
        assert_eq!(layout(&PAIR).rows(b"1,2\n3,4", 0, 7, false), None);
        assert_eq!(all("a\"b,1\n", &[Cell::Skipped, Cell::Integer(0)]), None);
    }

    proptest! {
        #[test]
        fn decimals_are_what_the_standard_library_reads(whole in 0_u32..100_000, fraction in "[0-9]{1,9}", sign in "-?") {
            let text = format!("{sign}{whole}.{fraction}");
            prop_assert_eq!(decimal(text.as_bytes(), 0), Some((text.parse().unwrap(), text.len())));
        }

        #[test]
        fn blocks_do_not_matter(
            pairs in prop::collection::vec((0_i64..100_000, -500_i64..500), 1..60),
            block in 1_usize..40,
            threads in 1_usize..4,
        ) {
            let lines: Vec<_> = pairs.iter().map(|(user, item)| format!("{user},{item}")).collect();
            let path = std::env::temp_dir().join(format!("fractalrs-plain-{}-{block}-{threads}", std::process::id()));
            std::fs::write(&path, format!("user,item\n{}", lines.join("\n"))).unwrap();
            let text = PlainText { first_line: 1, ..layout(&PAIR) };
            let rows = text.read(&path, block, threads, &Progress::default()).unwrap().unwrap();
            std::fs::remove_file(&path).unwrap();
            let found: Vec<_> = rows.iter()
                .flat_map(|rows| rows.integers[0].iter().copied().zip(rows.integers[1].iter().copied()))
                .collect();
            prop_assert_eq!(found, pairs);
        }

        #[test]
        fn any_bytes_are_read_alike_in_blocks_or_left_to_others(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                prop::collection::vec(prop::sample::select(b"0123456789-.,\r\n\"a".to_vec()), 0..200),
            ],
            cells in prop::collection::vec(0..3_usize, 1..4),
            (block, first_line) in (1_usize..50, 0_usize..3),
        ) {
            let mut counts = [0; 2];
            let cells: Vec<_> = cells.iter().map(|&kind| match kind {
                0 => { counts[0] += 1; Cell::Integer(counts[0] - 1) }
                1 => { counts[1] += 1; Cell::Decimal(counts[1] - 1) }
                _ => Cell::Skipped,
            }).collect();
            let path = std::env::temp_dir().join(format!("fractalrs-any-{}", std::process::id()));
            std::fs::write(&path, &text).unwrap();
            let layout = PlainText { first_line, ..layout(&cells) };
            let whole = layout.read(&path, 1 << 20, 1, &Progress::default()).unwrap().map(joined);
            let pieces = layout.read(&path, block, 2, &Progress::default()).unwrap().map(joined);
            std::fs::remove_file(&path).unwrap();
            prop_assert_eq!(whole, pieces);
        }
    }

    /// Rows of blocks, put together; decimals by their bits.
    fn joined(blocks: Vec<Rows>) -> Vec<Vec<u64>> {
        let mut found: Vec<Vec<u64>> = Vec::new();
        for rows in blocks {
            let bits = rows.integers.iter().map(|column| column.iter().map(|&value| value as u64).collect::<Vec<_>>());
            let bits =
                bits.chain(rows.decimals.iter().map(|column| column.iter().map(|value| value.to_bits()).collect()));
            for (number, column) in bits.enumerate() {
                found.resize_with(found.len().max(number + 1), Vec::new);
                found[number].extend(column);
            }
        }
        found
    }
}
