//! IGE over the `aes` crate, one message after the other: what every other path is measured
//! against.

use aes::{Aes256Dec, Aes256Enc};
use cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use super::Lane;
use crate::ige::{BLOCK_LEN, IgeKey};
use crate::part::part;

/// Encrypts one lane.
pub(super) fn encrypt(lane: Lane<'_>) {
    let aes = Aes256Enc::new((&*lane.key.key).into());
    let (mut cipher, mut plain) = halves(&lane.key);
    for block in lane.blocks {
        let before = *block;
        let mut state = xor(&before, &cipher);
        aes.encrypt_block((&mut state).into());
        *block = xor(&state, &plain);
        (cipher, plain) = (*block, before);
    }
}

/// Decrypts one lane.
pub(super) fn decrypt(lane: Lane<'_>) {
    let aes = Aes256Dec::new((&*lane.key.key).into());
    let (mut cipher, mut plain) = halves(&lane.key);
    for block in lane.blocks {
        let before = *block;
        let mut state = xor(&before, &plain);
        aes.decrypt_block((&mut state).into());
        *block = xor(&state, &cipher);
        (cipher, plain) = (before, *block);
    }
}

/// The ciphertext and the plaintext before the first block.
fn halves(key: &IgeKey) -> ([u8; BLOCK_LEN], [u8; BLOCK_LEN]) {
    (*part::<0, BLOCK_LEN, _>(&key.iv), *part::<BLOCK_LEN, BLOCK_LEN, _>(&key.iv))
}

fn xor(one: &[u8; BLOCK_LEN], other: &[u8; BLOCK_LEN]) -> [u8; BLOCK_LEN] {
    (u128::from_ne_bytes(*one) ^ u128::from_ne_bytes(*other)).to_ne_bytes()
}
