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
    const LINE: usize = 64;
    for value in values.iter().step_by((LINE / size_of::<T>()).max(1)) {
        prefetch(value);
    }
}
