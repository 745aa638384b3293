//! The cryptography of MTProto 2.0: what turns bytes on a wire into messages nobody else can read.
//!
//! Everything is a function of its arguments: chance comes from a [`SecureRandom`] of the caller,
//! and nothing here knows what a session or a socket is. Whatever a peer sends ends in a value or a
//! typed error, secrets are wiped when they are dropped, and `Debug` shows ids only.
//!
//! - [`envelope`]: sealing and opening of encrypted messages, in batches; [`envelope::v1`] for the
//!   one message that still uses MTProto 1.0.
//! - [`rsa`], [`dh`], [`pq`]: the arithmetic of a key exchange; [`AuthKey`] is what it makes.
//! - [`IgeKey`], [`CtrStream`], [`hash`]: the primitives; [`curve25519_public_key`] for disguises.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod auth_key;
mod big;
mod comb;
mod cpu;
mod ctr;
mod curve25519;
pub mod dh;
pub mod envelope;
pub mod hash;
mod ige;
mod kdf;
mod part;
mod powers;
pub mod pq;
mod random;
pub mod rsa;
mod wipe;

pub use auth_key::AuthKey;
pub use ctr::CtrStream;
pub use curve25519::curve25519_public_key;
pub use ige::IgeKey;
pub use kdf::{Direction, first_salt, new_nonce_hash, tmp_aes};
pub use powers::powers_at_once;
#[cfg(feature = "os-random")]
pub use random::OsRandom;
#[cfg(any(test, feature = "seeded-random"))]
pub use random::SeededRandom;
pub use random::{SecureRandom, SecureRandomExt};

#[cfg(test)]
mod vectors;
