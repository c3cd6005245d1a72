//! What a base says of its users and items: how many interactions they have, and in its train part what they see of each
//! other; and the same matrix in another order.

use std::ops::Range;

use super::base::{Base, ITEM, Split, TEST};
use crate::algebra::Sparse;
use crate::error::Error;
use crate::threads::{along, on_pieces, runs_of, threads_for};

/// A matrix of ones in CSR form, and its transpose; columns rise inside each row.
pub struct Ordered {
    pub starts: Vec<i64>,
    pub columns: Vec<i32>,
    pub transposed_starts: Vec<i64>,
    pub transposed_columns: Vec<i32>,
}

/// So many entries are worked on at a time.
const AT_A_TIME: usize = 1 << 18;

/// The train items of a user.
fn train<'a>(base: &Base<'a>, user: usize) -> impl Iterator<Item = u32> + use<'a> {
    base.entries()[base.row(user as u32)].iter().copied().filter(|entry| entry & TEST == 0)
}

/// Numbers of train, validation and test interactions, of each user or of each item.
pub type Degrees = Vec<[u32; 3]>;

/// Counts the interactions of users, and of items.
pub fn degrees(base: &Base, threads: usize) -> Result<(Degrees, Degrees), Error> {
    base.check()?;
    let items = base.items() as usize;
    let threads = threads_for(threads, base.len(), items);
    let mut of_users = vec![[0; 3]; base.users() as usize];
    let pieces = along(base.runs(AT_A_TIME), &mut of_users, Range::len);
    let parts = on_pieces(threads, pieces, |of_items: &mut Degrees, (users, counts)| {
        of_items.resize(items, [0; 3]);
        for (user, counts) in users.zip(counts) {
            for &entry in &base.entries()[base.row(user as u32)] {
                let split = Split::of(entry) as usize;
                counts[split] += 1;
                of_items[(entry & ITEM) as usize][split] += 1;
            }
        }
    })?;
    let mut of_items = vec![[0; 3]; items];
    for part in parts {
        for (sum, more) in of_items.iter_mut().flatten().zip(part.into_iter().flatten()) {
            *sum += more;
        }
    }
    Ok((of_users, of_items))
}

/// Sums the values of each user's train items, and those of each item's train users, which wrap.
pub fn neighbour_sums(
    base: &Base,
    user_values: &[u64],
    item_values: &[u64],
    threads: usize,
) -> Result<(Vec<u64>, Vec<u64>), Error> {
    base.check()?;
    let (users, items) = (base.users() as usize, base.items() as usize);
    if user_values.len() != users || item_values.len() != items {
        return Err(Error::Invalid("there must be one value for each user and each item".to_owned()));
    }
    let threads = threads_for(threads, base.len(), items);
    let mut of_users = vec![0_u64; users];
    let pieces = along(base.runs(AT_A_TIME), &mut of_users, Range::len);
    let parts = on_pieces(threads, pieces, |of_items: &mut Vec<u64>, (users, sums)| {
        of_items.resize(items, 0);
        for (user, sum) in users.zip(sums) {
            for item in train(base, user) {
                *sum = sum.wrapping_add(item_values[item as usize]);
                of_items[item as usize] = of_items[item as usize].wrapping_add(user_values[user]);
            }
        }
    })?;
    let mut of_items = vec![0_u64; items];
    for part in parts {
        of_items.iter_mut().zip(part).for_each(|(sum, more)| *sum = sum.wrapping_add(more));
    }
    Ok((of_users, of_items))
}

/// The train part with the user `users[row]` in each row, and each item in the column `places[item]`.
pub fn ordered(base: &Base, users: &[i64], places: &[i64], threads: usize) -> Result<Ordered, Error> {
    base.check()?;
    let fits = |codes: &[i64], count: u32| {
        codes.len() == count as usize && codes.iter().all(|&code| (0..i64::from(count)).contains(&code))
    };
    if !fits(users, base.users()) || !fits(places, base.items()) {
        return Err(Error::Invalid("the order does not fit the base".to_owned()));
    }
    let mut starts = Vec::with_capacity(users.len() + 1);
    let mut end = 0;
    starts.push(0);
    for &user in users {
        end += train(base, user as usize).count() as i64;
        starts.push(end);
    }
    let mut columns = vec![0_i32; end as usize];
    let pieces =
        along(runs_of(&starts, AT_A_TIME), &mut columns, |rows| (starts[rows.end] - starts[rows.start]) as usize);
    on_pieces(threads, pieces, |(): &mut (), (rows, mut columns)| {
        for row in rows {
            let mine;
            (mine, columns) = columns.split_at_mut((starts[row + 1] - starts[row]) as usize);
            for (column, item) in mine.iter_mut().zip(train(base, users[row] as usize)) {
                *column = places[item as usize] as i32;
            }
            mine.sort_unstable();
        }
    })?;
    let (transposed_starts, transposed_columns, _) =
        Sparse::new(&starts, &columns, None, places.len())?.transposed(threads)?;
    Ok(Ordered { starts, columns, transposed_starts, transposed_columns })
}
