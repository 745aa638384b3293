//! IGE with the AES instructions of x86-64: up to four messages side by side.
//!
//! IGE is a chain, so the instructions of one message wait for each other; those of another fill
//! the gaps. Messages need not be of one length: when one ends, the next takes its place.
//!
//! Both whitenings are folded into the last round: with
//! `s' = aesenclast(s, k14 ^ before ^ k0 ^ next)` the next round's input comes straight out of the
//! last one, and the ciphertext `s' ^ k0 ^ next` is off the chain.
//!
//! The key schedule is made of rounds too: a substitution by table would tell where it looked.

#![allow(unsafe_code, reason = "loads, stores and the call into code that needs the instructions")]

use core::arch::x86_64::{
    __m128i, _mm_aesdec_si128, _mm_aesdeclast_si128, _mm_aesenc_si128, _mm_aesenclast_si128,
    _mm_aesimc_si128, _mm_loadu_si128, _mm_set1_epi32, _mm_setzero_si128, _mm_shuffle_epi8,
    _mm_slli_epi32, _mm_slli_si128, _mm_storeu_si128, _mm_xor_si128,
};

use zeroize::Zeroize;

use super::{Block, Lane, PORTABLE_ONLY};
use crate::ige::{BLOCK_LEN, IgeKey};
use crate::part::part;

/// Proof that the processor has the instructions: only [`Token::detect`] makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token(());

impl Token {
    /// Asks the processor; the standard library remembers the answer.
    pub(super) fn detect() -> Option<Self> {
        let found = !PORTABLE_ONLY
            && is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        found.then_some(Self(()))
    }
}

/// Encrypts every lane.
pub(super) fn encrypt<'a>(_: Token, lanes: impl Iterator<Item = Lane<'a>>) {
    // SAFETY: the token says that the processor has these instructions.
    unsafe { run::<true>(lanes) }
}

/// Decrypts every lane.
pub(super) fn decrypt<'a>(_: Token, lanes: impl Iterator<Item = Lane<'a>>) {
    // SAFETY: the token says that the processor has these instructions.
    unsafe { run::<false>(lanes) }
}

/// Encrypts one lane, with less ado than a list of one.
pub(super) fn encrypt_one(_: Token, Lane { key, blocks }: Lane<'_>) {
    let count = blocks.len();
    // SAFETY: the token says that the processor has these instructions.
    unsafe { advance::<true, 1>([(&mut Chain::new::<true>(key), blocks)], count) }
}

/// Decrypts one lane, likewise.
pub(super) fn decrypt_one(_: Token, Lane { key, blocks }: Lane<'_>) {
    let count = blocks.len();
    // SAFETY: the token says that the processor has these instructions.
    unsafe { advance::<false, 1>([(&mut Chain::new::<false>(key), blocks)], count) }
}

/// Adds the keystream from `counter` on to the pieces.
pub(super) fn ctr(_: Token, key: &[u8; 32], counter: u128, pieces: [&mut [Block]; 2]) {
    // SAFETY: the token says that the processor has these instructions.
    unsafe { run_ctr(key, counter, pieces) }
}

/// Messages side by side: four times fourteen instructions hide the latency of one.
const STREAMS: usize = 4;

/// Keeps up to [`STREAMS`] messages going: each turn runs all of them as far as the shortest goes,
/// and then fills the places that are free.
#[target_feature(enable = "aes,ssse3,sse4.1")]
fn run<'a, const ENCRYPT: bool>(lanes: impl Iterator<Item = Lane<'a>>) {
    let mut lanes = lanes.filter(|lane| !lane.blocks.is_empty());
    let mut streams: [Option<Stream<'_>>; STREAMS] = [const { None }; STREAMS];
    loop {
        for place in &mut streams {
            if place.as_ref().is_none_or(|stream| stream.blocks.is_empty()) {
                *place = lanes.next().map(|Lane { key, blocks }| Stream {
                    chain: Chain::new::<ENCRYPT>(key),
                    blocks,
                });
            }
        }
        let going = streams.iter().flatten();
        let Some(count) = going.map(|stream| stream.blocks.len()).min() else { return };
        let mut going = streams.iter_mut().flatten().map(|stream| stream.take(count));
        match [going.next(), going.next(), going.next(), going.next()] {
            [Some(a), Some(b), Some(c), Some(d)] => advance::<ENCRYPT, 4>([a, b, c, d], count),
            [Some(a), Some(b), Some(c), None] => advance::<ENCRYPT, 3>([a, b, c], count),
            [Some(a), Some(b), None, _] => advance::<ENCRYPT, 2>([a, b], count),
            [Some(a), None, ..] => advance::<ENCRYPT, 1>([a], count),
            [None, ..] => return,
        }
    }
}

/// Round keys, in the order in which the cipher's direction takes them.
pub(super) type Schedule = [__m128i; 15];

/// One message in work.
struct Stream<'a> {
    chain: Chain,
    blocks: &'a mut [Block],
}

impl<'a> Stream<'a> {
    /// The next `count` blocks, with the chain that they belong to.
    fn take(&mut self, count: usize) -> (&mut Chain, &'a mut [Block]) {
        let (taken, rest) = core::mem::take(&mut self.blocks).split_at_mut(count);
        self.blocks = rest;
        (&mut self.chain, taken)
    }
}

/// What a message carries from block to block.
pub(super) struct Chain {
    pub(super) keys: Schedule,
    /// The output block before the next one, which the chain adds to the input.
    pub(super) fed: __m128i,
    /// The input block before the next one, which the chain adds to the output.
    pub(super) held: __m128i,
}

impl Chain {
    #[target_feature(enable = "aes,ssse3,sse4.1")]
    pub(super) fn new<const ENCRYPT: bool>(key: &IgeKey) -> Self {
        let cipher = load(part::<0, BLOCK_LEN, _>(&key.iv));
        let plain = load(part::<BLOCK_LEN, BLOCK_LEN, _>(&key.iv));
        let keys = expand(&key.key);
        if ENCRYPT {
            Self { keys, fed: cipher, held: plain }
        } else {
            Self { keys: inverse(keys), fed: plain, held: cipher }
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.keys.zeroize();
        self.fed.zeroize();
        self.held.zeroize();
    }
}

/// Runs `count` blocks of each of `N` messages, which all have that many here.
#[inline]
#[target_feature(enable = "aes,ssse3,sse4.1")]
#[allow(clippy::indexing_slicing, reason = "messages are counted by N, blocks by the caller")]
pub(super) fn advance<const ENCRYPT: bool, const N: usize>(
    mut messages: [(&mut Chain, &mut [Block]); N],
    count: usize,
) {
    let zero = _mm_setzero_si128();
    let (mut state, mut input) = ([zero; N], [zero; N]);
    for n in 0..N {
        let (chain, blocks) = &messages[n];
        input[n] = blocks.first().map_or(zero, |block| load(block));
        state[n] = _mm_xor_si128(_mm_xor_si128(input[n], chain.fed), chain.keys[0]);
    }
    for i in 0..count {
        for round in 1..14 {
            for n in 0..N {
                let key = messages[n].0.keys[round];
                state[n] = if ENCRYPT {
                    _mm_aesenc_si128(state[n], key)
                } else {
                    _mm_aesdec_si128(state[n], key)
                };
            }
        }
        for n in 0..N {
            let (Chain { keys, fed, held }, blocks) = &mut messages[n];
            let next = if i + 1 < count { load(&blocks[i + 1]) } else { zero };
            let white = _mm_xor_si128(next, keys[0]);
            let key = _mm_xor_si128(_mm_xor_si128(*held, keys[14]), white);
            state[n] = if ENCRYPT {
                _mm_aesenclast_si128(state[n], key)
            } else {
                _mm_aesdeclast_si128(state[n], key)
            };
            *fed = _mm_xor_si128(state[n], white);
            store(&mut blocks[i], *fed);
            *held = input[n];
            input[n] = next;
        }
    }
}

/// Blocks of a keystream side by side: they do not wait for each other.
const CTR_BLOCKS: usize = 8;

#[target_feature(enable = "aes,ssse3,sse4.1")]
fn run_ctr(key: &[u8; 32], mut counter: u128, pieces: [&mut [Block]; 2]) {
    let mut keys = expand(key);
    for piece in pieces {
        let (many, few) = piece.as_chunks_mut::<CTR_BLOCKS>();
        for blocks in many {
            add_keystream(&keys, &mut counter, blocks);
        }
        for block in few {
            add_keystream(&keys, &mut counter, core::array::from_mut(block));
        }
    }
    keys.zeroize();
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn add_keystream<const N: usize>(keys: &Schedule, counter: &mut u128, blocks: &mut [Block; N]) {
    let [first, middle @ .., last] = keys;
    let mut states = [_mm_setzero_si128(); N];
    for state in &mut states {
        *state = _mm_xor_si128(load(&counter.to_be_bytes()), *first);
        *counter = counter.wrapping_add(1);
    }
    for key in middle {
        for state in &mut states {
            *state = _mm_aesenc_si128(*state, *key);
        }
    }
    for (state, block) in states.into_iter().zip(blocks) {
        let stream = _mm_aesenclast_si128(state, *last);
        store(block, _mm_xor_si128(stream, load(block)));
    }
}

/// Expands a key with `aesenclast` and a shuffle in place of the slow `aeskeygenassist`.
#[target_feature(enable = "aes,ssse3,sse4.1")]
pub(super) fn expand(key: &[u8; 32]) -> Schedule {
    let rotated = _mm_set1_epi32(0x0c0f_0e0d); // the last word, rotated, in every column
    let same = _mm_set1_epi32(0x0f0e_0d0c); // the last word in every column
    let zero = _mm_setzero_si128();
    let mut rcon = _mm_set1_epi32(1);
    let mut keys = [zero; 15];
    let (mut one, mut two) = (load(part::<0, 16, _>(key)), load(part::<16, 16, _>(key)));
    for (i, slot) in keys.iter_mut().enumerate() {
        *slot = one;
        let turned = if i % 2 == 0 {
            let turned = _mm_aesenclast_si128(_mm_shuffle_epi8(two, rotated), rcon);
            rcon = _mm_slli_epi32(rcon, 1);
            turned
        } else {
            _mm_aesenclast_si128(_mm_shuffle_epi8(two, same), zero)
        };
        let next = _mm_xor_si128(prefix_sums(one), turned);
        (one, two) = (two, next);
    }
    keys
}

/// The schedule of the decrypting instructions.
#[target_feature(enable = "aes,ssse3,sse4.1")]
fn inverse(mut keys: Schedule) -> Schedule {
    keys.reverse();
    let [_, middle @ .., _] = &mut keys;
    for key in middle {
        *key = _mm_aesimc_si128(*key);
    }
    keys
}

/// Every word plus all words before it.
#[target_feature(enable = "sse2")]
fn prefix_sums(words: __m128i) -> __m128i {
    let sums = _mm_xor_si128(words, _mm_slli_si128(words, 4));
    _mm_xor_si128(sums, _mm_slli_si128(sums, 8))
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn load(block: &Block) -> __m128i {
    // SAFETY: reads the 16 bytes of the array; no alignment is asked for.
    unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn store(block: &mut Block, value: __m128i) {
    // SAFETY: writes the 16 bytes of the array; no alignment is asked for.
    unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), value) }
}
