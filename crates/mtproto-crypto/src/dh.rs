//! Diffie-Hellman over a 2048-bit safe prime: how both sides come to the same [`AuthKey`].
//!
//! <https://core.telegram.org/mtproto/auth_key> and
//! <https://core.telegram.org/mtproto/security_guidelines>. A [`Group`] exists only after its prime
//! and generator have passed every check, and a number of the peer's only takes part after its
//! range has been checked. Powers are calculated in constant time.

mod group;

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::auth_key::AuthKey;
use crate::big::{self, Form};
use crate::random::SecureRandom;
use crate::wipe::Wiped;
use crypto_bigint::U2048;
pub use group::{G, Group, GroupError, PrimeMemory, WELL_KNOWN_PRIME};

/// One side's secret exponent, 2048 bits, wiped when it is dropped.
pub struct DhSecret {
    group: Group,
    exponent: Zeroizing<U2048>,
}

impl DhSecret {
    /// Draws an exponent; also returns the power of the generator that goes to the peer.
    pub fn generate(group: &Group, random: &mut dyn SecureRandom) -> (Self, [u8; 256]) {
        loop {
            let mut bytes = Wiped([0; big::LEN]);
            random.fill(&mut *bytes);
            let exponent = Zeroizing::new(big::read(&bytes));
            let public = group.power_of_g(&exponent);
            // A number out of range would be refused by the peer; there are 2^64 times more others.
            if group.admits(&public) {
                return (Self { group: group.clone(), exponent }, big::write(&public));
            }
        }
    }

    /// The key that this secret makes with the peer's number, big-endian. A server keeps the secret
    /// for a second try when the key turns out to exist already.
    ///
    /// # Errors
    /// `OutOfRange` unless `2^1984 <= number <= p - 2^1984`.
    // req: S111
    pub fn shared(&self, number: &[u8]) -> Result<AuthKey, DhError> {
        let number = big::pad_left(number).ok_or(DhError::OutOfRange)?;
        let number = big::read(&number);
        if !self.group.admits(&number) {
            return Err(DhError::OutOfRange);
        }
        let mut base = Form::new(&number, self.group.params());
        let mut power = base.pow(&self.exponent);
        let shared = Zeroizing::new(power.retrieve());
        base.zeroize();
        power.zeroize();
        Ok(AuthKey::new(big::write(&shared)))
    }
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
