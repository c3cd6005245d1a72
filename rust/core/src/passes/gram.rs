//! Products of the train part A with dense blocks of vectors, in one pass over its rows.

use std::ops::{AddAssign, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::cursor::Row;
use super::rows::{StreamedMatrix, Workers, fold, visit};
use crate::error::Error;
use crate::memory::prefetch;
use crate::threads::on_threads;

/// How many interactions ahead rows of a block of vectors are asked for.
const AHEAD: usize = 16;
/// Users are taken together until there are so many of them, or of their interactions.
const BATCH_USERS: usize = 1 << 13;
const BATCH_INTERACTIONS: usize = 1 << 22;
/// Bytes of a block of vectors that are worked on at a time: they stay in a processor's second cache.
const WINDOW_BYTES: usize = 1 << 20;
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
fn ask<T>(vectors: &[T], width: usize, items: &[u32], number: usize) {
    if let Some(&far) = items.get(number + AHEAD) {
        prefetch(&vectors[far as usize * width]);
    }
}

/// How many items come before the first that is not below a bound.
fn leading(items: &[u32], bound: u32) -> usize {
    // Whole lanes at a time: nothing in them is a branch.
    let lanes = items.chunks_exact(LANES).take_while(|lane| lane.iter().fold(0, |most, &item| most.max(item)) < bound);
    let first = lanes.count() * LANES;
    let rest = &items[first..];
    first + rest.iter().position(|&item| item >= bound).unwrap_or(rest.len())
}

/// Rows taken together, so that a window of items is used by many of them while it is in cache.
struct Batch<T> {
    items: Vec<u32>,
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
        self.items.extend(items.iter().map(|&item| item as u32));
        self.ends.push(self.items.len());
        self.ends.len() == BATCH_USERS || self.items.len() >= BATCH_INTERACTIONS
    }

    /// Adds `AᵀA x` of the rows in the batch to y, and empties it.
    fn flush(&mut self, x: &[T], width: usize, y: &mut [T]) {
        self.sums.clear();
        self.sums.resize(self.ends.len() * width, T::default());
        self.windows(x.len(), width, |sum, items| gather(x, width, items, sum));
        self.windows(x.len(), width, |sum, items| scatter(y, width, items, sum));
        self.items.clear();
        self.ends.clear();
    }

    /// Hands `each` the interactions of one user after the other, window by window: its sum, and its items there.
    fn windows(&mut self, length: usize, width: usize, mut each: impl FnMut(&mut [T], &[u32])) {
        let window = (WINDOW_BYTES / (width * size_of::<T>()).max(1)).max(1);
        self.cursors.clear();
        self.cursors.push(0);
        self.cursors.extend_from_slice(&self.ends[..self.ends.len().saturating_sub(1)]);
        let mut last = 0;
        while last < length / width.max(1) {
            last += window;
            // Items rise by blocks; what comes out of order is taken in a later window, at the latest in the last one.
            let below = if last < length / width { Some(last as u32) } else { None };
            for ((cursor, &end), sum) in self.cursors.iter_mut().zip(&self.ends).zip(self.sums.chunks_exact_mut(width))
            {
                let rest = &self.items[*cursor..end];
                let here = below.map_or(rest.len(), |below| leading(rest, below));
                each(sum, &rest[..here]);
                *cursor += here;
            }
        }
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
    summed(matrix, sums, workers, Batch::new, each, |y, batch| batch.flush(x, width, y))
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
