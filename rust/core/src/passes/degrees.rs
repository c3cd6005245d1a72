//! One pass over all rows: degrees of users, items and blocks, and everything that must hold exactly.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU32, Ordering};

use super::cursor::Row;
use super::rows::{StreamedMatrix, Workers, fold};
use crate::base::Split;
use crate::error::Error;
use crate::expansion::Numbering;
use crate::memory::prefetch;

/// A bit for each of so many items at most tells which a user has; the items of larger matrices are sorted.
const MOST_BITS: usize = 1 << 23;
/// How many interactions ahead counts of items are asked for.
const AHEAD: usize = 16;

/// What the pass needs to know of the matrix's blocks.
#[derive(Clone, Copy)]
pub struct Blocks<'n> {
    pub base_users: u64,
    pub base_items: u64,
    /// What tells of items the places in their blocks, where ids do not.
    pub numbering: Option<&'n Numbering>,
    /// A user's items rise; otherwise only their column blocks do.
    pub order_by_item: bool,
    /// Bins of one block in the density picture: users, items.
    pub bins: (u64, u64),
    /// Whether interactions of each item are counted, which takes 16 bytes an item and thread.
    pub each_item: bool,
}

/// How often something that must not be was seen, and the first place: user and item.
#[derive(Clone, Copy, Debug, Default)]
pub struct Violations {
    pub count: u64,
    pub first: Option<(i64, i64)>,
}

impl Violations {
    fn note(&mut self, user: u64, item: i64) {
        self.count += 1;
        let here = (user as i64, item);
        self.first = Some(self.first.map_or(here, |first| first.min(here)));
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.into_iter().chain(other.first).min();
    }
}

/// The names of what must not be, in the order of [`Degrees::violations`].
pub const VIOLATIONS: [&str; 5] = ["out_of_range", "user_order", "item_order", "duplicates", "overlaps"];
const OUT_OF_RANGE: usize = 0;
const USER_ORDER: usize = 1;
const ITEM_ORDER: usize = 2;
const DUPLICATES: usize = 3;
const OVERLAPS: usize = 4;

/// What the pass finds. Block arrays are row-major, m × n; item arrays are empty where items are not counted.
#[derive(Default)]
pub struct Degrees {
    /// Of each split: of users, of items, and of blocks.
    pub users: [Vec<u32>; 3],
    pub items: [Vec<u32>; 3],
    /// For each item, the train degrees of its train users added up.
    pub item_user_degree: Vec<u64>,
    pub blocks: [Vec<u64>; 3],
    pub density: Vec<u64>,
    pub violations: [Violations; 5],
}

/// What one thread counts, users left out.
struct State {
    degrees: Degrees,
    piece: usize,
    last_user: Option<u64>,
    sorted: Vec<i64>,
    /// The places of a row's items, by split, where they are not the items.
    places: [Vec<i64>; 3],
    /// A bit for each item, none of them set between rows; empty where there are too many items.
    seen: Vec<u64>,
}

pub fn degrees(matrix: &StreamedMatrix, blocks: &Blocks, workers: &Workers) -> Result<Degrees, Error> {
    let (users, items) = (matrix.users as usize, matrix.items as usize);
    let row_blocks = matrix.users.div_ceil(blocks.base_users) as usize;
    let column_blocks = matrix.items.div_ceil(blocks.base_items) as usize;
    let density_bins = row_blocks * column_blocks * (blocks.bins.0 * blocks.bins.1) as usize;
    // Each user belongs to one piece; where a damaged file has it in two, both add to it.
    let of_users = Split::ALL.map(|_| (0..users).map(|_| AtomicU32::new(0)).collect::<Vec<_>>());
    let counted = if blocks.each_item { items } else { 0 };
    let bytes = counted * (3 * size_of::<u32>() + size_of::<u64>());
    let new = || State {
        degrees: Degrees {
            items: Split::ALL.map(|_| vec![0; counted]),
            item_user_degree: vec![0; counted],
            blocks: Split::ALL.map(|_| vec![0; row_blocks * column_blocks]),
            density: vec![0; density_bins],
            ..Degrees::default()
        },
        piece: usize::MAX,
        last_user: None,
        sorted: Vec::new(),
        places: Default::default(),
        seen: vec![0; if items <= MOST_BITS { items.div_ceil(64) } else { 0 }],
    };
    let items_known = if items <= MOST_BITS { items } else { 0 };
    let states = fold(matrix, workers, bytes, new, |state, piece, row| {
        if state.piece != piece {
            state.piece = piece;
            state.last_user = None;
        }
        if state.last_user >= Some(row.user) {
            state.degrees.violations[USER_ORDER].note(row.user, row.all().next().unwrap_or(0));
        }
        state.last_user = Some(row.user);
        if !matrix.pieces[piece].contains(&row.user) {
            row.all().for_each(|item| state.degrees.violations[OUT_OF_RANGE].note(row.user, item));
            return Ok(());
        }
        for (split, degrees) in Split::ALL.into_iter().zip(&of_users) {
            degrees[row.user as usize].fetch_add(row.of(split).len() as u32, Ordering::Relaxed);
        }
        let mut buffers = std::mem::take(&mut state.places);
        let placed = blocks.placed(row, items as i64, &mut buffers);
        let known = |items: &[i64]| items.iter().all(|&item| item >= 0 && (item as usize) < items_known);
        if Split::ALL.into_iter().all(|split| known(row.of(split))) {
            state.check_known(row, placed, blocks);
        } else {
            state.check(row, placed, blocks);
        }
        state.add(row, placed, blocks, (items, column_blocks));
        state.places = buffers;
        Ok(())
    })?;
    // The arrays of one thread become those of all.
    let degrees = states.into_iter().map(|state| state.degrees).reduce(Degrees::add).unwrap_or_default();
    Ok(Degrees { users: of_users.map(|degrees| degrees.into_iter().map(AtomicU32::into_inner).collect()), ..degrees })
}

impl Blocks<'_> {
    /// A row with the places of its items; one that is out of range has none.
    fn placed<'r>(&self, row: Row<'r>, items: i64, places: &'r mut [Vec<i64>; 3]) -> Row<'r> {
        let Some(numbering) = self.numbering else { return row };
        for (split, places) in Split::ALL.into_iter().zip(&mut *places) {
            places.clear();
            places.extend_from_slice(row.of(split));
            for some in places.split_mut(|item| !(0..items).contains(item)) {
                numbering.place(some);
            }
        }
        let [train, valid, test] = places;
        Row { user: row.user, train, valid, test }
    }
}

impl Degrees {
    /// Adds what another thread found of items and blocks.
    fn add(mut self, other: Self) -> Self {
        self.items.iter_mut().zip(&other.items).for_each(|(all, some)| add(all, some));
        add(&mut self.item_user_degree, &other.item_user_degree);
        self.blocks.iter_mut().zip(&other.blocks).for_each(|(all, some)| add(all, some));
        add(&mut self.density, &other.density);
        self.violations.iter_mut().zip(other.violations).for_each(|(all, some)| all.add(some));
        self
    }
}

fn add<T: AddAssign + Copy>(all: &mut [T], some: &[T]) {
    all.iter_mut().zip(some).for_each(|(all, &some)| *all += some);
}

impl State {
    /// Looks for interactions that are out of order, twice in one split, or in two.
    fn check(&mut self, row: Row, placed: Row, blocks: &Blocks) {
        let by_item = blocks.order_by_item;
        let (ordered, width) = if by_item { (row, 1) } else { (placed, blocks.base_items as i64) };
        for split in Split::ALL {
            for (pair, &item) in ordered.of(split).windows(2).zip(row.of(split).iter().skip(1)) {
                if pair[1] < pair[0] && (by_item || pair[1] / width < pair[0] / width) {
                    self.degrees.violations[ITEM_ORDER].note(row.user, item);
                }
            }
        }
        self.check_twice(row.user, row.test, &[]);
        self.check_twice(row.user, row.valid, row.test);
        self.check_twice(row.user, row.train, row.valid);
        // The train items are the ones sorted last.
        for &item in row.test {
            if self.sorted.binary_search(&item).is_ok() {
                self.degrees.violations[OVERLAPS].note(row.user, item);
            }
        }
    }

    /// Sorts a split's items, and looks for those that are there twice, or that are in another split too.
    fn check_twice(&mut self, user: u64, items: &[i64], others: &[i64]) {
        let Self { sorted, degrees: Degrees { violations, .. }, .. } = self;
        sorted.clear();
        sorted.extend_from_slice(items);
        sorted.sort_unstable();
        for pair in sorted.windows(2).filter(|pair| pair[0] == pair[1]) {
            violations[DUPLICATES].note(user, pair[0]);
        }
        for &item in others.iter().filter(|item| sorted.binary_search(item).is_ok()) {
            violations[OVERLAPS].note(user, item);
        }
    }

    /// The same for items in range, without divisions and sorting.
    fn check_known(&mut self, row: Row, placed: Row, blocks: &Blocks) {
        let ordered = if blocks.order_by_item { row } else { placed };
        let (q, violations) = (blocks.base_items as i64, &mut self.degrees.violations);
        for split in Split::ALL {
            let (mut last, mut start) = (0, 0);
            for (&place, &item) in ordered.of(split).iter().zip(row.of(split)) {
                if place < last && (blocks.order_by_item || place < start) {
                    violations[ITEM_ORDER].note(row.user, item);
                }
                if place < start || place >= start + q {
                    start = place / q * q;
                }
                last = place;
            }
        }
        for &item in row.train {
            let (word, bit) = (&mut self.seen[item as usize / 64], 1 << (item % 64));
            if *word & bit != 0 {
                violations[DUPLICATES].note(row.user, item);
            }
            *word |= bit;
        }
        for &item in row.valid.iter().chain(row.test) {
            if self.seen[item as usize / 64] & (1 << (item % 64)) != 0 {
                violations[OVERLAPS].note(row.user, item);
            }
        }
        row.train.iter().for_each(|&item| self.seen[item as usize / 64] = 0);
        self.check_twice(row.user, row.valid, &[]);
        self.check_twice(row.user, row.test, row.valid);
    }

    fn add(&mut self, row: Row, placed: Row, blocks: &Blocks, (count, column_blocks): (usize, usize)) {
        let q = blocks.base_items as usize;
        let (i, within) = (row.user / blocks.base_users, row.user % blocks.base_users);
        let bins = (blocks.bins.0 as usize, blocks.bins.1 as usize);
        let user_bin = i as usize * bins.0 + within as usize * bins.0 / blocks.base_users as usize;
        let width = column_blocks * bins.1;
        let Degrees { items: of_items, item_user_degree, blocks: of_blocks, density, violations, .. } =
            &mut self.degrees;
        let first_block = i as usize * column_blocks;
        let density = &mut density[user_bin * width..][..width];
        let degree = row.train.len() as u64;
        // Items come block by block: dividing by the block's width is seldom needed.
        let (mut j, mut start) = (0, 0);
        for split in Split::ALL {
            let (items, sums) = (row.of(split), &mut of_items[split as usize]);
            let of_blocks = &mut of_blocks[split as usize][first_block..][..column_blocks];
            for (number, (&item, &place)) in items.iter().zip(placed.of(split)).enumerate() {
                if let Some(&far) = items.get(number + AHEAD)
                    && let (Some(sum), Some(degree)) = (sums.get(far as usize), item_user_degree.get(far as usize))
                {
                    prefetch(sum);
                    prefetch(degree);
                }
                let Some(item) = usize::try_from(item).ok().filter(|&item| item < count) else {
                    violations[OUT_OF_RANGE].note(row.user, item);
                    continue;
                };
                let place = place as usize;
                if place < start || place >= start + q {
                    j = place / q;
                    start = j * q;
                }
                of_blocks[j] += 1;
                if let Some(sum) = sums.get_mut(item) {
                    *sum += 1;
                }
                if split == Split::Train {
                    density[j * bins.1 + (place - start) * bins.1 / q] += 1;
                    if let Some(all) = item_user_degree.get_mut(item) {
                        *all += degree;
                    }
                }
            }
        }
    }
}
