//! The two ways to fill a block of 2048 bits, and back. Nothing here branches on a secret.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater};

use crate::hash::{sha1, sha256};
use crate::ige::IgeKey;
use crate::part::{join, part};
use crate::random::{SecureRandom, SecureRandomExt};
use crate::wipe::Wiped;

/// The most data that RSA_PAD takes, in bytes.
pub const DATA_LEN_MAX: usize = 144;

/// The most data that the old padding takes, in bytes.
pub const OLD_DATA_LEN_MAX: usize = 255 - 20;

/// Data and its random filling, under RSA_PAD.
pub(super) const PADDED_LEN: usize = 192;

/// A block, big-endian.
pub(super) type Block = Wiped<256>;

/// Appends random bytes to `data`, for [`pad`]; a longer `data` is cut.
pub(super) fn fill_up(data: &[u8], random: &mut dyn SecureRandom) -> Wiped<PADDED_LEN> {
    let mut padded = Wiped([0; PADDED_LEN]);
    let (head, tail) = padded.split_at_mut(data.len().min(PADDED_LEN));
    head.copy_from_slice(data.split_at(head.len()).0);
    random.fill(tail);
    padded
}

/// RSA_PAD with a fresh key: the block may be too large for the modulus, and is then drawn again.
pub(super) fn pad(padded: &[u8; PADDED_LEN], random: &mut dyn SecureRandom) -> Block {
    let temp_key = Wiped(random.array::<32>());
    let hash = sha256(&[&*temp_key, padded]);
    let mut reversed = Wiped(*padded);
    reversed.reverse();
    let mut text: Wiped<224> = Wiped(join(&[&*reversed, &hash]));
    IgeKey::new(*temp_key, [0; 32]).encrypt(&mut *text);
    let masked = mask(&temp_key, &text);
    Wiped(join(&[&*masked, &*text]))
}

/// Undoes [`pad`]: the data with its filling, and whether the hash says that it is what was sent.
pub(super) fn unpad(block: &Block) -> (Wiped<PADDED_LEN>, Choice) {
    let mut text = Wiped(*part::<32, 224, _>(block));
    let temp_key = mask(part::<0, 32, _>(block), &text);
    IgeKey::new(*temp_key, [0; 32]).decrypt(&mut *text);
    let mut padded = Wiped(*part::<0, PADDED_LEN, _>(&text));
    padded.reverse();
    let valid = sha256(&[&*temp_key, &*padded]).ct_eq(part::<PADDED_LEN, 32, _>(&text));
    (padded, valid)
}

/// The old padding: `0 | SHA1(data) | data | random`.
pub(super) fn pad_old(data: &[u8], random: &mut dyn SecureRandom) -> Block {
    let mut block = Wiped([0; 256]);
    let (head, rest) = block.split_at_mut(OLD_DATA_AT);
    let (_, hash) = head.split_at_mut(1);
    hash.copy_from_slice(&sha1(&[data]));
    let (slot, filling) = rest.split_at_mut(data.len().min(OLD_DATA_LEN_MAX));
    slot.copy_from_slice(data.split_at(slot.len()).0);
    random.fill(filling);
    block
}

/// Undoes [`pad_old`], which does not store the length: tries each of `lens`, all of them every
/// time. Returns the data, how much of it counts, and whether a length was right.
pub(super) fn unpad_old(block: &Block, lens: &[usize]) -> (Wiped<OLD_DATA_LEN_MAX>, u64, Choice) {
    let data = Wiped(*part::<OLD_DATA_AT, OLD_DATA_LEN_MAX, _>(block));
    let hash = part::<1, 20, _>(block);
    let mut right_len = 0;
    for len in lens {
        let Some((head, _)) = data.split_at_checked(*len) else { continue };
        let right = sha1(&[head]).ct_eq(hash);
        right_len.conditional_assign(&(*len as u64), right);
    }
    let valid = part::<0, 1, _>(block).ct_eq(&[0]) & right_len.ct_gt(&0);
    (data, right_len, valid)
}

/// Where the data of the old padding begins: after a zero and a SHA-1.
const OLD_DATA_AT: usize = 21;

/// `key XOR SHA256(text)`, which hides a key and finds it again.
fn mask(key: &[u8; 32], text: &[u8; 224]) -> Wiped<32> {
    let mut masked = Wiped(sha256(&[text]));
    for (byte, key) in masked.iter_mut().zip(key) {
        *byte ^= key;
    }
    masked
}
