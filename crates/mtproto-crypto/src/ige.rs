//! AES-256 in the IGE mode: every block is chained to the plaintext and the ciphertext before it.

use crate::cpu::{Cpu, Lane};
use crate::wipe::Wiped;

/// Bytes in a block.
pub(crate) const BLOCK_LEN: usize = 16;

/// A key and the 32 bytes that stand before the first block (ciphertext, then plaintext).
/// Wiped when it is dropped.
#[derive(Clone)]
pub struct IgeKey {
    pub(crate) key: Wiped<32>,
    pub(crate) iv: Wiped<32>,
}

impl IgeKey {
    /// No key, to fill a place.
    pub(crate) const NONE: Self = Self { key: Wiped([0; 32]), iv: Wiped([0; 32]) };

    /// The key and iv as the protocol derives them.
    pub fn new(key: [u8; 32], iv: [u8; 32]) -> Self {
        Self { key: Wiped(key), iv: Wiped(iv) }
    }

    /// Encrypts each message under its key as [`IgeKey::encrypt`] does, many side by side. That is
    /// fastest when messages of like length follow each other.
    pub fn encrypt_each<'a>(messages: impl IntoIterator<Item = (&'a Self, &'a mut [u8])>) {
        let lanes = messages.into_iter().map(|(key, data)| Lane::new(key, data));
        Cpu::here().ige_encrypt(lanes);
    }

    /// Encrypts whole blocks in place. Bytes after the last whole block stay as they are: a caller
    /// that has such bytes has to refuse or pad them first.
    pub fn encrypt(&self, data: &mut [u8]) {
        Cpu::here().ige_encrypt([Lane::new(self, data)].into_iter());
    }

    /// Decrypts whole blocks in place, as [`IgeKey::encrypt`] does.
    pub fn decrypt(&self, data: &mut [u8]) {
        Cpu::here().ige_decrypt([Lane::new(self, data)].into_iter());
    }
}

impl std::fmt::Debug for IgeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IgeKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, array, bytes};

    #[test]
    fn published_blocks_come_out() {
        let primitives = &vectors::all()["primitives"];
        type Way = fn(&IgeKey, &mut [u8]);
        let (encrypt, decrypt): (Way, Way) = (IgeKey::encrypt, IgeKey::decrypt);
        for (name, there, back) in [
            ("ige_encrypt", encrypt, decrypt),
            ("ige_decrypt", decrypt, encrypt),
            ("ige_encrypt_4_blocks", encrypt, decrypt),
        ] {
            let vector = &primitives[name];
            let key = IgeKey::new(array(&vector["key"]), array(&vector["iv"]));
            let (input, output) = (bytes(&vector["data"]), bytes(&vector["out"]));
            let mut data = input.clone();
            there(&key, &mut data);
            assert_eq!(data, output, "{name}");
            back(&key, &mut data);
            assert_eq!(data, input, "{name} back");
        }
    }

    #[test]
    fn each_message_is_encrypted_under_its_own_key() {
        let keys = [1, 2, 3].map(|fill| IgeKey::new([fill; 32], [!fill; 32]));
        let mut texts = [vec![5; 64], vec![6; 32], vec![7; 80]];
        let mut expected = texts.clone();
        keys.iter().zip(&mut expected).for_each(|(key, text)| key.encrypt(text));
        let texts_mut = texts.iter_mut().map(Vec::as_mut_slice);
        IgeKey::encrypt_each(keys.iter().zip(texts_mut));
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_last_part_of_a_block_is_left_alone() {
        let key = IgeKey::new([1; 32], [2; 32]);
        let mut data = [3; 37];
        key.encrypt(&mut data);
        assert_eq!(data[32..], [3; 5]);
        assert_ne!(data[..32], [3; 32]);
        key.encrypt(&mut []);
        assert_eq!(format!("{key:?}"), "IgeKey");
    }
}
