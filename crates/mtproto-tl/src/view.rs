//! Values that stay where they lie: a view borrows from the bytes it is read from.
//!
//! What a peer sends is looked at once and then seldom kept. A view checks what a decoder checks,
//! and takes no memory.

use std::fmt;

use crate::fixed::Wire;
use crate::{Decode, DecodeError, Fixed, Reader, VECTOR_ID};

/// A value that can be read from TL without being taken out of it.
pub trait View<'a>: Sized {
    /// Takes one value.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes; the reader's position is then of no use.
    fn view(input: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// Reads the value that fills `bytes`.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes, `Trailing` included.
    fn of(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let value = Self::view(&mut input)?;
        input.finish()?;
        Ok(value)
    }
}

impl<T: Fixed> View<'_> for T {
    fn view(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::decode(input)
    }
}

impl View<'_> for bool {
    fn view(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::decode(input)
    }
}

/// `bytes`.
impl<'a> View<'a> for &'a [u8] {
    fn view(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        input.byte_slice()
    }
}

/// `string`.
impl<'a> View<'a> for &'a str {
    fn view(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        input.text()
    }
}

/// The items of a vector, where they lie: all of them are there, whatever they are.
#[derive(Clone, Copy)]
pub struct Items<'a, T: Fixed> {
    wires: &'a [T::Wire],
}

impl<'a, T: Fixed> Items<'a, T> {
    /// Takes the next `count` items, without a number or a count in front of them.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn take(input: &mut Reader<'a>, count: usize) -> Result<Self, DecodeError> {
        let bytes = input.slice(count.saturating_mul(T::Wire::LEN))?;
        Ok(Self { wires: T::Wire::cut(bytes) })
    }

    /// Takes a bare vector: its count, then its items.
    ///
    /// # Errors
    /// `Truncated`, `BadCount`.
    pub fn bare(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = input.count(T::Wire::LEN)?;
        Self::take(input, count)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.wires.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wires.is_empty()
    }

    /// The item at `index`, counted from zero.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        self.wires.get(index).copied().map(T::from_wire)
    }

    /// All of them, in order.
    pub fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = T> + ExactSizeIterator + Clone + use<'a, T> {
        self.wires.iter().copied().map(T::from_wire)
    }

    /// All of them, in memory of their own.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        self.iter().collect()
    }
}

/// A boxed vector.
impl<'a, T: Fixed> View<'a> for Items<'a, T> {
    fn view(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        input.constructor(VECTOR_ID)?;
        Self::bare(input)
    }
}

impl<T: Fixed + PartialEq> PartialEq for Items<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Fixed + Eq> Eq for Items<'_, T> {}

impl<T: Fixed + fmt::Debug> fmt::Debug for Items<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
