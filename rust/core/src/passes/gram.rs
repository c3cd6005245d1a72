//! Products of the train part A with dense blocks of vectors, in one pass over its rows.

use std::ops::AddAssign;
use std::sync::Mutex;

use super::rows::{Row, Rows, check, fold};
use crate::error::Error;
use crate::memory::prefetch;
use crate::threads::Progress;

/// How many interactions ahead rows of a block of vectors are asked for.
const AHEAD: usize = 16;
/// Users are taken together until there are so many of them, or of their interactions.
const BATCH_USERS: usize = 1 << 13;
const BATCH_INTERACTIONS: usize = 1 << 22;
/// Bytes of a block of vectors that are worked on at a time: they stay in a processor's second cache.
const WINDOW_BYTES: usize = 1 << 20;

/// Numbers that can be added: `f32` or `f64`.
pub trait Real: Copy + Default + AddAssign + Send + Sync {}
impl Real for f32 {}
impl Real for f64 {}

fn add<T: Real>(sum: &mut [T], vector: &[T]) {
    sum.iter_mut().zip(vector).for_each(|(sum, &value)| *sum += value);
}

/// The rows of `x` that belong to `items`, added up.
fn gather<T: Real>(x: &[T], width: usize, items: &[i64], sum: &mut [T]) {
    sum.fill(T::default());
    for (number, &item) in items.iter().enumerate() {
        if let Some(&far) = items.get(number + AHEAD) {
            prefetch(&x[far as usize * width]);
        }
        add(sum, &x[item as usize * width..][..width]);
    }
}

/// `vector` added to the rows of `y` that belong to `items`.
fn scatter<T: Real>(y: &mut [T], width: usize, items: &[i64], vector: &[T]) {
    for (number, &item) in items.iter().enumerate() {
        if let Some(&far) = items.get(number + AHEAD) {
            prefetch(&y[far as usize * width]);
        }
        add(&mut y[item as usize * width..][..width], vector);
    }
}

/// Rows taken together, so that a window of items is used by many of them while it is in cache.
struct Batch<T> {
    items: Vec<i64>,
    ends: Vec<usize>,
    cursors: Vec<usize>,
    sums: Vec<T>,
}

impl<T: Real> Batch<T> {
    fn new() -> Self {
        Self { items: Vec::new(), ends: Vec::new(), cursors: Vec::new(), sums: Vec::new() }
    }

    /// Takes a row in; says whether the batch is full.
    fn push(&mut self, items: &[i64]) -> bool {
        self.items.extend_from_slice(items);
        self.ends.push(self.items.len());
        self.ends.len() == BATCH_USERS || self.items.len() >= BATCH_INTERACTIONS
    }

    /// Adds `AᵀA x` of the rows in the batch to y, and empties it.
    fn flush(&mut self, x: &[T], width: usize, y: &mut [T]) {
        self.sums.clear();
        self.sums.resize(self.ends.len() * width, T::default());
        self.windows(x.len(), width, |sum, item| add(sum, &x[item * width..][..width]));
        self.windows(x.len(), width, |sum, item| add(&mut y[item * width..][..width], sum));
        self.items.clear();
        self.ends.clear();
    }

    /// Hands `each` every interaction, window by window: the sum of its user, and its item.
    fn windows(&mut self, length: usize, width: usize, mut each: impl FnMut(&mut [T], usize)) {
        let window = (WINDOW_BYTES / (width * size_of::<T>()).max(1)).max(1);
        self.cursors.clear();
        self.cursors.push(0);
        self.cursors.extend_from_slice(&self.ends[..self.ends.len().saturating_sub(1)]);
        let mut last = 0;
        while last < length / width.max(1) {
            last += window;
            // Items rise by blocks; what comes out of order is taken in a later window, at the latest in the last one.
            let below = if last < length / width { last as i64 } else { i64::MAX };
            for ((cursor, &end), sum) in self.cursors.iter_mut().zip(&self.ends).zip(self.sums.chunks_exact_mut(width))
            {
                while *cursor < end && self.items[*cursor] < below {
                    each(sum, self.items[*cursor] as usize);
                    *cursor += 1;
                }
            }
        }
    }
}

/// Goes through all rows with one of the `sums` for each thread, and adds them up into the first. A thread has a state
/// beside its sum, which `finish` takes at the end.
fn summed<T: Real, S: Send>(
    rows: &dyn Rows,
    sums: &mut [&mut [T]],
    progress: &Progress,
    new: impl Fn() -> S + Sync,
    each: impl Fn(&mut [T], &mut S, Row) + Sync,
    finish: impl Fn(&mut [T], S),
) -> Result<(), Error> {
    let threads = sums.len();
    let free = Mutex::new(sums.iter_mut().map(|sum| &mut **sum));
    let begin = || (free.lock().ok().and_then(|mut free| free.next()).unwrap_or_default(), new());
    let states = fold(rows, threads, progress, begin, |(sum, state), _, row| {
        check(rows, row)?;
        each(sum, state, row);
        Ok(())
    })?;
    for (sum, state) in states {
        finish(sum, state);
    }
    if let Some((all, others)) = sums.split_first_mut() {
        for some in others {
            add(all, some);
        }
    }
    Ok(())
}

/// Adds `AᵀA x` to the first of the `sums`, for x with one row of `width` numbers per item. There is one sum per thread,
/// all of them zero, as large as x.
pub fn gram<T: Real>(
    rows: &dyn Rows,
    x: &[T],
    width: usize,
    sums: &mut [&mut [T]],
    progress: &Progress,
) -> Result<(), Error> {
    let each = |y: &mut [T], batch: &mut Batch<T>, row: Row| {
        if batch.push(row.train) {
            batch.flush(x, width, y);
        }
    };
    summed(rows, sums, progress, Batch::new, each, |y, mut batch| batch.flush(x, width, y))
}

/// Writes A x to y, for x with one row of `width` numbers per item: one row per user.
pub fn product<T: Real>(
    rows: &dyn Rows,
    x: &[T],
    width: usize,
    y: &mut [T],
    threads: usize,
    progress: &Progress,
) -> Result<(), Error> {
    // Each piece has a range of users, and so a part of the result, of its own.
    let mut rest = y;
    let mut parts = Vec::new();
    let mut first = 0;
    for piece in rows.pieces() {
        if piece.start != first {
            return Err(Error::Invalid("the pieces of the data set do not follow each other".to_owned()));
        }
        let (part, others) = rest.split_at_mut((piece.end - first) as usize * width);
        parts.push(Mutex::new(part));
        (rest, first) = (others, piece.end);
    }
    fold(
        rows,
        threads,
        progress,
        || vec![T::default(); width],
        |sum, piece, row| {
            check(rows, row)?;
            gather(x, width, row.train, sum);
            let mut part = parts[piece].lock().map_err(|_| Error::Panicked)?;
            let place = row.user.checked_sub(rows.pieces()[piece].start).map(|place| place as usize * width);
            match place.and_then(|place| part.get_mut(place..place + width)) {
                Some(part) => part.copy_from_slice(sum),
                None => return Err(Error::Invalid(format!("user {} is in a part of other users", row.user))),
            }
            Ok(())
        },
    )?;
    Ok(())
}

/// Adds Aᵀ x to the first of the `sums`, for x with one row of `width` numbers per user; the sums as for [`gram`].
pub fn transposed_product<T: Real>(
    rows: &dyn Rows,
    x: &[T],
    width: usize,
    sums: &mut [&mut [T]],
    progress: &Progress,
) -> Result<(), Error> {
    let each = |y: &mut [T], (): &mut (), row: Row| {
        scatter(y, width, row.train, &x[row.user as usize * width..][..width]);
    };
    summed(rows, sums, progress, || (), each, |_, ()| ())
}
