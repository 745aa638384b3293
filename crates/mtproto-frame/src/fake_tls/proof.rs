//! What both sides prove that they know the secret with.

use mtproto_crypto::hash::{equal, hmac_sha256};

use super::RANDOM_LEN;
use crate::SecretKey;

/// The random bytes of a hello.
pub(super) type Random = [u8; RANDOM_LEN];

/// What stands in a hello until its proof is known.
pub(super) const BLANK: Random = [0; RANDOM_LEN];

/// How many of the random bytes are the proof alone; the others carry the time too.
const PROOF_LEN: usize = 28;

/// The random bytes of a client's hello: the digest of the record with blank ones, its last four
/// bytes mixed with the time in seconds since 1970.
pub(super) fn of_client(digest: &Random, unix_time: u32) -> Random {
    let mut random = *digest;
    if let Some(end) = random.last_chunk_mut() {
        *end = (u32::from_le_bytes(*end) ^ unix_time).to_le_bytes();
    }
    random
}

/// The time in a client's random bytes, in seconds since 1970, if they prove what `digest` is of.
pub(super) fn time_in(random: &Random, digest: &Random) -> Option<u32> {
    let ((proof, time), (expected, mask)) =
        (random.split_at_checked(PROOF_LEN)?, digest.split_at_checked(PROOF_LEN)?);
    let is_proven = equal(proof, expected);
    let time = u32::from_le_bytes(*time.first_chunk()?) ^ u32::from_le_bytes(*mask.first_chunk()?);
    is_proven.then_some(time)
}

/// The digest of a hello as it is with blank random bytes, behind `before`, which it is bound to.
pub(super) fn digest(key: &SecretKey, before: &[u8], hello: &[u8]) -> Random {
    let (head, rest) = hello.split_at_checked(RANDOM_AT).unwrap_or_default();
    let tail = rest.get(RANDOM_LEN..).unwrap_or_default();
    hmac_sha256(key.as_bytes(), &[before, head, &BLANK, tail])
}

/// The random bytes of a hello; `None` if it is too short to have them.
pub(super) fn random_of(hello: &[u8]) -> Option<&Random> {
    hello.get(RANDOM_AT..)?.first_chunk()
}

/// Writes the random bytes of a hello, which is long enough.
pub(super) fn put_random(hello: &mut [u8], random: &Random) {
    match hello.get_mut(RANDOM_AT..).and_then(|bytes| bytes.first_chunk_mut()) {
        Some(slot) => *slot = *random,
        None => debug_assert!(false, "a hello of {} bytes", hello.len()),
    }
}

/// Where the random bytes are in a hello: behind the headers of record and message, and a version.
pub(super) const RANDOM_AT: usize = 11;
