//! Where chance comes from: the caller.
//!
//! Nothing in the sans-IO crates may ask the operating system, so that a whole network of clients
//! and servers can be simulated from one seed. A driver hands out [`OsRandom`]; a test hands out
//! [`SeededRandom`], which a build without the feature `seeded-random` cannot name.

use core::convert::Infallible;

#[cfg(any(feature = "seeded-random", test))]
use rand_chacha::ChaCha20Rng;
#[cfg(any(feature = "seeded-random", test))]
use rand_core::{Rng, SeedableRng};
use rand_core::{TryCryptoRng, TryRng};

#[cfg(feature = "os-random")]
use crate::{cpu::Cpu, part::part, wipe::Wiped};

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

/// AES-256-CTR, seeded once by the operating system: a system call a generator, not a number.
///
/// A key makes one pool of 1024 bytes, of which the first 32 are the next key, and each byte of the
/// rest is wiped when it is handed out. So whoever reads this memory learns what will come, but
/// nothing of what was; and no key makes as many blocks as would tell AES from chance.
#[cfg(feature = "os-random")]
pub struct OsRandom {
    pool: Wiped<POOL_LEN>,
    /// Bytes at the start of the pool that are not to be handed out, or were.
    used: usize,
}

/// Long enough that setting up a key costs little.
#[cfg(feature = "os-random")]
const POOL_LEN: usize = 1024;

#[cfg(feature = "os-random")]
const SEED_LEN: usize = 32;

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
        let mut seed = Wiped([0; SEED_LEN]);
        match getrandom::fill(&mut *seed) {
            Ok(()) => Self::from_seed(&seed),
            Err(error) => panic!("the operating system gives no random bytes: {error}"),
        }
    }

    fn from_seed(seed: &[u8; SEED_LEN]) -> Self {
        let mut pool = Wiped([0; POOL_LEN]);
        if let Some(key) = pool.first_chunk_mut() {
            *key = *seed;
        }
        Self { pool, used: POOL_LEN }
    }

    /// Makes the next pool, its key in place of the one that made it.
    fn refill(&mut self) {
        let key = Wiped(*part::<0, SEED_LEN, _>(&self.pool));
        self.pool.fill(0);
        Cpu::here().ctr(&key, 0, [self.pool.as_chunks_mut().0, &mut []]);
        self.used = SEED_LEN;
    }
}

#[cfg(feature = "os-random")]
impl SecureRandom for OsRandom {
    fn fill(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            if self.used == POOL_LEN {
                self.refill();
            }
            let fresh = self.pool.split_at_mut(self.used).1;
            let count = fresh.len().min(out.len());
            let (fresh, (filled, rest)) = (fresh.split_at_mut(count).0, out.split_at_mut(count));
            filled.iter_mut().zip(fresh).for_each(|(to, from)| *to = core::mem::take(from));
            self.used += count;
            out = rest;
        }
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

    #[cfg(feature = "os-random")]
    #[test]
    fn each_pool_has_the_key_of_the_next_and_forgets_what_it_gave() {
        let mut random = OsRandom::from_seed(&[7; SEED_LEN]);
        let mut given = [0; 3 * POOL_LEN];
        // In pieces, some of which lie in two pools.
        given.chunks_mut(27).for_each(|piece| random.fill(piece));

        let (mut key, mut expected) = ([7; SEED_LEN], Vec::<u8>::new());
        while expected.len() < given.len() {
            let mut pool = [0; POOL_LEN];
            crate::CtrStream::new(&key, &[0; 16]).apply(&mut pool);
            let (next, bytes) = pool.split_first_chunk::<SEED_LEN>().unwrap();
            key = *next;
            expected.extend(bytes);
        }
        assert_eq!(given[..], expected[..given.len()]);
        assert_eq!(random.pool[..SEED_LEN], key);
        assert_eq!(random.pool[SEED_LEN..random.used], vec![0; random.used - SEED_LEN]);
        assert_eq!(random.pool[random.used..], expected[given.len()..]);
    }
}
