//! SHA-256 with the SHA instructions of x86-64: up to four hashes side by side.
//!
//! A round waits for the one before; the rounds of other messages fill the gaps. Neither branches
//! nor addresses depend on what is hashed.

#![allow(unsafe_code, reason = "loads, stores and the call into code that needs the instructions")]

use core::arch::asm;
use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_loadu_si128, _mm_set_epi64x, _mm_setzero_si128,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32, _mm_storeu_si128, _mm_unpackhi_epi64, _mm_unpacklo_epi64,
};

use zeroize::Zeroize;

use super::sha256::{Block, Digest, Keys, ROUNDS};
use super::{Hash, PORTABLE_ONLY};
use crate::part::part;

/// Proof that the processor has the instructions: only [`Token::detect`] makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token(());

impl Token {
    /// Asks the processor; the standard library remembers the answer.
    pub(super) fn detect() -> Option<Self> {
        let found = !PORTABLE_ONLY
            && is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        found.then_some(Self(()))
    }
}

/// Takes every hash to its end.
pub(super) fn sha256(token: Token, hashes: &mut [Hash<'_>]) {
    // SAFETY: the token says that the processor has these instructions.
    run(token, hashes, |four, count| unsafe { compress(four, count) });
}

/// Hashes side by side.
pub(super) const STREAMS: usize = 4;

/// Keeps up to [`STREAMS`] hashes going, each turn as far as the shortest goes; `compress_all` runs
/// a turn of so many.
#[inline]
pub(super) fn run(
    _: Token,
    hashes: &mut [Hash<'_>],
    compress_all: impl Fn([&mut Hash<'_>; STREAMS], usize),
) {
    // Hashes of one length need no more than this: what stands between two turns is time in which
    // the rounds run dry.
    let mut done = 0;
    for four in hashes.as_chunks_mut::<STREAMS>().0 {
        let [first, others @ ..] = &*four;
        let count = first.left();
        if others.iter().any(|hash| hash.left() != count) {
            break;
        }
        compress_all(four.each_mut(), count);
        done += STREAMS;
    }
    let mut waiting = hashes.iter_mut().skip(done);
    let mut streams: [Option<&mut Hash<'_>>; STREAMS] = [const { None }; STREAMS];
    loop {
        for place in &mut streams {
            if place.as_ref().is_none_or(|hash| hash.left() == 0) {
                *place = waiting.find(|hash| hash.left() > 0);
            }
        }
        let going = streams.iter().flatten();
        let Some(count) = going.map(|hash| hash.left()).min() else { break };
        let mut going = streams.iter_mut().flatten().map(|hash| &mut **hash);
        // SAFETY: the token says that the processor has these instructions.
        match [going.next(), going.next(), going.next(), going.next()] {
            [Some(a), Some(b), Some(c), Some(d)] => compress_all([a, b, c, d], count),
            [Some(a), Some(b), Some(c), None] => unsafe { compress([a, b, c], count) },
            [Some(a), Some(b), None, _] => unsafe { compress([a, b], count) },
            [Some(a), None, ..] => unsafe { compress([a], count) },
            [None, ..] => break,
        }
    }
}

/// Takes `count` blocks of each, which has that many left.
#[inline(never)]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress<const N: usize>(mut hashes: [&mut Hash<'_>; N], count: usize) {
    let mut states = hashes.each_ref().map(|hash| State::load(hash.digest));
    let mut rings = [[_mm_setzero_si128(); 4]; N];
    for _ in 0..count {
        for (ring, hash) in rings.iter_mut().zip(&mut hashes) {
            if let Some(block) = hash.next_block() {
                *ring = big_endian(load_block(block));
            }
        }
        let mut rounds = states;
        let mut newest = rings.map(|[.., newest]| newest);
        let [first @ .., last] = &ROUNDS;
        for keys in first {
            sixteen::<true, N>(&mut rounds, &mut rings, &mut newest, keys);
        }
        sixteen::<false, N>(&mut rounds, &mut rings, &mut newest, last);
        for (state, rounds) in states.iter_mut().zip(rounds) {
            *state = state.plus(rounds);
        }
    }
    rings.zeroize();
    for (hash, state) in hashes.iter_mut().zip(states) {
        let has_ended = hash.left() == 0;
        state.store(hash.digest, has_ended);
    }
}

/// Sixteen rounds of each; if there are `MORE`, the words of the next sixteen too.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn sixteen<const MORE: bool, const N: usize>(
    states: &mut [State; N],
    rings: &mut [Ring; N],
    newest: &mut [__m128i; N],
    [first, second, third, fourth]: &[Keys; 4],
) {
    each::<0, MORE, N>(states, rings, newest, first);
    each::<1, MORE, N>(states, rings, newest, second);
    each::<2, MORE, N>(states, rings, newest, third);
    each::<3, MORE, N>(states, rings, newest, fourth);
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn each<const I: usize, const MORE: bool, const N: usize>(
    states: &mut [State; N],
    rings: &mut [Ring; N],
    newest: &mut [__m128i; N],
    keys: &Keys,
) {
    for ((state, ring), newest) in states.iter_mut().zip(rings).zip(newest) {
        state.four::<I, MORE>(ring, newest, keys);
    }
}

/// The words of the next sixteen rounds, four at a time. It stays in memory: there are not enough
/// registers for those of all hashes.
type Ring = [__m128i; 4];

impl State {
    /// Four rounds with four words that their constants were added to.
    ///
    /// The order is written down because it is all that counts: left alone, the compiler takes
    /// one hash through all its rounds before the next, or puts states where they wait for memory.
    #[inline]
    #[target_feature(enable = "sha,sse2")]
    pub(super) fn rounds(&mut self, words: __m128i) {
        let State(abef, cdgh) = self;
        // SAFETY: touches no memory.
        unsafe {
            asm!(
                "sha256rnds2 {cdgh}, {abef}",
                "pshufd xmm0, xmm0, 14",
                "sha256rnds2 {abef}, {cdgh}",
                abef = inout(xmm_reg) *abef,
                cdgh = inout(xmm_reg) *cdgh,
                inout("xmm0") words => _,
                options(nomem, nostack, preserves_flags),
            );
        }
    }

    /// Four rounds with the words at `I`; if there are `MORE`, these are replaced by those of the
    /// rounds after the next twelve, in an order that is written down as that of the rounds is.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn four<const I: usize, const MORE: bool>(
        &mut self,
        ring: &mut Ring,
        newest: &mut __m128i,
        keys: &Keys,
    ) {
        let words = ring.as_mut_ptr();
        let keyed;
        // SAFETY: reads the four words and the keys, both aligned as a register is.
        unsafe {
            asm!(
                "movdqa {keyed}, [{words} + {this}]",
                "paddd {keyed}, [{keys}]",
                keyed = out(xmm_reg) keyed,
                words = in(reg) words,
                keys = in(reg) keys,
                this = const 16 * I,
                options(nostack, preserves_flags, readonly),
            );
        }
        self.rounds(keyed);
        if MORE {
            // SAFETY: reads and writes the four words, which are aligned as a register is.
            unsafe {
                asm!(
                    "movdqa {made}, [{words} + {this}]",
                    "sha256msg1 {made}, [{words} + {second}]",
                    "movdqa {other}, {newest}",
                    "palignr {other}, [{words} + {third}], 4",
                    "paddd {made}, {other}",
                    "sha256msg2 {made}, {newest}",
                    "movdqa [{words} + {this}], {made}",
                    newest = in(xmm_reg) *newest,
                    made = out(xmm_reg) *newest,
                    other = out(xmm_reg) _,
                    words = in(reg) words,
                    this = const 16 * I,
                    second = const 16 * ((I + 1) % 4),
                    third = const 16 * ((I + 2) % 4),
                    options(nostack, preserves_flags),
                );
            }
        }
    }
}

/// The eight words in the order of the instructions: `abef` and `cdgh`.
#[derive(Clone, Copy)]
pub(super) struct State(pub(super) __m128i, pub(super) __m128i);

impl State {
    #[target_feature(enable = "sse2")]
    pub(super) fn load(state: &Digest) -> Self {
        let (low, high) =
            (load_bytes(part::<0, 16, _>(state)), load_bytes(part::<16, 16, _>(state)));
        let (dcba, hgfe) = (reversed(low), reversed(high));
        Self(_mm_unpackhi_epi64(hgfe, dcba), _mm_unpacklo_epi64(hgfe, dcba))
    }

    /// Leaves the words of a hash that goes on, and the bytes of one that `has_ended`.
    #[target_feature(enable = "ssse3")]
    pub(super) fn store(self, state: &mut Digest, has_ended: bool) {
        let Self(abef, cdgh) = self;
        let dcba = _mm_unpackhi_epi64(cdgh, abef);
        let hgfe = _mm_unpacklo_epi64(cdgh, abef);
        let order = if has_ended {
            _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f)
        } else {
            _mm_set_epi64x(0x0302_0100_0706_0504, 0x0b0a_0908_0f0e_0d0c)
        };
        for (half, value) in state.as_chunks_mut().0.iter_mut().zip([dcba, hgfe]) {
            store(half, _mm_shuffle_epi8(value, order));
        }
    }

    /// The state after a block: that before it plus what its rounds made.
    #[target_feature(enable = "sse2")]
    pub(super) fn plus(self, rounds: Self) -> Self {
        Self(_mm_add_epi32(self.0, rounds.0), _mm_add_epi32(self.1, rounds.1))
    }

    /// One more block, given as its bytes.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    pub(super) fn compress(&mut self, block: [__m128i; 4]) {
        let (mut rounds, mut words) = (*self, big_endian(block));
        for (quarter, keys) in ROUNDS.iter().enumerate() {
            rounds.quarter(&mut words, keys, quarter == 3);
        }
        *self = self.plus(rounds);
    }

    /// Sixteen rounds; all but the last sixteen also make the words of the next sixteen.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    #[allow(clippy::indexing_slicing, reason = "four words and four keys, counted by constants")]
    pub(super) fn quarter(&mut self, words: &mut [__m128i; 4], keys: &[Keys; 4], last: bool) {
        let Self(abef, cdgh) = self;
        for i in 0..4 {
            let keyed = _mm_add_epi32(words[i], load(&keys[i].0));
            *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, keyed);
            if !last {
                let (next, third, fourth) =
                    (words[(i + 1) & 3], words[(i + 2) & 3], words[(i + 3) & 3]);
                let sum = _mm_sha256msg1_epu32(words[i], next);
                let sum = _mm_add_epi32(sum, _mm_alignr_epi8(fourth, third, 4));
                words[i] = _mm_sha256msg2_epu32(sum, fourth);
            }
            *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(keyed, 0x0e));
        }
    }
}

/// The bytes of a block.
#[inline]
#[target_feature(enable = "ssse3")]
pub(super) fn load_block(block: &Block) -> [__m128i; 4] {
    let mut bytes = [_mm_setzero_si128(); 4];
    for (slot, quarter) in bytes.iter_mut().zip(block.as_chunks().0) {
        *slot = load_bytes(quarter);
    }
    bytes
}

/// The sixteen words that the bytes of a block stand for.
#[inline]
#[target_feature(enable = "ssse3")]
pub(super) fn big_endian(mut block: [__m128i; 4]) -> [__m128i; 4] {
    let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    for bytes in &mut block {
        *bytes = _mm_shuffle_epi8(*bytes, order);
    }
    block
}

/// The four words in the opposite order.
#[inline]
#[target_feature(enable = "sse2")]
fn reversed(words: __m128i) -> __m128i {
    _mm_shuffle_epi32(words, 0x1b)
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn load(words: &[u32; 4]) -> __m128i {
    // SAFETY: reads the 16 bytes of the array; no alignment is asked for.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn load_bytes(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: reads the 16 bytes of the array; no alignment is asked for.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn store(bytes: &mut [u8; 16], value: __m128i) {
    // SAFETY: writes the 16 bytes of the array; no alignment is asked for.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), value) }
}
