//! The ciphers on the processor at hand.
//!
//! Everything above works on a list of independent messages and does not know how many of them the
//! processor takes at a time. A new instruction set is a module here and an arm in [`Path`]; each
//! has to give the same bytes as `portable`.

#[cfg(target_arch = "x86_64")]
mod aes_ni;
#[cfg(target_arch = "x86_64")]
pub(crate) mod ifma;
mod portable;

use crate::ige::{BLOCK_LEN, IgeKey};

/// One message on its way through the cipher: its own key, and its whole blocks.
pub(crate) struct Lane<'a> {
    pub(crate) key: IgeKey,
    pub(crate) blocks: &'a mut [[u8; BLOCK_LEN]],
}

impl<'a> Lane<'a> {
    /// The whole blocks of `data` under `key`.
    pub(crate) fn new(key: IgeKey, data: &'a mut [u8]) -> Self {
        Self { key, blocks: data.as_chunks_mut().0 }
    }
}

/// Encrypts every lane in place. Lanes are drawn one by one, as soon as there is room for another.
pub(crate) fn ige_encrypt<'a>(lanes: impl Iterator<Item = Lane<'a>>) {
    match Path::detect() {
        #[cfg(target_arch = "x86_64")]
        Path::AesNi(token) => aes_ni::encrypt(token, lanes),
        Path::Portable => lanes.for_each(portable::encrypt),
    }
}

/// Decrypts every lane in place, as [`ige_encrypt`] does.
pub(crate) fn ige_decrypt<'a>(lanes: impl Iterator<Item = Lane<'a>>) {
    match Path::detect() {
        #[cfg(target_arch = "x86_64")]
        Path::AesNi(token) => aes_ni::decrypt(token, lanes),
        Path::Portable => lanes.for_each(portable::decrypt),
    }
}

/// The best path that this processor has.
#[derive(Clone, Copy)]
enum Path {
    #[cfg(target_arch = "x86_64")]
    AesNi(aes_ni::Token),
    Portable,
}

impl Path {
    /// Asks the processor the first time, and a cache after that.
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = aes_ni::Token::detect() {
            return Self::AesNi(token);
        }
        Self::Portable
    }
}

#[cfg(test)]
mod tests;
