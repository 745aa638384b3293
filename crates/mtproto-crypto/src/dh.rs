//! Diffie-Hellman over a 2048-bit safe prime: how both sides come to the same [`AuthKey`].
//!
//! <https://core.telegram.org/mtproto/auth_key> and
//! <https://core.telegram.org/mtproto/security_guidelines>. A [`Group`] exists only after its prime
//! and generator have passed every check, and a number of the peer's only takes part after its
//! range has been checked. Powers are calculated in constant time.

mod group;

use std::fmt;

use crypto_bigint::U2048;
use zeroize::Zeroizing;

use crate::auth_key::AuthKey;
use crate::big;
use crate::powers::{Power, powers};
use crate::random::SecureRandom;
use crate::wipe::Wiped;
pub use group::{G, Group, GroupError, PrimeMemory, WELL_KNOWN_PRIME};

/// A server's secret exponent, 2048 bits, wiped when it is dropped.
pub struct DhSecret {
    group: Group,
    exponent: Exponent,
}

/// Boxed, so that no copy is left behind where it moves.
type Exponent = Box<Zeroizing<U2048>>;

impl DhSecret {
    /// Draws an exponent; also returns the power of the generator that goes to the peer.
    pub fn generate(group: &Group, random: &mut dyn SecureRandom) -> (Self, [u8; 256]) {
        let made = Self::generate_many(group, 1, random).pop();
        made.unwrap_or_else(|| unreachable!("one was asked for"))
    }

    /// Draws `count` exponents, which costs less than one by one where the processor calculates
    /// [several at once](crate::powers_at_once).
    pub fn generate_many(
        group: &Group,
        count: usize,
        random: &mut dyn SecureRandom,
    ) -> Vec<(Self, [u8; 256])> {
        let mut made = Vec::with_capacity(count);
        // A number out of range would be refused by the peer; there are 2^64 times more others.
        while made.len() < count {
            let exponents: Vec<_> = (made.len()..count).map(|_| draw(random)).collect();
            let numbers = group.powers_of_g(&exponents.iter().map(|it| &***it).collect::<Vec<_>>());
            let numbered = exponents.into_iter().zip(numbers.iter());
            let admitted = numbered.filter(|(_, number)| group.admits(number));
            made.extend(admitted.map(|(exponent, number)| {
                (Self { group: group.clone(), exponent }, big::write(number))
            }));
        }
        made
    }

    /// [`shared_many`] for one.
    ///
    /// # Errors
    /// `OutOfRange` unless `2^1984 <= number <= p - 2^1984`.
    pub fn shared(&self, number: &[u8]) -> Result<AuthKey, DhError> {
        let shared = shared_many(&[(self, number)]).pop();
        shared.unwrap_or_else(|| unreachable!("one was asked for"))
    }
}

/// The keys that these secrets make with their peers' numbers, big-endian, in order. A server keeps
/// a secret for a second try when the key turns out to exist already.
///
/// `OutOfRange` stands for a number unless `2^1984 <= number <= p - 2^1984`.
// req: S111
pub fn shared_many(jobs: &[(&DhSecret, &[u8])]) -> Vec<Result<AuthKey, DhError>> {
    let numbers = jobs.iter().map(|(secret, number)| secret.group.read(number));
    let numbers: Vec<_> = numbers.collect();
    let admitted = jobs.iter().zip(&numbers).filter_map(|((secret, _), number)| {
        let base = number.as_ref().ok()?;
        Some(Power { base, exponent: &secret.exponent, params: secret.group.params() })
    });
    let powers = powers(&admitted.collect::<Vec<_>>());
    let mut keys = powers.iter().map(|power| AuthKey::new(big::write(power)));
    let mut key = || keys.next().unwrap_or_else(|| unreachable!("every number has its power"));
    numbers.into_iter().map(|number| number.map(|_| key())).collect()
}

/// A client's whole part: the key that a fresh exponent makes with the server's number, and the
/// power of the generator that tells the server. Both powers are calculated at once.
///
/// # Errors
/// `OutOfRange` unless `2^1984 <= number <= p - 2^1984`.
// req: S111
pub fn agree(
    group: &Group,
    number: &[u8],
    random: &mut dyn SecureRandom,
) -> Result<(AuthKey, [u8; 256]), DhError> {
    let (g, number, params) = (U2048::from(group.g()), group.read(number)?, group.params());
    loop {
        let exponent = &**draw(random);
        let results = powers(&[&g, &number].map(|base| Power { base, exponent, params }));
        // Drawn again for the same reason as above.
        if let [ours, shared] = &results[..]
            && group.admits(ours)
        {
            return Ok((AuthKey::new(big::write(shared)), big::write(ours)));
        }
    }
}

fn draw(random: &mut dyn SecureRandom) -> Exponent {
    let mut bytes = Wiped([0; big::LEN]);
    random.fill(&mut *bytes);
    Box::new(Zeroizing::new(big::read(&bytes)))
}

impl fmt::Debug for DhSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DhSecret")
    }
}

/// Why a number of the peer's was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DhError {
    /// It is so close to 0 or to the prime that it may have been chosen to weaken the key.
    OutOfRange,
}

impl fmt::Display for DhError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange => f.write_str("the public number is out of range"),
        }
    }
}

impl std::error::Error for DhError {}

#[cfg(test)]
mod tests;
