//! Lines of text: columns side by side, numbers in decimals.

/// A column of a table.
#[derive(Clone, Copy)]
pub enum TextColumn<'c> {
    Int32(&'c [i32]),
    Int64(&'c [i64]),
    /// Texts one after the other, and where each begins (one more than texts).
    Texts {
        starts: &'c [i32],
        bytes: &'c [u8],
    },
}

impl TextColumn<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Int32(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::Texts { starts, .. } => starts.len().saturating_sub(1),
        }
    }

    /// Whether there are so many values, and texts are where they begin.
    fn fits(&self, rows: usize) -> bool {
        let whole = match self {
            Self::Texts { starts, bytes } => {
                starts.windows(2).all(|pair| pair[0] <= pair[1])
                    && starts.first().is_none_or(|&first| first >= 0)
                    && starts.last().is_none_or(|&last| last as usize <= bytes.len())
            }
            _ => true,
        };
        whole && self.len() == rows
    }
}

/// The two digits of every number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};
/// The longest number, its sign and what follows it.
const LONGEST: usize = 21;

/// Returns a line for each row, its values divided by a delimiter; nothing where columns do not fit each other.
#[must_use]
pub fn lines(columns: &[TextColumn], delimiter: u8) -> Option<Vec<u8>> {
    let rows = columns.first()?.len();
    if !columns.iter().all(|column| column.fits(rows)) {
        return None;
    }
    let mut text = Vec::with_capacity(rows * 9 * columns.len());
    for row in 0..rows {
        for column in columns {
            match column {
                TextColumn::Int32(values) => write(&mut text, i64::from(values[row]), delimiter),
                TextColumn::Int64(values) => write(&mut text, values[row], delimiter),
                TextColumn::Texts { starts, bytes } => {
                    text.extend_from_slice(&bytes[starts[row] as usize..starts[row + 1] as usize]);
                    text.push(delimiter);
                }
            }
        }
        if let Some(last) = text.last_mut() {
            *last = b'\n';
        }
    }
    Some(text)
}

/// Appends a number and a delimiter.
fn write(text: &mut Vec<u8>, number: i64, delimiter: u8) {
    let mut digits = [delimiter; LONGEST];
    let (mut place, mut rest) = (LONGEST - 1, number.unsigned_abs());
    while rest >= 100 {
        place -= 2;
        digits[place..place + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    place -= 2;
    digits[place..place + 2].copy_from_slice(&PAIRS[rest as usize]);
    if rest < 10 {
        place += 1;
    }
    if number < 0 {
        place -= 1;
        digits[place] = b'-';
    }
    text.extend_from_slice(&digits[place..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_the_standard_library_writes_them() {
        let mut numbers = vec![0, 5, 9, 10, 99, 100, 101, 999, 1000, i64::MAX, i64::MIN, -1, -10, -99, -100];
        numbers.extend((0..62).flat_map(|bit| [(1_i64 << bit) - 1, 1 << bit, -(1_i64 << bit)]));
        let narrow: Vec<_> = numbers.iter().map(|&number| number as i32).collect();
        let found = lines(&[TextColumn::Int64(&numbers), TextColumn::Int32(&narrow)], b',');
        let expected: Vec<_> = numbers.iter().zip(&narrow).map(|(one, other)| format!("{one},{other}\n")).collect();
        assert_eq!(found, Some(expected.concat().into_bytes()));
    }

    #[test]
    fn texts_stand_as_they_are_and_must_fit() {
        let texts = TextColumn::Texts { starts: &[1, 3, 3], bytes: b"xab" };
        let found = lines(&[TextColumn::Int32(&[7, -8]), texts], b'\t');
        assert_eq!(found.as_deref(), Some(&b"7\tab\n-8\t\n"[..]));
        assert_eq!(lines(&[TextColumn::Int32(&[7]), texts], b'\t'), None);
        assert_eq!(lines(&[TextColumn::Texts { starts: &[0, 4], bytes: b"xab" }], b','), None);
        assert_eq!(lines(&[], b','), None);
    }
}
