//! An input, read as choices.

use arbitrary::{Arbitrary, Unstructured};

/// What is left of an input. Once there is nothing left, every choice is the first one.
pub(crate) struct Choices<'a>(Unstructured<'a>);

impl<'a> Choices<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(Unstructured::new(input))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Any value.
    pub(crate) fn any<T: Arbitrary<'a> + Default>(&mut self) -> T {
        self.0.arbitrary().unwrap_or_default()
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.int_in_range(0..=end - 1).unwrap_or_default()
    }

    /// Once in `odds` times, if bytes are chance.
    pub(crate) fn once_in(&mut self, odds: usize) -> bool {
        self.below(odds) == odds - 1
    }

    /// The place of one of `len` things; `None` if there are none.
    pub(crate) fn index(&mut self, len: usize) -> Option<usize> {
        (len > 0).then(|| self.below(len))
    }

    /// One of `items`.
    pub(crate) fn one_of<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        self.index(items.len()).map(|at| items[at])
    }

    /// The next bytes of the input, fewer than `len_end`.
    pub(crate) fn bytes(&mut self, len_end: usize) -> &'a [u8] {
        let len = self.below(len_end).min(self.0.len());
        self.0.bytes(len).unwrap_or_default()
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.0.bytes(self.0.len()).unwrap_or_default()
    }
}
