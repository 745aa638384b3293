//! Which primes and generators are good enough.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crypto_bigint::{NonZero, U64, U2048};
use crypto_primes::{Flavor, fips};
use zeroize::Zeroizing;

use super::DhError;
use crate::big::{self, Params};
use crate::comb::Comb;
use crate::random::{Adapter, SecureRandom};

/// The generator that our server uses, as the real one does.
pub const G: u32 = 3;

/// The safe prime that our server uses, as the real one does; its check is skipped.
pub const WELL_KNOWN_PRIME: [u8; 256] = [
    0xc7, 0x1c, 0xae, 0xb9, 0xc6, 0xb1, 0xc9, 0x04, 0x8e, 0x6c, 0x52, 0x2f, 0x70, 0xf1, 0x3f, 0x73,
    0x98, 0x0d, 0x40, 0x23, 0x8e, 0x3e, 0x21, 0xc1, 0x49, 0x34, 0xd0, 0x37, 0x56, 0x3d, 0x93, 0x0f,
    0x48, 0x19, 0x8a, 0x0a, 0xa7, 0xc1, 0x40, 0x58, 0x22, 0x94, 0x93, 0xd2, 0x25, 0x30, 0xf4, 0xdb,
    0xfa, 0x33, 0x6f, 0x6e, 0x0a, 0xc9, 0x25, 0x13, 0x95, 0x43, 0xae, 0xd4, 0x4c, 0xce, 0x7c, 0x37,
    0x20, 0xfd, 0x51, 0xf6, 0x94, 0x58, 0x70, 0x5a, 0xc6, 0x8c, 0xd4, 0xfe, 0x6b, 0x6b, 0x13, 0xab,
    0xdc, 0x97, 0x46, 0x51, 0x29, 0x69, 0x32, 0x84, 0x54, 0xf1, 0x8f, 0xaf, 0x8c, 0x59, 0x5f, 0x64,
    0x24, 0x77, 0xfe, 0x96, 0xbb, 0x2a, 0x94, 0x1d, 0x5b, 0xcd, 0x1d, 0x4a, 0xc8, 0xcc, 0x49, 0x88,
    0x07, 0x08, 0xfa, 0x9b, 0x37, 0x8e, 0x3c, 0x4f, 0x3a, 0x90, 0x60, 0xbe, 0xe6, 0x7c, 0xf9, 0xa4,
    0xa4, 0xa6, 0x95, 0x81, 0x10, 0x51, 0x90, 0x7e, 0x16, 0x27, 0x53, 0xb5, 0x6b, 0x0f, 0x6b, 0x41,
    0x0d, 0xba, 0x74, 0xd8, 0xa8, 0x4b, 0x2a, 0x14, 0xb3, 0x14, 0x4e, 0x0e, 0xf1, 0x28, 0x47, 0x54,
    0xfd, 0x17, 0xed, 0x95, 0x0d, 0x59, 0x65, 0xb4, 0xb9, 0xdd, 0x46, 0x58, 0x2d, 0xb1, 0x17, 0x8d,
    0x16, 0x9c, 0x6b, 0xc4, 0x65, 0xb0, 0xd6, 0xff, 0x9c, 0xa3, 0x92, 0x8f, 0xef, 0x5b, 0x9a, 0xe4,
    0xe4, 0x18, 0xfc, 0x15, 0xe8, 0x3e, 0xbe, 0xa0, 0xf8, 0x7f, 0xa9, 0xff, 0x5e, 0xed, 0x70, 0x05,
    0x0d, 0xed, 0x28, 0x49, 0xf4, 0x7b, 0xf9, 0x59, 0xd9, 0x56, 0x85, 0x0c, 0xe9, 0x29, 0x85, 0x1f,
    0x0d, 0x81, 0x15, 0xf6, 0x35, 0xb1, 0x05, 0xee, 0x2e, 0x4e, 0x15, 0xd0, 0x4b, 0x24, 0x54, 0xbf,
    0x6f, 0x4f, 0xad, 0xf0, 0x34, 0xb1, 0x04, 0x03, 0x11, 0x9c, 0xd8, 0xe3, 0xb9, 0x2f, 0xcc, 0x5b,
];

/// A prime and a generator that passed every check. Cheap to clone.
#[derive(Clone)]
pub struct Group(Arc<Inner>);

struct Inner {
    params: Params,
    g: u32,
    /// The prime minus [`MARGIN`].
    last: U2048,
    /// Powers of the generator.
    comb: OnceLock<Comb>,
}

impl Group {
    /// The well-known prime with [`G`].
    pub fn well_known() -> Self {
        static GROUP: OnceLock<Group> = OnceLock::new();
        let well_known = || {
            let Some(params) = big::params(&big::read(&WELL_KNOWN_PRIME)) else {
                unreachable!("the prime above is odd")
            };
            Self::new(params, G)
        };
        GROUP.get_or_init(well_known).clone()
    }

    /// Checks what a server sent. A prime that neither the table here nor `memory` knows takes
    /// about 100 ms.
    ///
    /// # Errors
    /// One variant of [`GroupError`] per rule.
    // req: S111
    pub fn check(
        prime: &[u8],
        g: u32,
        memory: &mut dyn PrimeMemory,
        random: &mut dyn SecureRandom,
    ) -> Result<Self, GroupError> {
        let bytes: [u8; 256] = big::pad_left(prime).ok_or(GroupError::Size)?;
        if bytes[0] < 0x80 {
            return Err(GroupError::Size);
        }
        let prime = big::read(&bytes);
        let params = big::params(&prime).ok_or(GroupError::NotSafePrime)?;
        // The cheap question first: it needs no arithmetic worth mentioning.
        if !is_good_generator(&prime, g) {
            return Err(GroupError::Generator { g });
        }
        if bytes != WELL_KNOWN_PRIME {
            let safe = memory.recall(&bytes).unwrap_or_else(|| {
                let safe = is_safe_prime(&prime, random);
                memory.record(&bytes, safe);
                safe
            });
            if !safe {
                return Err(GroupError::NotSafePrime);
            }
        }
        Ok(Self::new(params, g))
    }

    fn new(params: Params, g: u32) -> Self {
        let last = params.modulus().as_ref().wrapping_sub(&MARGIN);
        Self(Arc::new(Inner { params, g, last, comb: OnceLock::new() }))
    }

    /// The generator.
    pub fn g(&self) -> u32 {
        self.0.g
    }

    /// The prime, big-endian.
    pub fn prime(&self) -> [u8; 256] {
        big::write(self.0.params.modulus().as_ref())
    }

    /// Reads a number of the peer's.
    ///
    /// # Errors
    /// `OutOfRange` unless it is admitted.
    pub(super) fn read(&self, number: &[u8]) -> Result<U2048, DhError> {
        let number = big::pad_left(number).ok_or(DhError::OutOfRange)?;
        let number = big::read(&number);
        if self.admits(&number) { Ok(number) } else { Err(DhError::OutOfRange) }
    }

    pub(super) fn params(&self) -> &Params {
        &self.0.params
    }

    /// Whether a number of either side's is far enough from both ends.
    pub(super) fn admits(&self, number: &U2048) -> bool {
        (MARGIN..=self.0.last).contains(number)
    }

    /// `g` with these exponents, in constant time. The first time takes as long as a power besides.
    pub(super) fn powers_of_g(&self, exponents: &[&U2048]) -> Zeroizing<Vec<U2048>> {
        let comb = || Comb::new(&U2048::from(self.0.g), &self.0.params);
        self.0.comb.get_or_init(comb).powers(exponents)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("g", &self.0.g).finish_non_exhaustive()
    }
}

/// Remembers the outcome of long checks, by prime. `()` remembers nothing.
pub trait PrimeMemory {
    /// Whether `prime` was found to be a safe prime before; `None` if it was not looked at.
    fn recall(&self, prime: &[u8; 256]) -> Option<bool>;

    /// Notes what the check of `prime` gave.
    fn record(&mut self, prime: &[u8; 256], safe: bool);
}

impl PrimeMemory for () {
    fn recall(&self, _: &[u8; 256]) -> Option<bool> {
        None
    }

    fn record(&mut self, _: &[u8; 256], _: bool) {}
}

/// Why a server's group was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GroupError {
    /// The generator is not in 2..=7, or generates another subgroup than that of order `(p-1)/2`.
    Generator {
        /// The generator received.
        g: u32,
    },
    /// The prime, or half of it, is not prime.
    NotSafePrime,
    /// The prime does not have exactly 2048 bits.
    Size,
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generator { g } => write!(f, "{g} is not a generator for this prime"),
            Self::NotSafePrime => f.write_str("the modulus is not a safe prime"),
            Self::Size => f.write_str("the modulus does not have 2048 bits"),
        }
    }
}

impl std::error::Error for GroupError {}

/// How far numbers of either side have to stay from 0 and from the prime: 2^1984.
pub(super) const MARGIN: U2048 = U2048::ONE.shl_vartime(2048 - 64);

/// Rounds of Miller-Rabin with random bases, each of which errs for one composite in four at most.
const ROUNDS: usize = 16;

/// Whether `g` is a quadratic residue, and so generates the subgroup of prime order.
pub(super) fn is_good_generator(prime: &U2048, g: u32) -> bool {
    match g {
        2 => remainder(prime, 8) == 7,
        3 => remainder(prime, 3) == 2,
        4 => true,
        5 => matches!(remainder(prime, 5), 1 | 4),
        6 => matches!(remainder(prime, 24), 19 | 23),
        7 => matches!(remainder(prime, 7), 3 | 5 | 6),
        _ => false,
    }
}

fn remainder(number: &U2048, divisor: u64) -> u64 {
    let divisor: Option<NonZero<U64>> = NonZero::new(U64::from(divisor)).into();
    divisor.map_or(0, |divisor| number.rem_vartime(&divisor).into())
}

pub(super) fn is_safe_prime(prime: &U2048, random: &mut dyn SecureRandom) -> bool {
    let options =
        fips::FipsOptions::with_mr_iterations(ROUNDS).with_trial_division_test().with_lucas_test();
    fips::is_prime(&mut Adapter(random), Flavor::Safe, prime, options)
}
