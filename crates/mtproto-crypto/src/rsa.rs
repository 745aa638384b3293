//! RSA-2048 as a key exchange uses it: a client encrypts its half for the server's public key.
//!
//! <https://core.telegram.org/mtproto/auth_key>. Two paddings exist: RSA_PAD, and an old one that
//! many clients still send. A server decodes both every time, in constant time and under blinding,
//! so that the work and the answer say nothing about why a number was refused.

mod padding;
mod private;
mod public;
mod secret;

use std::fmt;

pub use padding::{DATA_LEN_MAX, OLD_DATA_LEN_MAX};
pub use private::{DecryptJob, Inner, RsaPrivateKey, Scheme, decrypt_many};
pub use public::{RsaPublicKey, TooLong};

/// Why a key was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyError {
    /// It is not the PEM form of PKCS #1, labelled `RSA PUBLIC KEY` or `RSA PRIVATE KEY`.
    Encoding,
    /// The exponent is even, 1, or longer than 32 bits.
    Exponent,
    /// The numbers of the private key do not belong together.
    Inconsistent,
    /// The modulus does not have exactly 2048 bits, or not two primes of 1024.
    Size,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoding => "not an RSA key in the PEM form of PKCS #1",
            Self::Exponent => "the public exponent is even, 1 or longer than 32 bits",
            Self::Inconsistent => "the numbers of the private key do not belong together",
            Self::Size => "the modulus is not a product of two primes of 1024 bits",
        })
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests;
