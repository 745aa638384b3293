//! AES in 512-bit registers: IGE of up to sixteen messages side by side, a block of four messages
//! in each register, and the keystream of CTR.
//!
//! Sixteen take little longer than one. A message that has ended leaves its place to bytes that
//! nobody reads, until the longest of the sixteen is done; so like lengths should come together.
//!
//! Both whitenings are folded as in `aes_ni`. Addresses and masks depend on lengths alone.

#![allow(unsafe_code, reason = "loads, stores and the call into code that needs the instructions")]
#![allow(clippy::indexing_slicing, reason = "sixteen lanes in four groups, counted by constants")]

use core::arch::asm;
use core::arch::x86_64::{
    __m512i, _mm_set_epi64x, _mm_storeu_si128, _mm512_add_epi64, _mm512_aesdec_epi128,
    _mm512_aesdeclast_epi128, _mm512_aesenc_epi128, _mm512_aesenclast_epi128,
    _mm512_broadcast_i32x4, _mm512_bslli_epi128, _mm512_castsi128_si512, _mm512_castsi512_si128,
    _mm512_extracti32x4_epi32, _mm512_inserti32x4, _mm512_mask_storeu_epi64,
    _mm512_maskz_loadu_epi64, _mm512_set_epi64, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_slli_epi32, _mm512_ternarylogic_epi64, _mm512_xor_si512,
};
use core::mem::MaybeUninit;

use super::{Block, Lane, aes_ni};
use crate::ige::{BLOCK_LEN, IgeKey};
use crate::part::part;

/// Proof that the processor has the instructions: only [`Token::detect`] makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token(aes_ni::Token);

impl Token {
    /// Asks the processor; the standard library remembers the answer.
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("vaes");
        aes_ni::Token::detect().filter(|_| found).map(Self)
    }

    /// A processor that has these has those of [`aes_ni`] as well.
    pub(super) fn aes_ni(self) -> aes_ni::Token {
        self.0
    }
}

/// Encrypts every lane.
pub(super) fn encrypt<'a>(token: Token, mut lanes: impl Iterator<Item = Lane<'a>>) {
    while let Some(one) = lanes.next() {
        match lanes.next() {
            None => aes_ni::encrypt_one(token.aes_ni(), one),
            // SAFETY: the token says that the processor has these instructions.
            Some(two) => unsafe { run::<true>([one, two].into_iter().chain(&mut lanes)) },
        }
    }
}

/// Decrypts every lane.
pub(super) fn decrypt<'a>(token: Token, mut lanes: impl Iterator<Item = Lane<'a>>) {
    while let Some(one) = lanes.next() {
        match lanes.next() {
            None => aes_ni::decrypt_one(token.aes_ni(), one),
            // SAFETY: the token says that the processor has these instructions.
            Some(two) => unsafe { run::<false>([one, two].into_iter().chain(&mut lanes)) },
        }
    }
}

/// Adds the keystream from `counter` on to the pieces.
pub(super) fn ctr(_: Token, key: &[u8; 32], counter: u128, pieces: [&mut [Block]; 2]) {
    // SAFETY: the token says that the processor has these instructions.
    unsafe { run_ctr(key, counter, pieces) }
}

const LANES: usize = 16;
/// Messages in a register, or blocks of one.
const FOUR: usize = 4;
/// Blocks that are done at a stretch, at most: as many as there are for a place without a message.
const STRETCH: usize = 64;

/// Rounds whose keys stay in registers, as many as there is room for.
const RESIDENT: usize = 2;

/// Takes up to sixteen lanes to their ends, each turn as far as the shortest goes.
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn run<'a, const ENCRYPT: bool>(lanes: impl Iterator<Item = Lane<'a>>) {
    // Every key of it is written: there is no need to clear it first.
    let mut schedule = [const { MaybeUninit::uninit() }; 15];
    let mut streams = Streams::new::<ENCRYPT>(&mut schedule, lanes);
    loop {
        let ready = streams.blocks.iter().map(|blocks| blocks.len());
        let Some(shortest) = ready.filter(|ready| *ready > 0).min() else { return };
        let count = shortest.min(STRETCH);
        // Half as many registers take most of the time of all: each waits for its own chain.
        if streams.blocks[LANES / 2..].iter().all(|blocks| blocks.is_empty()) {
            streams.advance::<ENCRYPT, 2>(count);
        } else {
            streams.advance::<ENCRYPT, 4>(count);
        }
    }
}

/// The keys of a round, those of four messages in a register.
type RoundKeys = [__m512i; LANES / FOUR];

/// Sixteen messages in work. A place that is free has no blocks.
struct Streams<'k, 'a> {
    /// In the order in which the direction takes them; the first is in the last as well, because
    /// inputs have it.
    keys: &'k mut [RoundKeys; 15],
    /// The output blocks before the next ones, which the chain adds to the input.
    fed: [__m512i; LANES / FOUR],
    /// The input blocks before the next ones, which the chain adds to the output.
    held: [__m512i; LANES / FOUR],
    blocks: [&'a mut [Block]; LANES],
    /// What free places work on.
    spare: [Block; STRETCH],
}

impl<'k, 'a> Streams<'k, 'a> {
    /// Takes as many lanes as there is room for, and their keys to `schedule`.
    #[target_feature(enable = "avx512f,avx512bw,vaes")]
    fn new<const ENCRYPT: bool>(
        schedule: &'k mut [MaybeUninit<RoundKeys>; 15],
        lanes: impl Iterator<Item = Lane<'a>>,
    ) -> Self {
        let none = IgeKey::NONE;
        let mut keys = [&none; LANES];
        let mut blocks: [&mut [Block]; LANES] = Default::default();
        for ((slot, key), lane) in blocks.iter_mut().zip(&mut keys).zip(lanes) {
            (*slot, *key) = (lane.blocks, lane.key);
        }
        let [cipher, plain] = halves(keys.map(|it| &*it.iv));
        let (fed, held) = if ENCRYPT { (cipher, plain) } else { (plain, cipher) };
        let keys = expand(schedule, halves(keys.map(|it| &*it.key)));
        if !ENCRYPT {
            invert(keys);
        }
        let [first, .., last] = &mut *keys;
        for (last, first) in last.iter_mut().zip(first) {
            *last = _mm512_xor_si512(*last, *first);
        }
        Self { keys, fed, held, blocks, spare: [[0; BLOCK_LEN]; STRETCH] }
    }

    /// Runs `count` blocks, at most a stretch, of the first `GROUPS` times four messages, of which
    /// every one that is not at its end has that many.
    ///
    /// Inputs are kept with the first round key added, as the chain wants them. While a block goes
    /// through its rounds, the one before is put back and the next fetched, a group of messages at
    /// a time: all at once would keep the units of the cipher busy with something else.
    // Inlined, it would move all the round keys about.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,vaes")]
    fn advance<const ENCRYPT: bool, const GROUPS: usize>(&mut self, count: usize) {
        debug_assert!((1..=STRETCH).contains(&count), "a stretch has an end");
        let places = self.take(count);
        let zero = [_mm512_setzero_si512(); GROUPS];
        let (keys, mut first, mut resident) = (&*self.keys, zero, [zero; RESIDENT]);
        for g in 0..GROUPS {
            first[g] = keys[0][g];
            // It is worth a register: what bounds all this is how often memory is read.
            stay(&mut first[g]);
            for (resident, keys) in resident.iter_mut().zip(&keys[1..]) {
                resident[g] = keys[g];
                stay(&mut resident[g]);
            }
        }
        let parts = [&keys[3..6], &keys[6..9], &keys[9..12], &keys[12..14]];
        let fetch = |g: usize, i: usize| {
            // SAFETY: each place has `count` blocks, of which `i` is one.
            let blocks = unsafe { gather(&places[g], i) };
            _mm512_xor_si512(blocks, first[g])
        };
        // The last is the output before, which becomes the next input on the way.
        let (mut states, mut before, mut inputs, mut moved) = (zero, zero, zero, zero);
        for g in 0..GROUPS {
            (before[g], inputs[g]) = (_mm512_xor_si512(self.held[g], first[g]), fetch(g, 0));
            states[g] = _mm512_xor_si512(inputs[g], self.fed[g]);
        }
        for i in 0..count {
            // Before there is an output, what is put back goes to the first block, already read.
            let (mut behind, mut ahead) = (i.saturating_sub(1), (i + 1).min(count - 1));
            keep_index(&mut behind);
            keep_index(&mut ahead);
            rounds::<ENCRYPT, GROUPS, GROUPS>(&mut states, &resident);
            for (g, keys) in parts.into_iter().enumerate() {
                if g < GROUPS {
                    // SAFETY: each place has `count` blocks, of which `behind` is one.
                    unsafe { scatter(&places[g], behind, moved[g]) };
                    moved[g] = fetch(g, ahead);
                    stay(&mut moved[g]);
                }
                rounds::<ENCRYPT, GROUPS, FOUR>(&mut states, keys);
            }
            for g in 0..GROUPS {
                let key = sum(before[g], keys[14][g], moved[g]);
                states[g] = if ENCRYPT {
                    _mm512_aesenclast_epi128(states[g], key)
                } else {
                    _mm512_aesdeclast_epi128(states[g], key)
                };
                stay(&mut states[g]);
                (before[g], inputs[g]) = (inputs[g], moved[g]);
                moved[g] = _mm512_xor_si512(states[g], moved[g]);
            }
        }
        for g in 0..GROUPS {
            // SAFETY: each place has `count` blocks, so a last one.
            unsafe { scatter(&places[g], count - 1, moved[g]) };
            self.fed[g] = moved[g];
            self.held[g] = _mm512_xor_si512(before[g], first[g]);
        }
    }

    /// Where the next `count` blocks of each message are: of one that has ended, spare ones.
    fn take(&mut self, count: usize) -> [[*mut Block; FOUR]; LANES / FOUR] {
        let mut places = [[self.spare.as_mut_ptr(); FOUR]; LANES / FOUR];
        for (place, blocks) in places.as_flattened_mut().iter_mut().zip(&mut self.blocks) {
            if let Some((taken, rest)) = core::mem::take(blocks).split_at_mut_checked(count) {
                (*place, *blocks) = (taken.as_mut_ptr(), rest);
            }
        }
        places
    }
}

impl Drop for Streams<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: all zeros are a value of these registers.
        (*self.keys, self.fed, self.held) = unsafe { core::mem::zeroed() };
        // Without it the compiler may leave out a write that nobody reads.
        zeroize::optimization_barrier(self.keys);
        zeroize::optimization_barrier(self);
    }
}

/// Rounds under these keys, all but the last.
#[inline]
#[target_feature(enable = "avx512f,vaes")]
fn rounds<const ENCRYPT: bool, const GROUPS: usize, const N: usize>(
    states: &mut [__m512i; GROUPS],
    keys: &[[__m512i; N]],
) {
    for keys in keys {
        for (state, key) in states.iter_mut().zip(keys) {
            *state = if ENCRYPT {
                _mm512_aesenc_epi128(*state, *key)
            } else {
                _mm512_aesdec_epi128(*state, *key)
            };
            stay(state);
        }
    }
}

/// Block `i` of four messages.
///
/// # Safety
/// There is such a block in each place.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn gather(places: &[*mut Block; FOUR], i: usize) -> __m512i {
    // SAFETY: as the caller says.
    four(places.map(|place| unsafe { &*place.add(i) }))
}

/// Four blocks in a register.
#[inline]
#[target_feature(enable = "avx512f")]
fn four([one, two, three, four]: [&Block; FOUR]) -> __m512i {
    let blocks = _mm512_castsi128_si512(aes_ni::load(one));
    let blocks = _mm512_inserti32x4::<1>(blocks, aes_ni::load(two));
    let blocks = _mm512_inserti32x4::<2>(blocks, aes_ni::load(three));
    _mm512_inserti32x4::<3>(blocks, aes_ni::load(four))
}

/// The first and the second 16 bytes of sixteen times 32.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(pairs: [&[u8; 2 * BLOCK_LEN]; LANES]) -> [[__m512i; LANES / FOUR]; 2] {
    let mut halves = [[_mm512_setzero_si512(); LANES / FOUR]; 2];
    for (g, pairs) in pairs.as_chunks::<FOUR>().0.iter().enumerate() {
        halves[0][g] = four(pairs.map(part::<0, BLOCK_LEN, _>));
        halves[1][g] = four(pairs.map(part::<BLOCK_LEN, BLOCK_LEN, _>));
    }
    halves
}

/// Puts block `i` of four messages back.
///
/// # Safety
/// There is such a block in each place.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn scatter(places: &[*mut Block; FOUR], i: usize, blocks: __m512i) {
    let [one, two, three, four] = places;
    // SAFETY: as the caller says; no alignment is asked for.
    unsafe {
        _mm_storeu_si128(one.add(i).cast(), _mm512_castsi512_si128(blocks));
        _mm_storeu_si128(two.add(i).cast(), _mm512_extracti32x4_epi32::<1>(blocks));
        _mm_storeu_si128(three.add(i).cast(), _mm512_extracti32x4_epi32::<2>(blocks));
        _mm_storeu_si128(four.add(i).cast(), _mm512_extracti32x4_epi32::<3>(blocks));
    }
}

/// Keeps an instruction where it is written. Left alone, the compiler takes one message through all
/// its rounds before the next, and the processor does not look that far ahead.
#[inline]
#[target_feature(enable = "avx512f")]
fn stay(value: &mut __m512i) {
    // SAFETY: there is no instruction in it.
    unsafe { asm!("/* {} */", inout(zmm_reg) * value, options(nomem, nostack, preserves_flags)) }
}

/// Keeps an index an index. Left alone, the compiler turns it into a pointer to each message, and
/// has no registers for so many.
#[inline]
fn keep_index(index: &mut usize) {
    // SAFETY: there is no instruction in it.
    unsafe { asm!("/* {} */", inout(reg) * index, options(nomem, nostack, preserves_flags)) }
}

/// Expands sixteen keys, in the way of `aes_ni`.
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn expand(
    schedule: &mut [MaybeUninit<RoundKeys>; 15],
    [mut one, mut two]: [RoundKeys; 2],
) -> &mut [RoundKeys; 15] {
    let rotated = _mm512_set1_epi32(0x0c0f_0e0d); // the last word, rotated, in every column
    let same = _mm512_set1_epi32(0x0f0e_0d0c); // the last word in every column
    let zero = _mm512_setzero_si512();
    let mut rcon = _mm512_set1_epi32(1);
    for (i, slot) in schedule.iter_mut().enumerate() {
        slot.write(one);
        let (order, constant) = if i % 2 == 0 { (rotated, rcon) } else { (same, zero) };
        let mut next = one;
        for (next, two) in next.iter_mut().zip(two) {
            let turned = _mm512_aesenclast_epi128(_mm512_shuffle_epi8(two, order), constant);
            *next = _mm512_xor_si512(prefix_sums(*next), turned);
        }
        (one, two) = (two, next);
        if i % 2 == 0 {
            rcon = _mm512_slli_epi32(rcon, 1);
        }
    }
    // SAFETY: every place was written.
    unsafe { &mut *core::ptr::from_mut(schedule).cast() }
}

/// Makes it the schedule of the decrypting instructions.
#[target_feature(enable = "avx512f,vaes")]
fn invert(keys: &mut [RoundKeys; 15]) {
    let zero = _mm512_setzero_si512();
    keys.reverse();
    let [_, middle @ .., _] = keys;
    for key in middle.as_flattened_mut() {
        // There is no `aesimc` of this width: a round with its substitution undone does the same.
        *key = _mm512_aesdec_epi128(_mm512_aesenclast_epi128(*key, zero), zero);
    }
}

/// Every word plus all words before it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn prefix_sums(words: __m512i) -> __m512i {
    let sums = _mm512_xor_si512(words, _mm512_bslli_epi128(words, 4));
    _mm512_xor_si512(sums, _mm512_bslli_epi128(sums, 8))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sum(one: __m512i, two: __m512i, three: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64(one, two, three, 0x96)
}

/// The halves of so many blocks in a register.
const fn mask(blocks: usize) -> u8 {
    if blocks < FOUR { (1 << (2 * blocks)) - 1 } else { u8::MAX }
}

/// Registers of a keystream side by side.
const CTR_REGISTERS: usize = 8;

#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn run_ctr(key: &[u8; 32], mut counter: u128, pieces: [&mut [Block]; 2]) {
    let mut keys = [_mm512_setzero_si512(); 15];
    for (wide, key) in keys.iter_mut().zip(aes_ni::expand(key)) {
        *wide = _mm512_broadcast_i32x4(key);
    }
    for mut piece in pieces {
        while !piece.is_empty() {
            // Registers count in 64 bits, so that a run ends where these overflow.
            let left = usize::try_from((counter as u64).wrapping_neg()).unwrap_or(usize::MAX);
            let count = if left == 0 { piece.len() } else { left.min(piece.len()) };
            let (run, rest) = piece.split_at_mut(count);
            add_keystream(&keys, counter, run);
            counter = counter.wrapping_add(count as u128);
            piece = rest;
        }
    }
    keys = [_mm512_setzero_si512(); 15];
    zeroize::optimization_barrier(&keys);
}

/// The same for blocks over which the lower half of the counter does not overflow.
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn add_keystream(keys: &[__m512i; 15], counter: u128, blocks: &mut [Block]) {
    let start = _mm_set_epi64x((counter >> 64) as i64, counter as i64);
    let start = _mm512_broadcast_i32x4(start);
    let mut counters = _mm512_add_epi64(start, _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0));
    let (many, few) = blocks.as_chunks_mut::<{ FOUR * CTR_REGISTERS }>();
    for blocks in many {
        let mut states = [counters; CTR_REGISTERS];
        for state in &mut states {
            *state = counters;
            counters = next_counters(counters);
        }
        let (fours, _) = blocks.as_chunks_mut::<FOUR>();
        for (state, four) in keystream(keys, states).into_iter().zip(fours) {
            // SAFETY: there are four blocks; no alignment is asked for.
            unsafe { xor_into(four.as_mut_ptr(), mask(FOUR), state) }
        }
    }
    for blocks in few.chunks_mut(FOUR) {
        let [stream] = keystream(keys, [counters]);
        counters = next_counters(counters);
        // SAFETY: the mask leaves as many blocks as there are; no alignment is asked for.
        unsafe { xor_into(blocks.as_mut_ptr(), mask(blocks.len()), stream) }
    }
}

/// The keystream of four counters to a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn keystream<const N: usize>(keys: &[__m512i; 15], counters: [__m512i; N]) -> [__m512i; N] {
    let order = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    let order = _mm512_broadcast_i32x4(order);
    let [first, middle @ .., last] = keys;
    let mut states = counters;
    for state in &mut states {
        *state = _mm512_xor_si512(_mm512_shuffle_epi8(*state, order), *first);
    }
    for key in middle {
        for state in &mut states {
            *state = _mm512_aesenc_epi128(*state, *key);
            stay(state);
        }
    }
    for state in &mut states {
        *state = _mm512_aesenclast_epi128(*state, *last);
    }
    states
}

#[inline]
#[target_feature(enable = "avx512f")]
fn next_counters(counters: __m512i) -> __m512i {
    _mm512_add_epi64(counters, _mm512_set_epi64(0, 4, 0, 4, 0, 4, 0, 4))
}

/// # Safety
/// There are the blocks that the mask leaves.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn xor_into(blocks: *mut Block, mask: u8, value: __m512i) {
    // SAFETY: as the caller says.
    unsafe {
        let before = _mm512_maskz_loadu_epi64(mask, blocks.cast());
        _mm512_mask_storeu_epi64(blocks.cast(), mask, _mm512_xor_si512(before, value));
    }
}
