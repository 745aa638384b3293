//! Derivations: of message keys from an auth key, and of the values inside a key exchange.
//!
//! <https://core.telegram.org/mtproto/description> and, for 1.0,
//! <https://core.telegram.org/mtproto/description_v1>.

use core::slice::from_ref;

use crate::auth_key::AuthKey;
use crate::cpu::{Cpu, Digest, Ends, Hash};
use crate::hash::sha1;
use crate::ige::IgeKey;
use crate::part::{join, join_into, part};
use crate::wipe::Wiped;

/// Who wrote a message. Each direction takes other bytes of the auth key, so that a message cannot
/// be sent back to its author.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// `x = 0`.
    ClientToServer,
    /// `x = 8`.
    ServerToClient,
}

/// The key under which a server sends its half of the exchange, and the client its own.
pub fn tmp_aes(new_nonce: &[u8; 32], server_nonce: &[u8; 16]) -> IgeKey {
    let new_server = Wiped(sha1(&[new_nonce, server_nonce]));
    let server_new = Wiped(sha1(&[server_nonce, new_nonce]));
    let new_new = Wiped(sha1(&[new_nonce, new_nonce]));
    IgeKey::new(
        join(&[&*new_server, part::<0, 12, _>(&server_new)]),
        join(&[part::<12, 8, _>(&server_new), &*new_new, part::<0, 4, _>(new_nonce)]),
    )
}

/// `new_nonce_hash1`, `2` or `3`: which of the three answers the server gave, and under which key.
pub fn new_nonce_hash(new_nonce: &[u8; 32], number: u8, aux_hash: [u8; 8]) -> [u8; 16] {
    *part::<4, 16, _>(&sha1(&[new_nonce, &[number], &aux_hash]))
}

/// The salt that a new key starts with.
pub fn first_salt(new_nonce: &[u8; 32], server_nonce: &[u8; 16]) -> u64 {
    let new_nonce = u64::from_le_bytes(*part::<0, 8, _>(new_nonce));
    new_nonce ^ u64::from_le_bytes(*part::<0, 8, _>(server_nonce))
}

/// A message to be hashed or keyed: its key, its author, and the text or the `msg_key` of it.
pub(crate) type Keyed<'a, T> = (&'a AuthKey, Direction, &'a T);

/// Writes `msg_key_large` of up to `N` messages: what vouches for every byte of a plaintext, its
/// padding included. A plaintext has at least two blocks and nothing after the last whole one.
pub(crate) fn msg_keys_large<'a, const N: usize>(
    large: &mut [Digest; N],
    ends: &mut [Ends; N],
    texts: impl Iterator<Item = Keyed<'a, [u8]>>,
) {
    let mut places = ends.iter_mut().zip(texts);
    let mut hashes = large.each_mut().map(|large| match places.next() {
        Some((ends, (key, direction, text))) => {
            Hash::of(msg_key_prefix(key, direction), text, ends, large)
        }
        None => Hash::of_blocks(&[], large),
    });
    Cpu::here().sha256(&mut hashes);
}

/// The part of a key that is hashed before a plaintext.
pub(crate) fn msg_key_prefix(key: &AuthKey, direction: Direction) -> &[u8; 32] {
    part::<88, 32, _>(key.half(direction))
}

/// The middle of `msg_key_large`, which travels with the message.
pub(crate) fn msg_key(large: &[u8; 32]) -> &[u8; 16] {
    part::<8, 16, _>(large)
}

/// The token by which a server says early that it has the message.
pub(crate) fn ack_token(large: &[u8; 32]) -> u32 {
    u32::from_le_bytes(*part::<0, 4, _>(large)) | 1 << 31
}

/// Writes the cipher keys of up to `N` messages with these `msg_key`s to where they will be wiped.
pub(crate) fn message_keys<'a, const N: usize>(
    keys: &mut [IgeKey; N],
    blocks: &mut [Ends; N],
    messages: impl Iterator<Item = Keyed<'a, [u8; 16]>>,
) {
    let mut digests = [const { [const { Wiped([0; 32]) }; 2] }; N];
    let mut places = blocks.iter_mut().zip(messages);
    let mut hashes = digests.each_mut().map(|[for_a, for_b]| match places.next() {
        Some((Ends([a, b]), (key, direction, msg_key))) => {
            let half = key.half(direction);
            join_into(a, &[msg_key, part::<0, 36, _>(half), &PADDING_OF_52]);
            join_into(b, &[part::<40, 36, _>(half), msg_key, &PADDING_OF_52]);
            [(a, for_a), (b, for_b)].map(|(block, digest)| Hash::of_blocks(from_ref(block), digest))
        }
        None => [for_a, for_b].map(|digest| Hash::of_blocks(&[], digest)),
    });
    Cpu::here().sha256(hashes.as_flattened_mut());
    for (IgeKey { key, iv }, [a, b]) in keys.iter_mut().zip(&digests) {
        join_into(key, &[part::<0, 8, _>(a), part::<8, 16, _>(b), part::<24, 8, _>(a)]);
        join_into(iv, &[part::<0, 8, _>(b), part::<8, 16, _>(a), part::<24, 8, _>(b)]);
    }
}

/// What makes 52 hashed bytes a whole block: one bit, zeros, and their length in bits.
const PADDING_OF_52: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xa0];

/// MTProto 1.0: the message key of a plaintext without its padding.
pub(crate) fn msg_key_v1(plaintext: &[u8]) -> [u8; 16] {
    *part::<4, 16, _>(&sha1(&[plaintext]))
}

/// MTProto 1.0: the cipher key of one message.
pub(crate) fn message_aes_v1(key: &AuthKey, direction: Direction, msg_key: &[u8; 16]) -> IgeKey {
    let half = key.half(direction);
    let a = Wiped(sha1(&[msg_key, part::<0, 32, _>(half)]));
    let b = Wiped(sha1(&[part::<32, 16, _>(half), msg_key, part::<48, 16, _>(half)]));
    let c = Wiped(sha1(&[part::<64, 32, _>(half), msg_key]));
    let d = Wiped(sha1(&[msg_key, part::<96, 32, _>(half)]));
    IgeKey::new(
        join(&[part::<0, 8, _>(&a), part::<8, 12, _>(&b), part::<4, 12, _>(&c)]),
        join(&[
            part::<8, 12, _>(&a),
            part::<0, 8, _>(&b),
            part::<16, 4, _>(&c),
            part::<0, 8, _>(&d),
        ]),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::vectors::{self, array, number};

    fn check(aes: &IgeKey, vector: &Value) {
        assert_eq!(*aes.key, array(&vector["aes_key"]));
        assert_eq!(*aes.iv, array(&vector["aes_iv"]));
    }

    #[test]
    fn message_keys_of_both_versions() {
        let primitives = &vectors::all()["primitives"];
        let key = AuthKey::new(vectors::counting());
        let msg_key = array(&primitives["msg_key"]);
        let (out, back) = (Direction::ClientToServer, Direction::ServerToClient);
        let messages = [(&key, out, &msg_key), (&key, back, &msg_key)];
        let mut blocks = [const { Ends::new() }; 2];
        let mut keys = [const { IgeKey::NONE }; 2];
        message_keys(&mut keys, &mut blocks, messages.into_iter());
        let [there, here] = keys;
        check(&there, &primitives["kdf_v2_x0"]);
        check(&here, &primitives["kdf_v2_x8"]);
        check(&message_aes_v1(&key, out, &msg_key), &primitives["kdf_v1_x0"]);
        check(&message_aes_v1(&key, back, &msg_key), &primitives["kdf_v1_x8"]);
        let v1 = &primitives["msg_key_v1"];
        let plaintext = v1["plaintext_ascii"].as_str().unwrap();
        assert_eq!(msg_key_v1(plaintext.as_bytes()), array(&v1["msg_key"]));
    }

    #[test]
    fn values_inside_the_exchange() {
        let primitives = &vectors::all()["primitives"];
        let tmp = &primitives["tmp_aes"];
        let aes = tmp_aes(&array(&tmp["new_nonce"]), &array(&tmp["server_nonce"]));
        assert_eq!((*aes.key, *aes.iv), (array(&tmp["key"]), array(&tmp["iv"])));
        let aux_hash = array(&primitives["auth_key_aux_hash"]);
        for (number, hash) in (1..).zip(primitives["new_nonce_hash"].as_array().unwrap()) {
            let new_nonce = array(&primitives["new_nonce"]);
            assert_eq!(new_nonce_hash(&new_nonce, number, aux_hash), array(hash));
        }
    }

    #[test]
    fn the_published_exchanges() {
        for name in ["auth_key_sample", "auth_key_flow_grammers"] {
            let flow = &vectors::all()[name];
            let (new_nonce, server_nonce) =
                (array(&flow["new_nonce"]), array(&flow["server_nonce"]));
            let aes = tmp_aes(&new_nonce, &server_nonce);
            assert_eq!(*aes.key, array(&flow["tmp_aes_key"]));
            assert_eq!(*aes.iv, array(&flow["tmp_aes_iv"]));
            let salt = first_salt(&new_nonce, &server_nonce);
            assert_eq!(salt, number(&flow["server_salt_i64"]));
        }
        let sample = &vectors::all()["auth_key_sample"];
        let (new_nonce, aux_hash) =
            (array(&sample["new_nonce"]), array(&sample["auth_key_aux_hash"]));
        for number in 1..=3 {
            let expected = array(&sample[format!("new_nonce_hash{number}")]);
            assert_eq!(new_nonce_hash(&new_nonce, number, aux_hash), expected);
        }
    }
}
