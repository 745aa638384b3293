//! The ciphers and the hash on the processor at hand.
//!
//! Everything above works on a list of independent messages and does not know how many of them the
//! processor takes at a time. A new instruction set is a module here and an arm in [`Cipher`] or
//! [`Hasher`]; each has to give the same bytes as `portable`.
//!
//! No module branches on a secret or takes one for an index: rounds are instructions, and what
//! decides the way through the code is how many messages there are and how long they are. Each
//! module says where it could have been otherwise.

#[cfg(target_arch = "x86_64")]
mod aes_ni;
#[cfg(target_arch = "x86_64")]
mod aes_sha;
#[cfg(target_arch = "x86_64")]
pub(crate) mod ifma;
mod portable;
mod sha256;
#[cfg(target_arch = "x86_64")]
mod sha_avx512;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
#[cfg(target_arch = "x86_64")]
mod vaes;

use std::sync::LazyLock;

use crate::ige::{BLOCK_LEN, IgeKey};
pub(crate) use sha256::{Digest, Ends, Hash};

/// Whether nothing but `portable` is to be chosen, whatever the processor has. For benchmarks of
/// it, and for tools that know no such instructions: `RUSTFLAGS="--cfg mtproto_portable"`.
#[cfg(target_arch = "x86_64")]
const PORTABLE_ONLY: bool = cfg!(mtproto_portable);

/// One block of the cipher.
pub(crate) type Block = [u8; BLOCK_LEN];

/// One message on its way through the cipher: its own key, and its whole blocks.
pub(crate) struct Lane<'a> {
    pub(crate) key: &'a IgeKey,
    pub(crate) blocks: &'a mut [Block],
}

impl<'a> Lane<'a> {
    /// The whole blocks of `data` under `key`.
    #[inline]
    pub(crate) fn new(key: &'a IgeKey, data: &'a mut [u8]) -> Self {
        Self { key, blocks: data.as_chunks_mut().0 }
    }
}

/// The best that this processor has for each kind of work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    cipher: Cipher,
    hasher: Hasher,
}

impl Cpu {
    /// Asks the processor the first time, and remembers the answer.
    pub(crate) fn here() -> Self {
        static HERE: LazyLock<Cpu> =
            LazyLock::new(|| Cpu { cipher: Cipher::here(), hasher: Hasher::here() });
        *HERE
    }

    /// Encrypts every lane in place. It goes fastest when lanes of like length come together.
    pub(crate) fn ige_encrypt<'a>(self, lanes: impl Iterator<Item = Lane<'a>>) {
        match self.cipher {
            #[cfg(target_arch = "x86_64")]
            Cipher::Vaes(token) => vaes::encrypt(token, lanes),
            #[cfg(target_arch = "x86_64")]
            Cipher::AesNi(token) => aes_ni::encrypt(token, lanes),
            Cipher::Portable => lanes.for_each(portable::encrypt),
        }
    }

    /// Decrypts every lane in place, as [`Cpu::ige_encrypt`] does.
    pub(crate) fn ige_decrypt<'a>(self, lanes: impl Iterator<Item = Lane<'a>>) {
        match self.cipher {
            #[cfg(target_arch = "x86_64")]
            Cipher::Vaes(token) => vaes::decrypt(token, lanes),
            #[cfg(target_arch = "x86_64")]
            Cipher::AesNi(token) => aes_ni::decrypt(token, lanes),
            Cipher::Portable => lanes.for_each(portable::decrypt),
        }
    }

    /// Decrypts one lane, and returns the SHA-256 of `prefix` and the plaintext. Both at once where
    /// the processor can: the cipher waits for itself most of the time.
    pub(crate) fn ige_decrypt_and_hash(self, lane: Lane<'_>, prefix: &[u8; 32]) -> Digest {
        #[cfg(target_arch = "x86_64")]
        if let (Some(aes_ni), Some(sha_ni)) = (self.cipher.aes_ni(), self.hasher.sha_ni()) {
            return aes_sha::decrypt_and_hash(aes_ni, sha_ni, lane, prefix);
        }
        let Lane { key, blocks } = lane;
        self.ige_decrypt([Lane { key, blocks: &mut *blocks }].into_iter());
        let (mut ends, mut digest) = (Ends::new(), [0; 32]);
        self.sha256(&mut [Hash::of(prefix, blocks.as_flattened(), &mut ends, &mut digest)]);
        digest
    }

    /// Takes every hash to its end.
    pub(crate) fn sha256(self, hashes: &mut [Hash<'_>]) {
        match self.hasher {
            #[cfg(target_arch = "x86_64")]
            Hasher::ShaAvx512(token) => sha_avx512::sha256(token, hashes),
            #[cfg(target_arch = "x86_64")]
            Hasher::ShaNi(token) => sha_ni::sha256(token, hashes),
            Hasher::Portable => hashes.iter_mut().for_each(portable::sha256),
        }
    }

    /// Adds the keystream of AES-256-CTR from `counter` on to the pieces, one after the other.
    pub(crate) fn ctr(self, key: &[u8; 32], counter: u128, pieces: [&mut [Block]; 2]) {
        match self.cipher {
            #[cfg(target_arch = "x86_64")]
            Cipher::Vaes(token) => vaes::ctr(token, key, counter, pieces),
            #[cfg(target_arch = "x86_64")]
            Cipher::AesNi(token) => aes_ni::ctr(token, key, counter, pieces),
            Cipher::Portable => portable::ctr(key, counter, pieces),
        }
    }
}

/// What ciphers.
#[derive(Clone, Copy, Debug)]
enum Cipher {
    #[cfg(target_arch = "x86_64")]
    Vaes(vaes::Token),
    #[cfg(target_arch = "x86_64")]
    AesNi(aes_ni::Token),
    Portable,
}

impl Cipher {
    fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = vaes::Token::detect() {
            return Self::Vaes(token);
        } else if let Some(token) = aes_ni::Token::detect() {
            return Self::AesNi(token);
        }
        Self::Portable
    }

    #[cfg(target_arch = "x86_64")]
    fn aes_ni(self) -> Option<aes_ni::Token> {
        match self {
            Self::Vaes(token) => Some(token.aes_ni()),
            Self::AesNi(token) => Some(token),
            Self::Portable => None,
        }
    }
}

/// What hashes.
#[derive(Clone, Copy, Debug)]
enum Hasher {
    #[cfg(target_arch = "x86_64")]
    ShaAvx512(sha_avx512::Token),
    #[cfg(target_arch = "x86_64")]
    ShaNi(sha_ni::Token),
    Portable,
}

impl Hasher {
    fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = sha_avx512::Token::detect() {
            return Self::ShaAvx512(token);
        } else if let Some(token) = sha_ni::Token::detect() {
            return Self::ShaNi(token);
        }
        Self::Portable
    }

    #[cfg(target_arch = "x86_64")]
    fn sha_ni(self) -> Option<sha_ni::Token> {
        match self {
            Self::ShaAvx512(token) => Some(token.sha_ni()),
            Self::ShaNi(token) => Some(token),
            Self::Portable => None,
        }
    }
}

#[cfg(test)]
mod tests;
