//! Bytes that do not outlive their use.

use std::ops::{Deref, DerefMut};

use zeroize::ZeroizeOnDrop;

/// Bytes that are wiped when they are dropped. Does what `Zeroizing` does, in whole words instead
/// of byte by byte: that counts where every message derives a key.
#[derive(Clone)]
pub(crate) struct Wiped<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> Deref for Wiped<N> {
    type Target = [u8; N];

    fn deref(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> DerefMut for Wiped<N> {
    fn deref_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> Drop for Wiped<N> {
    fn drop(&mut self) {
        self.0 = [0; N];
        // Without it the compiler may leave out a write that nobody reads.
        zeroize::optimization_barrier(self);
    }
}

impl<const N: usize> ZeroizeOnDrop for Wiped<N> {}
