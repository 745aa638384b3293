//! Decryption and hash of one message at once, with the AES and the SHA instructions of x86-64.
//!
//! IGE waits for itself most of the time, and the hash of what it has decrypted fits into the gaps:
//! while four blocks are decrypted, the 64 bytes before them are hashed. How much there is of the
//! message is all that decides what runs.

#![allow(unsafe_code, reason = "the call into code that needs the instructions")]

use core::arch::x86_64::{
    __m128i, _mm_aesdec_si128, _mm_aesdeclast_si128, _mm_setzero_si128, _mm_xor_si128,
};

use super::aes_ni::{self, Chain, advance, load, store};
use super::sha_ni::{self, State, big_endian, load_block};
use super::sha256::{self, Digest, INITIAL, ROUNDS, digest, pad};
use super::{Block, Lane};
use crate::part::part;
use crate::wipe::Wiped;

/// Decrypts the lane, and returns the SHA-256 of `prefix` and the plaintext, which has at least two
/// blocks.
pub(super) fn decrypt_and_hash(
    _: aes_ni::Token,
    _: sha_ni::Token,
    lane: Lane<'_>,
    prefix: &[u8; 32],
) -> Digest {
    // SAFETY: the tokens say that the processor has these instructions.
    unsafe { run(lane, prefix) }
}

#[target_feature(enable = "aes,sha,ssse3,sse4.1")]
fn run(Lane { key, blocks }: Lane<'_>, prefix: &[u8; 32]) -> Digest {
    let len = prefix.len() + blocks.as_flattened().len();
    let Some((start, blocks)) = blocks.split_first_chunk_mut::<2>() else { return [0; 32] };
    let (middle, rest) = blocks.as_chunks_mut();
    let mut chain = Chain::new::<false>(key);

    advance::<false, 1>([(&mut chain, start)], 2);
    let [one, two] = start;
    let before =
        [load(part::<0, 16, _>(prefix)), load(part::<16, 16, _>(prefix)), load(one), load(two)];
    let mut digest = digest(INITIAL);
    let mut state = State::load(&digest);
    let before = decrypt_and_compress(&mut chain, middle, &mut state, before);
    let count = rest.len();
    advance::<false, 1>([(&mut chain, &mut *rest)], count);
    state.compress(before);

    let mut last = Wiped([0; sha256::BLOCK_LEN]);
    pad(&mut last, rest.as_flattened(), len);
    state.compress(load_block(&last));
    state.store(&mut digest, true);
    digest
}

/// Decrypts four blocks at a time, and meanwhile hashes the four `before` them. Returns the last
/// four, which are not hashed yet.
#[inline]
#[target_feature(enable = "aes,sha,ssse3,sse4.1")]
#[allow(clippy::indexing_slicing, reason = "the four of a piece, and the pieces by their count")]
fn decrypt_and_compress(
    chain: &mut Chain,
    pieces: &mut [[Block; 4]],
    state: &mut State,
    mut before: [__m128i; 4],
) -> [__m128i; 4] {
    let Chain { keys, fed, held } = chain;
    let zero = _mm_setzero_si128();
    let first_of = |piece: Option<&[Block; 4]>| piece.map_or(zero, |[first, ..]| load(first));
    let mut input = first_of(pieces.first());
    let mut cipher = _mm_xor_si128(_mm_xor_si128(input, *fed), keys[0]);
    for i in 0..pieces.len() {
        let first_of_next = first_of(pieces.get(i + 1));
        let piece = &mut pieces[i];
        let (mut rounds, mut words) = (*state, big_endian(before));
        for (j, round_keys) in ROUNDS.iter().enumerate() {
            for key in &keys[1..14] {
                cipher = _mm_aesdec_si128(cipher, *key);
            }
            let next = if j < 3 { load(&piece[j + 1]) } else { first_of_next };
            let white = _mm_xor_si128(next, keys[0]);
            let key = _mm_xor_si128(_mm_xor_si128(*held, keys[14]), white);
            cipher = _mm_aesdeclast_si128(cipher, key);
            before[j] = _mm_xor_si128(cipher, white);
            store(&mut piece[j], before[j]);
            (*held, input) = (input, next);
            rounds.quarter(&mut words, round_keys, j == 3);
        }
        *fed = before[3];
        *state = state.plus(rounds);
    }
    before
}
