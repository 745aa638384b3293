//! Where chance comes from: the caller.
//!
//! Nothing in the sans-IO crates may ask the operating system, so that a whole network of clients
//! and servers can be simulated from one seed. A driver hands out [`OsRandom`]; a test hands out
//! [`SeededRandom`], which a build without the feature `seeded-random` cannot name.

use core::convert::Infallible;

#[cfg(any(feature = "os-random", feature = "seeded-random", test))]
use rand_chacha::ChaCha20Rng;
#[cfg(any(feature = "os-random", feature = "seeded-random", test))]
use rand_core::{Rng, SeedableRng};
use rand_core::{TryCryptoRng, TryRng};

/// A generator whose output nobody else can predict.
pub trait SecureRandom: Send {
    /// Fills all of `out`.
    fn fill(&mut self, out: &mut [u8]);

    /// Any 32-bit number, all equally likely.
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// Any 64-bit number, all equally likely.
    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

/// What every [`SecureRandom`] can do besides, a `dyn` one too.
pub trait SecureRandomExt: SecureRandom {
    /// `N` random bytes.
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}

impl<R: SecureRandom + ?Sized> SecureRandomExt for R {}

impl<R: SecureRandom + ?Sized> SecureRandom for &mut R {
    fn fill(&mut self, out: &mut [u8]) {
        (**self).fill(out);
    }
}

impl<R: SecureRandom + ?Sized> SecureRandom for Box<R> {
    fn fill(&mut self, out: &mut [u8]) {
        (**self).fill(out);
    }
}

/// ChaCha20, seeded once by the operating system: a system call a generator, not a number.
#[cfg(feature = "os-random")]
pub struct OsRandom(ChaCha20Rng);

#[cfg(feature = "os-random")]
impl OsRandom {
    /// A generator with a seed of its own.
    ///
    /// # Panics
    /// If the operating system has no randomness to give. There is no safe way to go on.
    #[allow(clippy::new_without_default, reason = "a system call should be visible")]
    #[allow(clippy::disallowed_methods, reason = "the one place that asks the system")]
    #[allow(clippy::panic, reason = "without randomness every key would be known to others")]
    pub fn new() -> Self {
        let mut seed = crate::wipe::Wiped([0; 32]);
        match getrandom::fill(&mut *seed) {
            Ok(()) => Self(ChaCha20Rng::from_seed(*seed)),
            Err(error) => panic!("the operating system gives no random bytes: {error}"),
        }
    }
}

#[cfg(feature = "os-random")]
impl SecureRandom for OsRandom {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

#[cfg(feature = "os-random")]
impl core::fmt::Debug for OsRandom {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("OsRandom")
    }
}

/// The same numbers from the same seed: for tests and simulations, never for keys that matter.
#[cfg(any(feature = "seeded-random", test))]
#[derive(Clone)]
pub struct SeededRandom(ChaCha20Rng);

#[cfg(any(feature = "seeded-random", test))]
impl SeededRandom {
    /// The generator that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }
}

#[cfg(any(feature = "seeded-random", test))]
impl SecureRandom for SeededRandom {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

#[cfg(any(feature = "seeded-random", test))]
impl core::fmt::Debug for SeededRandom {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SeededRandom")
    }
}

/// The same generator, for the crates that look for primes.
pub(crate) struct Adapter<'a>(pub(crate) &'a mut dyn SecureRandom);

impl TryRng for Adapter<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.u64())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Adapter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let numbers = |seed| {
            let mut random = SeededRandom::new(seed);
            (random.u32(), random.u64(), random.array::<40>())
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[cfg(feature = "os-random")]
    #[test]
    fn two_generators_of_the_system_differ() {
        let (mut one, mut other) = (OsRandom::new(), OsRandom::new());
        let boxed: &mut dyn SecureRandom = &mut one;
        assert_ne!(boxed.array::<32>(), other.array::<32>());
        assert_eq!(format!("{one:?}"), "OsRandom");
    }
}
