//! The only unsafe code, what a processor has to be asked for: to load memory that will be read soon, a hint that reads
//! nothing; and to use wider registers than all have.

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

/// A loop that is worth wider registers; `run` and what it calls are to be inlined always.
pub trait Loop {
    fn run(self);
}

/// Runs a loop, made for AVX2 where the processor has it: the same operations, more of them at a time.
pub fn widened(work: impl Loop) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn with_avx2(work: impl Loop) {
            work.run();
        }
        // SAFETY: the processor has what the function was made for.
        return unsafe { with_avx2(work) };
    }
    work.run();
}
