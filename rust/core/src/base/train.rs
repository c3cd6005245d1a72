//! The train part of a base: what users and items see of each other, and the same matrix in another order.

use super::base::{Base, TEST};
use crate::algebra::Sparse;
use crate::error::Error;

/// A matrix of ones in CSR form, and its transpose; columns rise inside each row.
pub struct Ordered {
    pub starts: Vec<i64>,
    pub columns: Vec<i32>,
    pub transposed_starts: Vec<i64>,
    pub transposed_columns: Vec<i32>,
}

/// Sums the values of each user's train items, and those of each item's train users, which wrap.
pub fn neighbour_sums(base: &Base, user_values: &[u64], item_values: &[u64]) -> Result<(Vec<u64>, Vec<u64>), Error> {
    base.check()?;
    let (users, items) = (base.users() as usize, base.items() as usize);
    if user_values.len() != users || item_values.len() != items {
        return Err(Error::Invalid("there must be one value for each user and each item".to_owned()));
    }
    let (mut of_users, mut of_items) = (vec![0_u64; users], vec![0_u64; items]);
    for (user, (sum, &value)) in of_users.iter_mut().zip(user_values).enumerate() {
        for &entry in base.entries()[base.row(user as u32)].iter().filter(|&entry| entry & TEST == 0) {
            *sum = sum.wrapping_add(item_values[entry as usize]);
            of_items[entry as usize] = of_items[entry as usize].wrapping_add(value);
        }
    }
    Ok((of_users, of_items))
}

/// The train part with the user `users[row]` in each row, and each item in the column `places[item]`.
pub fn ordered(base: &Base, users: &[i64], places: &[i64]) -> Result<Ordered, Error> {
    base.check()?;
    let fits = |codes: &[i64], count: u32| {
        codes.len() == count as usize && codes.iter().all(|&code| (0..i64::from(count)).contains(&code))
    };
    if !fits(users, base.users()) || !fits(places, base.items()) {
        return Err(Error::Invalid("the order does not fit the base".to_owned()));
    }
    let mut starts = Vec::with_capacity(users.len() + 1);
    let mut columns = Vec::with_capacity(base.entries().len());
    starts.push(0);
    for &user in users {
        let train = base.entries()[base.row(user as u32)].iter().filter(|&entry| entry & TEST == 0);
        columns.extend(train.map(|&entry| places[entry as usize] as i32));
        starts.push(columns.len() as i64);
    }
    // Turned on its side, and back again, every row is sorted.
    let unsorted = Sparse::new(&starts, &columns, None, places.len())?;
    let (transposed_starts, transposed_columns, _) = unsorted.transposed();
    drop(columns);
    let (starts, columns, _) = Sparse::new(&transposed_starts, &transposed_columns, None, users.len())?.transposed();
    Ok(Ordered { starts, columns, transposed_starts, transposed_columns })
}
