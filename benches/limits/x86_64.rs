//! The limits in the instructions of x86-64.

#![allow(unsafe_code, reason = "the calls into code that needs the instructions")]

use core::arch::x86_64::{
    __m128i, _mm_aesenc_si128, _mm_aesenclast_si128, _mm_cvtsi128_si32, _mm_set1_epi32,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_xor_si128, _mm512_aesenc_epi128, _mm512_cvtsi512_si32, _mm512_set1_epi32,
};
use std::hint::black_box;

/// The limits of a processor that has all that we use. Every result depends on the seed, which is
/// the result before: the work of two calls does not overlap.
#[derive(Clone, Copy)]
pub(super) struct Limits(());

impl Limits {
    /// `None` if there is an instruction that this processor lacks.
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("avx512f");
        found.then_some(Self(()))
    }

    /// IGE of one message.
    pub(super) fn ige(self, seed: i32, len: usize) -> i32 {
        // SAFETY: `detect` found the instructions.
        unsafe { aes_chain(seed, len / 16) }
    }

    /// IGE of sixteen messages.
    pub(super) fn ige_of_16(self, seed: i32, len: usize) -> i32 {
        // SAFETY: `detect` found the instructions.
        unsafe { aes_registers::<4>(seed, len / 16) }
    }

    /// A keystream, in as many registers as hide what a round takes.
    pub(super) fn ctr(self, seed: i32, len: usize) -> i32 {
        // SAFETY: `detect` found the instructions.
        unsafe { aes_registers::<8>(seed, len / (8 * 64)) }
    }

    /// Sealing `len` bytes of plaintext: hash, key, cipher, each after the one before. The two
    /// hashes of a key stand side by side.
    pub(super) fn seal(self, seed: i32, len: usize) -> i32 {
        // SAFETY: `detect` found the instructions.
        unsafe {
            let msg_key = sha_chain(seed, padded(KEY_PART_LEN + len));
            aes_chain(schedule_chain(sha_chain(msg_key, 1)), len / 16)
        }
    }

    /// Sealing sixteen messages at once.
    pub(super) fn seal_of_16(self, seed: i32, len: usize) -> i32 {
        // SAFETY: `detect` found the instructions.
        unsafe {
            let msg_keys = sha_streams(seed, 16 * padded(KEY_PART_LEN + len));
            aes_registers::<4>(sha_streams(msg_keys, 16 * 2), len / 16)
        }
    }

    /// Opening: key and cipher; of the hash only the last two blocks, which the cipher cannot hide.
    pub(super) fn open(self, seed: i32, len: usize) -> i32 {
        // SAFETY: `detect` found the instructions.
        unsafe {
            let text = aes_chain(schedule_chain(sha_chain(seed, 1)), len / 16);
            sha_chain(text, 2)
        }
    }
}

/// Bytes of the auth key that are hashed before a plaintext.
const KEY_PART_LEN: usize = 32;

/// Blocks of a hash over `len` bytes.
fn padded(len: usize) -> usize {
    (len + 9).div_ceil(64)
}

#[target_feature(enable = "aes")]
fn aes_chain(seed: i32, blocks: usize) -> i32 {
    let keys = black_box([_mm_set1_epi32(7); 14]);
    let mut state = _mm_set1_epi32(seed);
    for _ in 0..blocks {
        for key in keys {
            state = _mm_aesenc_si128(state, key);
        }
    }
    _mm_cvtsi128_si32(state)
}

/// 14 rounds in each of `N` registers, for every one of `blocks`.
#[target_feature(enable = "avx512f,vaes")]
fn aes_registers<const N: usize>(seed: i32, blocks: usize) -> i32 {
    let keys = black_box([_mm512_set1_epi32(7); 14]);
    let mut states = black_box([_mm512_set1_epi32(seed); N]);
    for _ in 0..blocks {
        for key in &keys {
            for state in &mut states {
                *state = _mm512_aesenc_epi128(*state, *key);
            }
        }
    }
    _mm512_cvtsi512_si32(black_box(states)[0])
}

#[target_feature(enable = "aes,ssse3")]
fn schedule_chain(seed: i32) -> i32 {
    let mut key = _mm_set1_epi32(seed);
    let order = black_box(_mm_set1_epi32(0x0c0f_0e0d));
    for _ in 2..15 {
        key = _mm_xor_si128(_mm_aesenclast_si128(_mm_shuffle_epi8(key, order), order), order);
    }
    _mm_cvtsi128_si32(key)
}

#[target_feature(enable = "sha")]
fn sha_chain(seed: i32, blocks: usize) -> i32 {
    let [mut one, mut two, words] = [_mm_set1_epi32(seed), _mm_set1_epi32(3), _mm_set1_epi32(7)];
    for _ in 0..blocks * 16 {
        two = _mm_sha256rnds2_epu32(two, one, words);
        one = _mm_sha256rnds2_epu32(one, two, words);
    }
    _mm_cvtsi128_si32(_mm_xor_si128(one, two))
}

/// The rounds of so many blocks and the words of 48 of each 64, four blocks side by side.
#[target_feature(enable = "sha")]
fn sha_streams(seed: i32, blocks: usize) -> i32 {
    let mut states = black_box([[_mm_set1_epi32(seed), _mm_set1_epi32(3)]; 4]);
    let mut words = black_box([_mm_set1_epi32(7); 4]);
    for _ in 0..blocks / 4 {
        for _ in 0..12 {
            four_rounds::<true>(&mut states, &mut words);
        }
        for _ in 0..4 {
            four_rounds::<false>(&mut states, &mut words);
        }
    }
    _mm_cvtsi128_si32(black_box(states)[0][0])
}

#[inline]
#[target_feature(enable = "sha")]
fn four_rounds<const MORE: bool>(states: &mut [[__m128i; 2]; 4], words: &mut [__m128i; 4]) {
    for ([one, two], words) in states.iter_mut().zip(words) {
        *two = _mm_sha256rnds2_epu32(*two, *one, *words);
        *one = _mm_sha256rnds2_epu32(*one, *two, *words);
        if MORE {
            *words = _mm_sha256msg2_epu32(_mm_sha256msg1_epu32(*words, *words), *words);
        }
    }
}
