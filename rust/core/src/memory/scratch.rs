//! Scratch memory: values that are all written before they are read.

use std::ops::{Deref, DerefMut};

/// An array that is used again and again at various lengths, and never cleared in between.
pub struct Scratch<T> {
    values: Vec<T>,
    length: usize,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self { values: Vec::new(), length: 0 }
    }
}

impl<T: Copy + Default> Scratch<T> {
    /// Makes it so long, with whatever is in it.
    pub fn set_length(&mut self, length: usize) -> &mut [T] {
        if self.values.len() < length {
            self.values.resize(length.max(self.values.len() * 3 / 2), T::default());
        }
        self.length = length;
        self
    }
}

impl<T> Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[..self.length]
    }
}

impl<T> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.length]
    }
}
