//! The only unsafe code: asking the processor to load memory that will be read soon. It is a hint and reads nothing.

#![allow(unsafe_code)]

/// Prefetches the cache line of `value`.
#[inline]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults and has no effect on memory; SSE is part of every x86-64 processor.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Prefetches every cache line of `values`.
#[inline]
pub fn prefetch_all<T>(values: &[T]) {
    for value in values.iter().step_by(per_line::<T>()) {
        prefetch(value);
    }
    // The first one may stand anywhere in its line.
    if let Some(last) = values.last() {
        prefetch(last);
    }
}

/// Prefetches some cache lines of `values` from `start` on, as far as there are any.
#[inline]
pub fn prefetch_lines<T>(values: &[T], start: usize, lines: usize) {
    for line in 0..lines {
        // One branch that is hardly ever taken, where a loop up to the end would have to be guessed.
        if let Some(value) = values.get(start + line * per_line::<T>()) {
            prefetch(value);
        }
    }
}

fn per_line<T>() -> usize {
    (64 / size_of::<T>()).max(1)
}
