//! What the blocks of a tile keep: gathered block by block, read user by user.

use crate::base::Code;
use crate::expansion::{Draws, GapTable, RowDraws};
use crate::memory::{Ahead, Scratch, prefetch_lines};

/// How many rows ahead entries are asked for, and how many cache lines of each, however long it is: the hardware follows
/// a sequential read by itself, and the end of a loop of fixed length is never guessed wrong.
const PREFETCH_ROWS: usize = 8;
const PREFETCH_LINES: usize = 4;
/// Entries are copied so many at a time, mostly all that a block keeps of a row.
pub const CHUNK: usize = 32;
/// So many where a block keeps no more.
const SMALL_CHUNK: usize = 8;

/// What one block reads for one user of the tile.
#[derive(Clone, Copy)]
pub struct Visit {
    pub draws: RowDraws,
    /// Where its source row begins in the layout, and how long it is.
    pub start: usize,
    pub length: usize,
}

/// What one block reads among `codes` for the users of the tile, and what decides what it keeps.
pub struct Reading<'r, C> {
    pub codes: &'r [C],
    pub visits: &'r [Visit],
    pub gaps: &'r GapTable,
    pub draws: Draws,
    /// What the next block needs of its tables, in a share for each visit.
    pub next_columns: Ahead<'r, C>,
    pub next_gaps: Ahead<'r, u8>,
}

/// Kept entries, block by block and user by user.
#[derive(Default)]
pub struct Kept<C> {
    /// Whether it matters which entries they are.
    carrying: bool,
    users: usize,
    /// How many there are; the arrays are longer, by a chunk at least.
    count: usize,
    /// Their columns, with what says that they are held out.
    codes: Scratch<C>,
    /// Where they stand in the layout.
    entries: Scratch<u32>,
    /// By block and user.
    ends: Vec<End>,
    /// By block: where those of the next user begin.
    cursors: Vec<usize>,
}

/// Where what one block keeps for one user ends, and whether any of it is held out.
struct End {
    place: u32,
    has_test: bool,
}

/// What one block keeps for one user.
#[derive(Clone, Copy)]
pub struct KeptSlice {
    start: usize,
    end: usize,
    pub has_test: bool,
}

impl KeptSlice {
    pub fn len(self) -> usize {
        self.end - self.start
    }
}

impl<C: Code> Kept<C> {
    pub fn new(carrying: bool) -> Self {
        Self { carrying, ..Self::default() }
    }

    pub fn carrying(&self) -> bool {
        self.carrying
    }

    /// Begins with other users.
    pub fn clear(&mut self, users: usize) {
        self.users = users;
        self.count = 0;
        self.ends.clear();
        self.cursors.clear();
    }

    /// Adds what one block keeps, every item turned into its column.
    pub fn add(&mut self, reading: &Reading<C>, column: impl Fn(C) -> C) {
        self.cursors.push(self.count);
        if self.carrying {
            self.add_rows::<true>(reading, column);
        } else {
            self.add_rows::<false>(reading, column);
        }
    }

    fn add_rows<const CARRYING: bool>(&mut self, reading: &Reading<C>, column: impl Fn(C) -> C) {
        let &Reading { codes, visits, gaps, draws, next_columns, next_gaps } = reading;
        for (number, visit) in visits.iter().enumerate() {
            next_columns.ask(number);
            next_gaps.ask(number);
            if let Some(far) = visits.get(number + PREFETCH_ROWS) {
                prefetch_lines(codes, far.start, PREFETCH_LINES);
            }
            let row = &codes[visit.start..][..visit.length];
            let room = self.count + row.len() + CHUNK;
            let kept = &mut self.codes.set_length(room)[self.count..][..row.len()];
            let entries = if CARRYING { &mut self.entries.set_length(room)[self.count..] } else { &mut [] };
            let (mut count, mut all) = (0, C::default());
            gaps.keep(draws, visit.draws, row, |place, code| {
                all = all.or(code);
                kept[count] = code.with_item(column(code));
                if CARRYING {
                    entries[count] = (visit.start + place) as u32;
                }
                count += 1;
            });
            self.count += count;
            debug_assert!(u32::try_from(self.count).is_ok(), "a tile is far smaller, and no user has so many");
            self.ends.push(End { place: self.count as u32, has_test: all.is_test() });
        }
    }

    /// Finds what each block keeps for a user: to be called once, user by user.
    pub fn slices(&mut self, user: usize, slices: &mut Vec<KeptSlice>) {
        slices.clear();
        let Self { users, ends, cursors, .. } = self;
        // Where no block exists there are none.
        let of_user = ends.get(user..).unwrap_or_default().iter().step_by(*users);
        slices.extend(cursors.iter_mut().zip(of_user).map(|(cursor, &End { place, has_test })| {
            let end = place as usize;
            KeptSlice { start: std::mem::replace(cursor, end), end, has_test }
        }));
    }

    /// The codes of a slice.
    pub fn codes(&self, slice: KeptSlice) -> &[C] {
        &self.codes[slice.start..slice.end]
    }

    /// Where the kept entries of a slice stand in the layout.
    pub fn entries(&self, slice: KeptSlice) -> &[u32] {
        &self.entries[slice.start..slice.end]
    }

    /// Writes what `map` makes of the codes of a slice to the front of `target`, and some junk after them: `target` has
    /// room for a chunk more.
    #[inline]
    pub fn copy_codes<T>(&self, slice: KeptSlice, target: &mut [T], map: impl Fn(C) -> T) {
        if slice.len() <= SMALL_CHUNK {
            return copy::<SMALL_CHUNK, C, T>(&self.codes[slice.start..], target, map);
        }
        for done in (0..slice.len()).step_by(CHUNK) {
            copy::<CHUNK, C, T>(&self.codes[slice.start + done..], &mut target[done..], &map);
        }
    }

    /// Makes test interactions of the items in a slice for which `is_test` says so.
    pub fn mark(&mut self, slice: &mut KeptSlice, is_test: impl Fn(u32) -> bool) {
        for code in &mut self.codes[slice.start..slice.end] {
            if is_test(code.item()) {
                *code = C::new(code.item(), true);
            }
            slice.has_test |= code.is_test();
        }
    }

    /// Leaves in a slice what `stays`, told whether it is a test interaction.
    pub fn retain(&mut self, slice: &mut KeptSlice, mut stays: impl FnMut(bool) -> bool) {
        let mut end = slice.start;
        for number in slice.start..slice.end {
            if stays(self.codes[number].is_test()) {
                self.codes[end] = self.codes[number];
                if self.carrying {
                    self.entries[end] = self.entries[number];
                }
                end += 1;
            }
        }
        slice.end = end;
    }
}

/// Writes what `map` makes of the first `COUNT` codes, a number that the compiler knows.
#[inline]
fn copy<const COUNT: usize, C: Code, T>(codes: &[C], target: &mut [T], map: impl Fn(C) -> T) {
    for (target, &code) in target[..COUNT].iter_mut().zip(&codes[..COUNT]) {
        *target = map(code);
    }
}
