//! Histories: the interactions of any users, in the order in which they are asked for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::stream::interactions;
use crate::base::Split;
use crate::error::Error;
use crate::expansion::{Expansion, Id, Interactions};
use crate::threads::{Progress, on_threads};
use crate::tiles::{Tiler, Wanted};

/// So many users are made at a time.
const CHUNK: usize = 64;

/// Makes the interactions of any users of one split on threads: how many each has, and those of the first user, then
/// those of the second, and so on. A user may be asked for again.
pub fn histories<I: Id>(
    expansion: &Expansion,
    users: &[u64],
    split: Split,
    wanted: Wanted,
    threads: usize,
    progress: &Progress,
) -> Result<(Vec<u64>, Interactions<I>), Error> {
    // Users of one row block are made together.
    let mut order: Vec<usize> = (0..users.len()).collect();
    order.sort_unstable_by_key(|&number| users[number]);
    let chunks: Vec<&[usize]> = order.chunks(CHUNK).collect();
    let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let tiler = Tiler::new(expansion, wanted);
    on_threads(threads.min(chunks.len()).max(1), progress, || {
        let mut tiler = tiler.sharing();
        while let Some(&chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let of_chunk = make(&mut tiler, chunk, users, split, progress)?;
            made.lock().unwrap_or_else(PoisonError::into_inner).extend(of_chunk);
        }
        Ok(())
    })?;
    let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    made.sort_unstable_by_key(|&(number, _)| number);
    let mut all = Interactions::default();
    let lengths = made.iter().map(|(_, of_user): &(usize, Interactions<I>)| of_user.items.len() as u64).collect();
    for (_, of_user) in &made {
        all.append(of_user);
    }
    Ok((lengths, all))
}

/// Makes some users, with the place at which each is asked for.
fn make<I: Id>(
    tiler: &mut Tiler,
    chunk: &[usize],
    users: &[u64],
    split: Split,
    progress: &Progress,
) -> Result<Vec<(usize, Interactions<I>)>, Error> {
    let mut made = Vec::with_capacity(chunk.len());
    for &number in chunk {
        let user = users[number]..users[number] + 1;
        made.push((number, interactions(tiler, user.clone(), &user, split, || progress.advance(0))?));
    }
    Ok(made)
}
