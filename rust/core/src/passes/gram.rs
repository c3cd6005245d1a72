//! Products of the train part A with dense blocks of vectors, in one pass over its rows.

#![allow(clippy::inline_always)] // What is not inlined is not widened.

use std::ops::{AddAssign, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::cursor::Row;
use super::rows::{StreamedMatrix, Workers, fold, visit};
use crate::error::Error;
use crate::memory::{Loop, prefetch, widened};
use crate::threads::on_threads;

/// How many interactions ahead rows of a block of vectors are asked for.
const AHEAD: usize = 16;
/// Users are taken together until there are so many of them, or of their interactions.
const BATCH_USERS: usize = 1 << 13;
const BATCH_INTERACTIONS: usize = 1 << 22;
/// Bytes of a block of vectors that are worked on at a time: they stay in a processor's caches, and each user has some items
/// there.
const WINDOW_BYTES: usize = 1 << 21;
/// How long a sum waits for those before it until it looks whether the call was cancelled.
const PATIENCE: Duration = Duration::from_millis(50);

/// Pieces are added up in so many groups at most, each in a sum of its own.
const GROUPS: u64 = 64;
/// A group has so many interactions for each item, that adding its sum to the others hardly matters. There are two groups
/// with fewer, unless an item has very few.
const GROUP_INTERACTIONS: u64 = 32;
const FEW_INTERACTIONS: u64 = 8;

/// Numbers that can be added: `f32` or `f64`.
pub trait Real: Copy + Default + AddAssign + Send + Sync {}
impl Real for f32 {}
impl Real for f64 {}

#[inline(always)]
fn add<T: Real>(sum: &mut [T], vector: &[T]) {
    sum.iter_mut().zip(vector).for_each(|(sum, &value)| *sum += value);
}

/// Refuses a matrix whose items have no codes of 32 bits: no vectors of so many items are in memory.
fn check_items(matrix: &StreamedMatrix) -> Result<(), Error> {
    let fits = u32::try_from(matrix.items).is_ok();
    if fits { Ok(()) } else { Err(Error::Invalid("the matrix has too many items for products".to_owned())) }
}

/// Writes items that were checked as codes of 32 bits.
fn narrow(items: &[i64], codes: &mut Vec<u32>) {
    codes.clear();
    codes.extend(items.iter().map(|&item| item as u32));
}

/// So many vectors at a time stay in registers.
const LANES: usize = 16;

/// Adds the rows of `x` that belong to `items` to `sum`, in their order.
#[inline(always)]
fn gather<T: Real>(x: &[T], width: usize, items: &[u32], sum: &mut [T]) {
    if let Ok(sum) = <&mut [T; LANES]>::try_from(&mut *sum) {
        // The compiler keeps a copy of known length in registers.
        let mut own = *sum;
        for (number, &item) in items.iter().enumerate() {
            ask(x, LANES, items, number);
            let row: &[T] = &x[item as usize * LANES..][..LANES];
            own.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value);
        }
        *sum = own;
        return;
    }
    for (number, &item) in items.iter().enumerate() {
        ask(x, width, items, number);
        add(sum, &x[item as usize * width..][..width]);
    }
}

/// Adds `vector` to the rows of `y` that belong to `items`.
#[inline(always)]
fn scatter<T: Real>(y: &mut [T], width: usize, items: &[u32], vector: &[T]) {
    if let Ok(vector) = <&[T; LANES]>::try_from(vector) {
        let own = *vector;
        for (number, &item) in items.iter().enumerate() {
            ask(y, LANES, items, number);
            let row: &mut [T] = &mut y[item as usize * LANES..][..LANES];
            row.iter_mut().zip(own).for_each(|(sum, value)| *sum += value);
        }
        return;
    }
    for (number, &item) in items.iter().enumerate() {
        ask(y, width, items, number);
        add(&mut y[item as usize * width..][..width], vector);
    }
}

/// Asks for the row of an item some way ahead.
#[inline(always)]
fn ask<T>(vectors: &[T], width: usize, items: &[u32], number: usize) {
    if let Some(&far) = items.get(number + AHEAD) {
        prefetch(&vectors[far as usize * width]);
    }
}

/// Rows taken together, window by window of items: a window of vectors is used by many rows while it is in cache, and
/// what is read of the rows lies side by side.
struct Batch<T> {
    users: usize,
    windows: Vec<Window>,
    sums: Vec<T>,
}

/// What the rows of a batch have in a window of items.
struct Window {
    /// The first item beyond it.
    end: i64,
    items: Vec<u32>,
    /// User by user, how many of them there are.
    counts: Vec<u32>,
}

impl<T: Real> Batch<T> {
    fn new(length: usize, width: usize) -> Self {
        let (items, most) = (length / width.max(1), WINDOW_BYTES / (width * size_of::<T>()).max(1));
        let ends = (0..items).step_by(most.max(1)).map(|first| (first + most.max(1)) as i64);
        let windows = ends.map(|end| Window { end, items: Vec::new(), counts: Vec::new() }).collect();
        Self { users: 0, windows, sums: Vec::new() }
    }

    /// Takes a row in; says whether the batch is full.
    fn push(&mut self, mut row: &[i64]) -> bool {
        let (mut taken, last) = (0, self.windows.len() - 1);
        for (number, window) in self.windows.iter_mut().enumerate() {
            // Items rise. Those in the order of time are taken in whatever window, only more slowly.
            let (here, rest) = row.split_at(if number < last { before(row, window.end) } else { row.len() });
            window.items.extend(here.iter().map(|&item| item as u32));
            window.counts.push(here.len() as u32);
            taken += window.items.len();
            row = rest;
        }
        self.users += 1;
        self.users == BATCH_USERS || taken >= BATCH_INTERACTIONS
    }

    /// Adds `AᵀA x` of the rows in the batch to y, and empties it.
    fn flush(&mut self, x: &[T], width: usize, y: &mut [T]) {
        widened(Flush { batch: self, x, width, y });
    }
}

/// How many items come before `end`, if they rise: many are compared at a time.
fn before(items: &[i64], end: i64) -> usize {
    let mut count = 0;
    for some in items.chunks(LANES) {
        let here = some.iter().filter(|&&item| item < end).count();
        count += here;
        if here < some.len() {
            break;
        }
    }
    count
}

/// Empties a batch.
struct Flush<'f, T> {
    batch: &'f mut Batch<T>,
    x: &'f [T],
    width: usize,
    y: &'f mut [T],
}

impl<T: Real> Loop for Flush<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self { batch: Batch { users, windows, sums }, x, width, y } = self;
        sums.clear();
        sums.resize(*users * width, T::default());
        for window in &*windows {
            for (sum, items) in window.users(sums, width) {
                gather(x, width, items, sum);
            }
        }
        for window in windows {
            for (sum, items) in window.users(sums, width) {
                scatter(y, width, items, sum);
            }
            window.items.clear();
            window.counts.clear();
        }
        *users = 0;
    }
}

impl Window {
    /// The sum of one user after the other, and the items that it has here.
    #[inline(always)]
    fn users<'w, T>(&'w self, sums: &'w mut [T], width: usize) -> impl Iterator<Item = (&'w mut [T], &'w [u32])> {
        let mut rest = self.items.as_slice();
        self.counts.iter().zip(sums.chunks_exact_mut(width)).map(move |(&count, sum)| {
            let here;
            (here, rest) = rest.split_at(count as usize);
            (sum, here)
        })
    }
}

/// Contiguous pieces that are added up in their order, on one thread.
///
/// Sums of floating-point numbers depend on their order. So the groups depend on the matrix alone, whatever the number of
/// threads, and their sums are added to the total in the order of the groups.
pub struct Groups {
    count: usize,
    pieces: usize,
}

impl Groups {
    /// The groups of a matrix with about so many interactions.
    #[must_use]
    pub fn new(interactions: u64, items: u64, pieces: usize) -> Self {
        let each_item = interactions / items.max(1);
        let most = (each_item / GROUP_INTERACTIONS).max(if each_item < FEW_INTERACTIONS { 1 } else { 2 });
        // With powers of two, as many threads have the same to do.
        let count = 1 << most.min(GROUPS).min(pieces.max(1) as u64).ilog2();
        Self { count, pieces }
    }

    /// How many sums of so many bytes [`gram`] and [`transposed_product`] need.
    #[must_use]
    pub fn sums_needed(&self, threads: usize, memory: usize, bytes: usize) -> usize {
        self.count.min(self.threads(threads, memory, bytes) + 1)
    }

    fn pieces(&self, group: usize) -> Range<usize> {
        group * self.pieces / self.count..(group + 1) * self.pieces / self.count
    }

    /// On how many threads they are added up: each has a sum, and so has the total.
    fn threads(&self, threads: usize, memory: usize, bytes: usize) -> usize {
        let sums = memory / bytes.max(1);
        // The first group is added up in the total itself.
        let most = if sums < self.count { sums.saturating_sub(1) } else { self.count };
        threads.min(most).max(1)
    }
}

/// Adds all rows up into the first of the `sums`, group by group: `each` adds a row to a sum, with a state that `finish`
/// takes at the end of each group.
fn summed<T: Real, S>(
    matrix: &StreamedMatrix,
    sums: &mut [&mut [T]],
    workers: &Workers,
    new: impl Fn() -> S + Sync,
    each: impl Fn(&mut [T], &mut S, Row) + Sync,
    finish: impl Fn(&mut [T], &mut S) + Sync,
) -> Result<(), Error> {
    check_items(matrix)?;
    let groups = Groups::new(matrix.interactions, matrix.items, matrix.pieces.len());
    let bytes = sums.first().map_or(0, |sum| size_of_val(*sum));
    let threads = groups.threads(workers.threads, workers.memory, bytes);
    let Some((total, spare)) = sums.split_first_mut() else { return Ok(()) };
    let total = Total { sum: Mutex::new((0, &mut **total)), added: Condvar::new() };
    let spare = Mutex::new(spare.iter_mut().map(|sum| &mut **sum).collect::<Vec<_>>());
    let next = AtomicUsize::new(0);
    on_threads(threads, workers.progress, || {
        let (mut state, mut reader) = (new(), matrix.reader());
        let mut add_up = |group: usize, sum: &mut [T]| {
            for piece in groups.pieces(group) {
                visit(&mut reader, piece, workers.progress, &mut |row| {
                    matrix.check(row)?;
                    each(sum, &mut state, row);
                    Ok(())
                })?;
            }
            finish(sum, &mut state);
            Ok(())
        };
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            if group >= groups.count {
                return Ok(());
            }
            if group == 0 {
                total.begin(|sum| add_up(group, sum))?;
                continue;
            }
            let taken = spare.lock().map_err(|_| Error::Panicked)?.pop();
            let sum = taken.ok_or(Error::Panicked)?;
            add_up(group, sum)?;
            total.add(group, sum, workers)?;
            spare.lock().map_err(|_| Error::Panicked)?.push(sum);
        }
    })?;
    Ok(())
}

/// The sum of the first groups, and how many they are.
struct Total<'s, T> {
    sum: Mutex<(usize, &'s mut [T])>,
    added: Condvar,
}

impl<T: Real> Total<'_, T> {
    /// Adds the first group up.
    fn begin(&self, add_up: impl FnOnce(&mut [T]) -> Result<(), Error>) -> Result<(), Error> {
        let mut total = self.sum.lock().map_err(|_| Error::Panicked)?;
        add_up(total.1)?;
        total.0 = 1;
        self.added.notify_all();
        Ok(())
    }

    /// Adds a group's sum when it is its turn, and clears it for another group.
    fn add(&self, group: usize, sum: &mut [T], workers: &Workers) -> Result<(), Error> {
        let mut total = self.sum.lock().map_err(|_| Error::Panicked)?;
        while total.0 < group {
            // A thread that failed does not say so here.
            total = self.added.wait_timeout(total, PATIENCE).map_err(|_| Error::Panicked)?.0;
            workers.progress.advance(0)?;
        }
        for (total, value) in total.1.iter_mut().zip(sum) {
            *total += std::mem::take(value);
        }
        total.0 += 1;
        self.added.notify_all();
        Ok(())
    }
}

/// Adds `AᵀA x` to the first of the `sums`, for x with one row of `width` numbers per item. All sums are zero and as large
/// as x; there are as many as [`Groups::sums_needed`] says.
pub fn gram<T: Real>(
    matrix: &StreamedMatrix,
    x: &[T],
    width: usize,
    sums: &mut [&mut [T]],
    workers: &Workers,
) -> Result<(), Error> {
    let each = |y: &mut [T], batch: &mut Batch<T>, row: Row| {
        if batch.push(row.train) {
            batch.flush(x, width, y);
        }
    };
    summed(matrix, sums, workers, || Batch::new(x.len(), width), each, |y, batch| batch.flush(x, width, y))
}

/// Writes A x to y, for x with one row of `width` numbers per item: one row per user.
pub fn product<T: Real>(
    matrix: &StreamedMatrix,
    x: &[T],
    width: usize,
    y: &mut [T],
    workers: &Workers,
) -> Result<(), Error> {
    check_items(matrix)?;
    // Each piece has a range of users, and so a part of the result, of its own.
    let mut rest = y;
    let mut parts = Vec::new();
    let mut first = 0;
    for piece in matrix.pieces {
        if piece.start != first {
            return Err(Error::Invalid("the pieces of the data set do not follow each other".to_owned()));
        }
        let (part, others) = rest.split_at_mut((piece.end - first) as usize * width);
        parts.push(Mutex::new(part));
        (rest, first) = (others, piece.end);
    }
    let new = || (vec![T::default(); width], Vec::new());
    fold(matrix, workers, 0, new, |(sum, items), piece, row| {
        matrix.check(row)?;
        sum.fill(T::default());
        narrow(row.train, items);
        gather(x, width, items, sum);
        let mut part = parts[piece].lock().map_err(|_| Error::Panicked)?;
        let place = row.user.checked_sub(matrix.pieces[piece].start).map(|place| place as usize * width);
        match place.and_then(|place| part.get_mut(place..place + width)) {
            Some(part) => part.copy_from_slice(sum),
            None => return Err(Error::Invalid(format!("user {} is in a part of other users", row.user))),
        }
        Ok(())
    })?;
    Ok(())
}

/// Adds Aᵀ x to the first of the `sums`, for x with one row of `width` numbers per user; the sums as for [`gram`].
pub fn transposed_product<T: Real>(
    matrix: &StreamedMatrix,
    x: &[T],
    width: usize,
    sums: &mut [&mut [T]],
    workers: &Workers,
) -> Result<(), Error> {
    let each = |y: &mut [T], items: &mut Vec<u32>, row: Row| {
        narrow(row.train, items);
        scatter(y, width, items, &x[row.user as usize * width..][..width]);
    };
    summed(matrix, sums, workers, Vec::new, each, |_, _| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_before_a_window_ends_are_counted() {
        for count in [0, 1, 15, 16, 17, 33] {
            let items: Vec<i64> = (0..count).map(|item| 3 * item).collect();
            for end in -1..3 * count + 4 {
                assert_eq!(before(&items, end), items.iter().filter(|&&item| item < end).count());
            }
        }
    }

    #[test]
    fn windows_add_up_to_the_product() {
        let (items, width) = (100_000_i64, LANES);
        let rows: Vec<Vec<i64>> = (1..60).map(|step| (0..items).step_by(step * step * 97).collect()).collect();
        // One in the order of time.
        let rows = [rows, vec![vec![99_999, 5, 40_000, 70_000, 6]]].concat();
        let x: Vec<f64> = (0..items as usize * width).map(|place| (place * 7 % 11) as f64 - 5.0).collect();
        let (mut y, mut batch) = (vec![0.0; x.len()], Batch::new(x.len(), width));
        assert!(batch.windows.len() > 3);
        for row in &rows {
            assert!(!batch.push(row));
        }
        batch.flush(&x, width, &mut y);
        let mut expected = vec![0.0; x.len()];
        for row in &rows {
            for lane in 0..width {
                let at = |&item: &i64| item as usize * width + lane;
                let sum: f64 = row.iter().map(|item| x[at(item)]).sum();
                for item in row {
                    expected[at(item)] += sum;
                }
            }
        }
        assert_eq!(y, expected);
    }
}
