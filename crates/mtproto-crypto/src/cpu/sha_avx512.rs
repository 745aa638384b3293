//! SHA-256 with the SHA instructions of x86-64 and the registers of AVX-512: four hashes side by
//! side, as in `sha_ni`, and the words of all of them in registers.
//!
//! Neither branches nor addresses depend on what is hashed.

#![allow(unsafe_code, reason = "the rounds in their order, and the call into such code")]

use core::arch::asm;
use core::arch::x86_64::{__m128i, _mm_add_epi32};

use super::sha_ni::{self, STREAMS, State, big_endian, load, load_block};
use super::sha256::{BLOCK_LEN, Hash, Keys, ROUNDS};

/// Proof that the processor has the instructions: only [`Token::detect`] makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token(sha_ni::Token);

impl Token {
    /// Asks the processor; the standard library remembers the answer.
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        sha_ni::Token::detect().filter(|_| found).map(Self)
    }

    /// A processor that has these has those of [`sha_ni`] as well.
    pub(super) fn sha_ni(self) -> sha_ni::Token {
        self.0
    }
}

/// Takes every hash to its end.
pub(super) fn sha256(token: Token, hashes: &mut [Hash<'_>]) {
    // SAFETY: the token says that the processor has these instructions.
    sha_ni::run(token.sha_ni(), hashes, |four, count| unsafe { compress(four, count) });
}

/// Takes `count` blocks of each, which has that many left.
#[target_feature(enable = "sha,ssse3,sse4.1,avx512f,avx512bw,avx512vl")]
fn compress(mut hashes: [&mut Hash<'_>; STREAMS], count: usize) {
    let mut states = hashes.each_ref().map(|hash| State::load(hash.digest));
    for _ in 0..count {
        let blocks = hashes.each_mut().map(|hash| hash.next_block().unwrap_or(&[0; BLOCK_LEN]));
        let mut words = blocks.map(|block| big_endian(load_block(block)));
        let mut rounds = states;
        let [first @ .., last] = &ROUNDS;
        for keys in first {
            sixteen::<true>(&mut rounds, &mut words, keys);
        }
        sixteen::<false>(&mut rounds, &mut words, last);
        for (state, rounds) in states.iter_mut().zip(rounds) {
            *state = state.plus(rounds);
        }
    }
    for (hash, state) in hashes.iter_mut().zip(states) {
        let has_ended = hash.left() == 0;
        state.store(hash.digest, has_ended);
    }
}

/// Sixteen rounds of each; if there are `MORE`, the words of the next sixteen too.
#[inline]
#[target_feature(enable = "sha,avx512f,avx512bw,avx512vl")]
fn sixteen<const MORE: bool>(
    states: &mut [State; STREAMS],
    words: &mut [Words; STREAMS],
    [first, second, third, fourth]: &[Keys; 4],
) {
    each::<MORE, 0>(states, words, first);
    each::<MORE, 1>(states, words, second);
    each::<MORE, 2>(states, words, third);
    each::<MORE, 3>(states, words, fourth);
}

#[inline]
#[target_feature(enable = "sha,avx512f,avx512bw,avx512vl")]
fn each<const MORE: bool, const I: usize>(
    states: &mut [State; STREAMS],
    words: &mut [Words; STREAMS],
    keys: &Keys,
) {
    for (state, words) in states.iter_mut().zip(words) {
        four::<MORE, I>(state, words, keys);
    }
}

/// The words of the next sixteen rounds, four to a register.
type Words = [__m128i; 4];

/// Four rounds with the words at `I`; if there are `MORE`, these are replaced by those of the
/// rounds after the next twelve. The order is written down for the reason that `sha_ni` gives.
#[inline]
#[target_feature(enable = "sha,avx512f,avx512bw,avx512vl")]
#[allow(clippy::indexing_slicing, reason = "four registers, counted by constants")]
fn four<const MORE: bool, const I: usize>(state: &mut State, words: &mut Words, keys: &Keys) {
    state.rounds(_mm_add_epi32(words[I], load(&keys.0)));
    if MORE {
        // SAFETY: touches no memory.
        unsafe {
            asm!(
                "vmovdqa64 {made}, {this:x}",
                "vmovdqa64 {other}, {second:x}",
                "sha256msg1 {made}, {other}",
                "vpalignr {other}, {newest:x}, {third:x}, 4",
                "vpaddd {made}, {made}, {other}",
                "vmovdqa64 {other}, {newest:x}",
                "sha256msg2 {made}, {other}",
                "vmovdqa64 {this:x}, {made}",
                this = inout(zmm_reg) words[I],
                second = in(zmm_reg) words[(I + 1) % 4],
                third = in(zmm_reg) words[(I + 2) % 4],
                newest = in(zmm_reg) words[(I + 3) % 4],
                made = out(xmm_reg) _,
                other = out(xmm_reg) _,
                options(nomem, nostack, preserves_flags),
            );
        }
    }
}
