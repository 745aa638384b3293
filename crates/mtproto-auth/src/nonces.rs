//! The three nonces of an exchange, and what follows from them.
//!
//! `nonce` and `server_nonce` travel in clear in every message and name the exchange. `new_nonce`
//! travels once, under RSA: it is the secret that the rest of the exchange is encrypted with.

use std::fmt;

use bytes::Bytes;
use mtproto_crypto::{AuthKey, SecureRandom, hash, new_nonce_hash, tmp_aes};
use mtproto_tl::{Decode, Encode, Reader, Salt};
use zeroize::Zeroizing;

use crate::Fault;

/// The nonces in clear.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ExchangeId {
    pub(crate) nonce: [u8; 16],
    pub(crate) server_nonce: [u8; 16],
}

impl ExchangeId {
    /// Whether a message belongs to this exchange.
    // req: S111
    pub(crate) fn check(&self, nonce: &[u8; 16], server_nonce: &[u8; 16]) -> Result<(), Fault> {
        if *nonce != self.nonce {
            return Err(Fault::Nonce);
        }
        if *server_nonce != self.server_nonce {
            return Err(Fault::ServerNonce);
        }
        Ok(())
    }
}

/// All three.
#[derive(Clone)]
pub(crate) struct Nonces {
    pub(crate) id: ExchangeId,
    pub(crate) new_nonce: Zeroizing<[u8; 32]>,
}

impl Nonces {
    /// Encrypts an object for the peer: `SHA1(object) | object | 0..15 random bytes`.
    pub(crate) fn seal(&self, object: &impl Encode, random: &mut dyn SecureRandom) -> Bytes {
        let mut data = vec![0; HASH_LEN];
        object.encode(&mut data);
        let end = data.len();
        let (hash, object) = data.split_at_mut(HASH_LEN);
        hash.copy_from_slice(&hash::sha1(&[object]));
        data.resize(end.next_multiple_of(BLOCK_LEN), 0);
        random.fill(data.split_at_mut(end).1);
        tmp_aes(&self.new_nonce, &self.id.server_nonce).encrypt(&mut data);
        data.into()
    }

    /// Decrypts the object that [`Nonces::seal`] encrypted on the other side.
    ///
    /// # Errors
    /// `EncryptedLen`, `EncryptedHash`, `Malformed`.
    // req: S111
    pub(crate) fn open<T: Decode>(&self, encrypted: &[u8]) -> Result<T, Fault> {
        let len = encrypted.len();
        if len == 0 || !len.is_multiple_of(BLOCK_LEN) {
            return Err(Fault::EncryptedLen { len });
        }
        let mut data = Zeroizing::new(encrypted.to_vec());
        tmp_aes(&self.new_nonce, &self.id.server_nonce).decrypt(&mut data);
        let mut input = Reader::new(&data);
        let hash = input.array::<HASH_LEN>()?;
        let start = input.rest();
        let object = T::decode(&mut input)?;
        if input.remaining() >= BLOCK_LEN {
            return Err(Fault::EncryptedLen { len });
        }
        let object_len = start.len() - input.remaining();
        let hashed = start.split_at_checked(object_len).map(|(object, _)| hash::sha1(&[object]));
        match hashed {
            Some(expected) if hash::equal(&expected, &hash) => Ok(object),
            _ => Err(Fault::EncryptedHash),
        }
    }

    /// `new_nonce_hash1`, `2` or `3`, which proves the server's answer about `key`.
    pub(crate) fn hash(&self, verdict: Verdict, key: &AuthKey) -> [u8; 16] {
        new_nonce_hash(&self.new_nonce, verdict as u8, key.aux_hash())
    }

    /// The salt that the key starts with.
    // req: L15
    pub(crate) fn first_salt(&self) -> Salt {
        Salt(mtproto_crypto::first_salt(&self.new_nonce, &self.id.server_nonce))
    }
}

// The nonces in clear name the exchange; the third one is the secret.
impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// What a server says about the key. The discriminant is the number of its hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Verdict {
    /// `dh_gen_ok`.
    Ok = 1,
    /// `dh_gen_retry`.
    Retry = 2,
    /// `dh_gen_fail`.
    Fail = 3,
}

const HASH_LEN: usize = 20;
const BLOCK_LEN: usize = 16;
