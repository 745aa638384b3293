//! The same work over the crates `aes`, `ctr` and `sha2`, one message after the other: what every
//! other path is tested against. Those crates answer for the time they take.

use aes::{Aes256, Aes256Dec, Aes256Enc};
use cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use sha2::block_api::compress256;

use super::sha256::{INITIAL, digest};
use super::{Block, Hash, Lane};
use crate::ige::{BLOCK_LEN, IgeKey};
use crate::part::part;

/// Encrypts one lane.
pub(super) fn encrypt(lane: Lane<'_>) {
    let aes = Aes256Enc::new((&*lane.key.key).into());
    let (mut cipher, mut plain) = halves(lane.key);
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
    let (mut cipher, mut plain) = halves(lane.key);
    for block in lane.blocks {
        let before = *block;
        let mut state = xor(&before, &plain);
        aes.decrypt_block((&mut state).into());
        *block = xor(&state, &cipher);
        (cipher, plain) = (before, *block);
    }
}

/// Takes one hash to its end.
pub(super) fn sha256(hash: &mut Hash<'_>) {
    let mut state = INITIAL;
    while let Some(block) = hash.next_block() {
        compress256(&mut state, core::slice::from_ref(block));
    }
    *hash.digest = digest(state.map(u32::to_be));
}

/// Adds the keystream from `counter` on to the pieces.
pub(super) fn ctr(key: &[u8; 32], counter: u128, pieces: [&mut [Block]; 2]) {
    let mut stream = Ctr128BE::<Aes256>::new(key.into(), (&counter.to_be_bytes()).into());
    for piece in pieces {
        stream.apply_keystream(piece.as_flattened_mut());
    }
}

/// The ciphertext and the plaintext before the first block.
fn halves(key: &IgeKey) -> (Block, Block) {
    (*part::<0, BLOCK_LEN, _>(&key.iv), *part::<BLOCK_LEN, BLOCK_LEN, _>(&key.iv))
}

fn xor(one: &Block, other: &Block) -> Block {
    (u128::from_ne_bytes(*one) ^ u128::from_ne_bytes(*other)).to_ne_bytes()
}
