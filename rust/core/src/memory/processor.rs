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

/// Values that will be read, asked for in shares while something else is done: of many lines at once a processor would wait
/// for most.
#[derive(Clone, Copy)]
pub struct Ahead<'v, T> {
    values: &'v [T],
    lines: usize,
}

impl<'v, T> Ahead<'v, T> {
    pub fn new(values: &'v [T], shares: usize) -> Self {
        Self { values, lines: (values.len() / per_line::<T>() + 1).div_ceil(shares.max(1)) }
    }

    #[inline]
    pub fn ask(&self, share: usize) {
        prefetch_lines(self.values, share * self.lines * per_line::<T>(), self.lines);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a sanitizer or Miri would see: references of the ends of slices, and none beyond.
    #[test]
    fn hints_read_nothing_and_stay_inside() {
        let values: Vec<u32> = (0..100).collect();
        for length in [0, 1, 15, 16, 17, 100] {
            prefetch_all(&values[..length]);
            for start in [0, 1, length, length + 1, usize::MAX - 1_000] {
                prefetch_lines(&values[..length], start, 4);
            }
        }
        for (length, shares) in [(0, 0), (0, 3), (1, 3), (100, 1), (100, 7), (100, 1_000)] {
            let ahead = Ahead::new(&values[..length], shares);
            (0..=shares).for_each(|share| ahead.ask(share));
        }
        prefetch_all(&[[0_u8; 200]; 3]);
        prefetch(&values);
        assert!(values.iter().copied().eq(0..100));
    }

    #[test]
    fn a_widened_loop_runs_once_and_says_the_same() {
        struct Sum<'s>(&'s [f64], &'s mut Vec<f64>);
        impl Loop for Sum<'_> {
            fn run(self) {
                self.1.push(self.0.iter().sum());
            }
        }
        let (values, mut sums): (Vec<f64>, _) =
            ((0..1_000).map(|number| f64::from(number) / 3.0).collect(), Vec::new());
        widened(Sum(&values, &mut sums));
        assert_eq!(sums, [values.iter().sum::<f64>()]);
    }
}
