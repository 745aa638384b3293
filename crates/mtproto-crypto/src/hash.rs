//! Hashes over several pieces at once, and comparison that takes the same time either way.

use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::wipe::Wiped;

/// SHA-1 of the pieces one after the other. Where the protocol asks for it, nowhere else.
pub fn sha1(pieces: &[&[u8]]) -> [u8; 20] {
    digest::<Sha1, 20>(pieces)
}

/// SHA-256 of the pieces one after the other.
pub fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    digest::<Sha256, 32>(pieces)
}

/// HMAC-SHA-256 of the pieces one after the other; a key of any length.
pub fn hmac_sha256(key: &[u8], pieces: &[&[u8]]) -> [u8; 32] {
    // A key longer than a block is replaced by its hash (RFC 2104), so that it fits an array.
    let hashed;
    let short = if key.len() > HMAC_BLOCK_LEN {
        hashed = sha256(&[key]);
        hashed.as_slice()
    } else {
        key
    };
    let mut block = Wiped([0; HMAC_BLOCK_LEN]);
    for (slot, byte) in block.iter_mut().zip(short) {
        *slot = *byte;
    }
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().into()
}

/// Whether the two are equal, in a time that depends on their lengths only.
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

const HMAC_BLOCK_LEN: usize = 64;

fn digest<D: Digest, const N: usize>(pieces: &[&[u8]]) -> [u8; N]
where
    sha2::digest::Output<D>: Into<[u8; N]>,
{
    let mut digest = D::new();
    for piece in pieces {
        digest.update(piece);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::hex;

    #[test]
    fn pieces_hash_as_their_concatenation() {
        assert_eq!(sha1(&[b"a", b"", b"bc"]), sha1(&[b"abc"]));
        assert_eq!(sha1(&[b"abc"])[..], hex("a9993e364706816aba3e25717850c26c9cd0d89d"));
        assert_eq!(
            sha256(&[b"ab", b"c"])[..],
            hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        );
    }

    #[test]
    fn hmac_matches_rfc_4231() {
        let short = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        let long =
            hmac_sha256(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]);
        assert_eq!(
            short[..],
            hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        );
        assert_eq!(
            long[..],
            hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
        );
    }

    #[test]
    fn equality_wants_equal_lengths() {
        assert!(equal(b"abc", b"abc"));
        assert!(!equal(b"abc", b"abd"));
        assert!(!equal(b"abc", b"ab"));
        assert!(equal(b"", b""));
    }
}
