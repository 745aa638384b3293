//! SHA-256 with 512-bit registers: sixteen hashes side by side, a word of each in one register.
//!
//! A turn costs the same whatever the number of hashes, so that a few are left to the SHA
//! instructions. Neither branches nor addresses depend on what is hashed.

#![allow(unsafe_code, reason = "loads, stores and the call into code that needs the instructions")]
#![allow(clippy::indexing_slicing, reason = "sixteen lanes and words, counted by constants")]

use core::arch::x86_64::{
    __m512i, _mm_set_epi64x, _mm256_storeu_si256, _mm512_add_epi32, _mm512_broadcast_i32x4,
    _mm512_castsi512_si256, _mm512_loadu_si512, _mm512_mask_add_epi32, _mm512_ror_epi32,
    _mm512_set1_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_i64x2,
    _mm512_srli_epi32, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::sha256::{BLOCK_LEN, Block, INITIAL, ROUNDS};
use super::{Hash, sha_ni};

/// Proof that the processor has the instructions: only [`Token::detect`] makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token(sha_ni::Token);

impl Token {
    /// Asks the processor; the standard library remembers the answer.
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        sha_ni::Token::detect().filter(|_| found).map(Self)
    }

    /// A processor that has these has those of [`sha_ni`] as well.
    pub(super) fn sha_ni(self) -> sha_ni::Token {
        self.0
    }
}

/// Takes every hash to its end.
pub(super) fn sha256(token: Token, hashes: &mut [Hash<'_>]) {
    for hashes in hashes.chunks_mut(LANES) {
        if hashes.len() >= LANES_MIN {
            // SAFETY: the token says that the processor has these instructions.
            unsafe { run(hashes) }
        }
    }
    sha_ni::sha256(token.sha_ni(), hashes);
}

const LANES: usize = 16;
/// Fewer hashes are done sooner two by two: that takes 16 ns for a block, and a turn here 180.
const LANES_MIN: usize = 11;

/// Sixteen words of one register, or sixteen registers of one word each.
type Square = [__m512i; LANES];

/// Takes up to sixteen hashes from their beginning on while there are enough of them, each turn as
/// far as the shortest of their pieces goes.
#[target_feature(enable = "avx512f,avx512bw")]
fn run(hashes: &mut [Hash<'_>]) {
    let mut states = INITIAL.map(u32::cast_signed).map(|word| _mm512_set1_epi32(word));
    loop {
        let ready = hashes.iter().map(Hash::ready).filter(|ready| *ready > 0);
        let (lanes, count) = ready.fold((0, usize::MAX), |(n, least), it| (n + 1, least.min(it)));
        if lanes < LANES_MIN {
            return store_states(states, hashes);
        }
        let mut blocks: [&[Block]; LANES] = [&[]; LANES];
        let mut going = 0;
        for (lane, (hash, blocks)) in hashes.iter_mut().zip(&mut blocks).enumerate() {
            if hash.ready() > 0 {
                *blocks = hash.take(count);
                going |= 1 << lane;
            }
        }
        compress(&mut states, &blocks, going, count);
    }
}

/// Puts `count` blocks through every lane that is `going`; the others keep their states.
#[target_feature(enable = "avx512f,avx512bw")]
fn compress(states: &mut [__m512i; 8], blocks: &[&[Block]; LANES], going: u16, count: usize) {
    let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let order = _mm512_broadcast_i32x4(order);
    for i in 0..count {
        let mut words = [_mm512_setzero_si512(); LANES];
        for (word, blocks) in words.iter_mut().zip(blocks) {
            *word = load(blocks.get(i).unwrap_or(&[0; BLOCK_LEN]));
        }
        transpose(&mut words);
        for word in &mut words {
            *word = _mm512_shuffle_epi8(*word, order);
        }
        let made = rounds(*states, words);
        for (state, made) in states.iter_mut().zip(made) {
            *state = _mm512_mask_add_epi32(*state, going, *state, made);
        }
    }
}

/// The 64 rounds of a block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn rounds(mut states: [__m512i; 8], mut words: Square) -> [__m512i; 8] {
    let [first @ .., last] = &ROUNDS;
    for keys in first {
        states = quarter::<true>(states, &mut words, keys);
    }
    quarter::<false>(states, &mut words, last)
}

/// Sixteen rounds; if there are `MORE`, the words of the next sixteen too.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn quarter<const MORE: bool>(
    states: [__m512i; 8],
    words: &mut Square,
    keys: &[[u32; 4]; 4],
) -> [__m512i; 8] {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = states;
    // Written out, so that every word has its register.
    macro_rules! rounds {
        ($($i:literal)*) => { $(
            let word = words[$i];
            let key = _mm512_set1_epi32(keys[$i / 4][$i % 4].cast_signed());
            let sum = _mm512_add_epi32(_mm512_add_epi32(h, word), key);
            let choice = _mm512_ternarylogic_epi32(e, f, g, 0xca);
            let sum = _mm512_add_epi32(sum, _mm512_add_epi32(turned::<6, 11, 25>(e), choice));
            let majority = _mm512_ternarylogic_epi32(a, b, c, 0xe8);
            let other = _mm512_add_epi32(turned::<2, 13, 22>(a), majority);
            (h, g, f, e) = (g, f, e, _mm512_add_epi32(d, sum));
            (d, c, b, a) = (c, b, a, _mm512_add_epi32(sum, other));
            if MORE {
                let (second, fifteenth) = (words[($i + 1) % 16], words[($i + 14) % 16]);
                let sum = _mm512_add_epi32(word, words[($i + 9) % 16]);
                let sum = _mm512_add_epi32(sum, shifted::<7, 18, 3>(second));
                words[$i] = _mm512_add_epi32(sum, shifted::<17, 19, 10>(fifteenth));
            }
        )* };
    }
    rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    [a, b, c, d, e, f, g, h]
}

/// The sum of three rotations.
#[inline]
#[target_feature(enable = "avx512f")]
fn turned<const ONE: i32, const TWO: i32, const THREE: i32>(word: __m512i) -> __m512i {
    let (one, two) = (_mm512_ror_epi32(word, ONE), _mm512_ror_epi32(word, TWO));
    _mm512_ternarylogic_epi32(one, two, _mm512_ror_epi32(word, THREE), 0x96)
}

/// The sum of two rotations and a shift.
#[inline]
#[target_feature(enable = "avx512f")]
fn shifted<const ONE: i32, const TWO: i32, const SHIFT: u32>(word: __m512i) -> __m512i {
    let (one, two) = (_mm512_ror_epi32(word, ONE), _mm512_ror_epi32(word, TWO));
    _mm512_ternarylogic_epi32(one, two, _mm512_srli_epi32(word, SHIFT), 0x96)
}

/// Gives every hash its state back.
#[target_feature(enable = "avx512f,avx512bw")]
fn store_states(states: [__m512i; 8], hashes: &mut [Hash<'_>]) {
    let mut square = [_mm512_setzero_si512(); LANES];
    for (row, state) in square.iter_mut().zip(states) {
        *row = state;
    }
    transpose(&mut square);
    for (hash, row) in hashes.iter_mut().zip(square) {
        let state = _mm512_castsi512_si256(row);
        // SAFETY: writes the 32 bytes of the array; no alignment is asked for.
        unsafe { _mm256_storeu_si256(hash.state.as_mut_ptr().cast(), state) }
    }
}

/// Turns sixteen rows of sixteen words into columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose(rows: &mut Square) {
    let mut pairs = *rows;
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    let mut fours = pairs;
    for i in 0..4 {
        let [a, b, c, d] = [pairs[4 * i], pairs[4 * i + 1], pairs[4 * i + 2], pairs[4 * i + 3]];
        fours[4 * i] = _mm512_unpacklo_epi64(a, c);
        fours[4 * i + 1] = _mm512_unpackhi_epi64(a, c);
        fours[4 * i + 2] = _mm512_unpacklo_epi64(b, d);
        fours[4 * i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    // Now the 128 bits at `b` of row `4 * i + j` are words `4 * b + j` of rows `4 * i ..`.
    for j in 0..4 {
        let columns = transpose_quarters([fours[j], fours[4 + j], fours[8 + j], fours[12 + j]]);
        for (b, column) in columns.into_iter().enumerate() {
            rows[4 * b + j] = column;
        }
    }
}

/// Turns four rows of four times 128 bits into columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_quarters(rows: [__m512i; 4]) -> [__m512i; 4] {
    let [one, two, three, four] = rows;
    let (low, high) = (_mm512_shuffle_i64x2(one, two, 0x44), _mm512_shuffle_i64x2(one, two, 0xee));
    let (more_low, more_high) =
        (_mm512_shuffle_i64x2(three, four, 0x44), _mm512_shuffle_i64x2(three, four, 0xee));
    [
        _mm512_shuffle_i64x2(low, more_low, 0x88),
        _mm512_shuffle_i64x2(low, more_low, 0xdd),
        _mm512_shuffle_i64x2(high, more_high, 0x88),
        _mm512_shuffle_i64x2(high, more_high, 0xdd),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: reads the 64 bytes of the array; no alignment is asked for.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}
