//! Modular powers with the 52-bit multiplications of AVX-512 IFMA: eight side by side.
//!
//! A register holds one digit of eight numbers, each of which has a modulus and an exponent of its
//! own, so eight powers cost what one does; `pair` is for fewer of them. Products are made from
//! blocks of five digits, which stay in registers; a square needs each pair of blocks once.
//!
//! All numbers are in Montgomery form and below twice the modulus: `R = 2^(260 N)` leaves enough
//! room above it that no step has to compare (almost Montgomery multiplication). No branch and no
//! address depends on a base or an exponent: a table of powers is read as a whole, under masks.

#![allow(unsafe_code, reason = "loads, stores and the call into code that needs the instructions")]

mod pair;

use core::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpeq_epi64_mask, _mm512_loadu_si512,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_mov_epi64, _mm512_set1_epi64,
    _mm512_setzero_si512, _mm512_srli_epi64, _mm512_storeu_si512,
};
use core::array;

pub(crate) use pair::{fixed_powers as few_fixed_powers, powers as few_powers};
use zeroize::{Zeroize, Zeroizing};

use super::PORTABLE_ONLY;

/// Powers side by side.
pub(crate) const LANES: usize = 8;

/// Powers from which on it takes less time to calculate eight in lanes than two at a time. Two
/// leave parts of registers empty when their numbers are short.
pub(crate) const fn eight_min<const N: usize>() -> usize {
    if N < 8 { 5 } else { 7 }
}

/// Proof that the processor has the instructions: only [`Token::detect`] makes one.
#[derive(Clone, Copy)]
pub(crate) struct Token(());

impl Token {
    /// Asks the processor; the standard library remembers the answer.
    pub(crate) fn detect() -> Option<Self> {
        let found = !PORTABLE_ONLY
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512ifma");
        found.then_some(Self(()))
    }
}

/// Numbers of one power, in words, least first. All of a call have the same lengths.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'a> {
    /// Odd, and `256 N` bits long at most.
    pub(crate) modulus: &'a [u64],
    /// `2^(512 N)` modulo the modulus.
    pub(crate) r2: &'a [u64],
    /// Any number of `256 N` bits.
    pub(crate) base: &'a [u64],
    pub(crate) exponent: &'a [u64],
}

/// Calculates eight powers with numbers of `4 N` words. The results are not above the modulus:
/// a multiple of it may come out as the modulus itself.
pub(crate) fn powers<const N: usize>(_: Token, lanes: [Lane<'_>; LANES]) -> Words<N> {
    // SAFETY: the token says that the processor has these instructions.
    unsafe { calculate::<N>(lanes) }
}

/// Calculates eight powers of one base that is no secret, given as a table. Row `r` has the powers
/// that four bits of an exponent can stand for at bit `256 N / rows * r`.
pub(crate) fn fixed_powers<const N: usize>(
    _: Token,
    modulus: &[u64],
    r2: &[u64],
    rows: &[Row<N>],
    exponents: [&[u64]; LANES],
) -> Words<N> {
    let lanes = exponents.map(|exponent| Lane { modulus, r2, base: &[], exponent });
    // SAFETY: the token says that the processor has these instructions.
    unsafe { calculate_fixed(lanes, rows) }
}

/// Entries of a table, in digits and Montgomery form.
pub(crate) type Row<const N: usize> = [Digits<N>; 16];
pub(crate) type Digits<const N: usize> = [[u64; BLOCK]; N];

/// What a number in the Montgomery form of words, `2^(256 N)`, has to be multiplied with.
pub(crate) fn factor<const N: usize>() -> u64 {
    1 << (4 * N)
}

/// Words as digits. Words that are not there are zeros.
pub(crate) fn in_digits<const N: usize>(words: &[u64]) -> Digits<N> {
    let digit = |at| bits(words, at) & DIGIT_MASK.cast_unsigned();
    array::from_fn(|i| array::from_fn(|j| digit(52 * (BLOCK * i + j))))
}

/// Results by lane, in words, least first.
pub(crate) type Words<const N: usize> = Zeroizing<[[[u64; 4]; N]; LANES]>;

/// Five digits of 52 bits of eight numbers.
type Block = [__m512i; BLOCK];
const BLOCK: usize = 5;

/// Eight numbers, least digit first.
type Number<const N: usize> = [Block; N];

/// Bits of the exponent that are taken at a time.
const WINDOW: usize = 5;

#[target_feature(enable = "avx512f,avx512ifma")]
fn calculate<const N: usize>(lanes: [Lane<'_>; LANES]) -> Words<N> {
    let mut field = Field::<N>::new(&lanes);
    let mut powers = Zeroizing::new(vec![field.one; 1 << WINDOW]);
    let base = Zeroizing::new(spread(lanes.map(|lane| lane.base)));
    let base = Zeroizing::new(field.multiply(&base, &field.r2.clone()));
    let mut last = Zeroizing::new(field.one);
    for power in powers.iter_mut().skip(1) {
        *last = field.multiply(&last, &base);
        *power = *last;
    }
    let exponents = lanes.map(|lane| lane.exponent);
    let mut power = Zeroizing::new(field.one);
    for window in (0..(256 * N).div_ceil(WINDOW)).rev() {
        for _ in 0..WINDOW {
            *power = field.square(&power);
        }
        let digits = digits::<WINDOW>(exponents, window * WINDOW);
        let factor = Zeroizing::new(select(&powers, digits, |digit| *digit));
        *power = field.multiply(&power, &factor);
    }
    *power = field.multiply(&power, &spread([&[1]; LANES]));
    gather(&power)
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn calculate_fixed<const N: usize>(lanes: [Lane<'_>; LANES], rows: &[Row<N>]) -> Words<N> {
    let mut field = Field::<N>::new(&lanes);
    let exponents = lanes.map(|lane| lane.exponent);
    let stride = 256 * N / rows.len().max(1);
    let mut power = Zeroizing::new(field.one);
    for place in (0..stride).step_by(4).rev() {
        for _ in 0..4 {
            *power = field.square(&power);
        }
        for (entries, start) in rows.iter().zip((0..).step_by(stride)) {
            let digits = digits::<4>(exponents, start + place);
            let same = |digit: &u64| _mm512_set1_epi64(digit.cast_signed());
            let factor = Zeroizing::new(select(entries, digits, same));
            *power = field.multiply(&power, &factor);
        }
    }
    *power = field.multiply(&power, &spread([&[1]; LANES]));
    gather(&power)
}

/// The arithmetic modulo eight numbers.
struct Field<const N: usize> {
    modulus: Number<N>,
    /// `-modulus^-1` modulo 2^52.
    inverse: __m512i,
    /// 1 in Montgomery form.
    one: Number<N>,
    /// What brings a number into Montgomery form.
    r2: Number<N>,
    /// A product before its reduction; here so that it is wiped in the end.
    wide: [Number<N>; 2],
}

impl<const N: usize> Field<N> {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(lanes: &[Lane<'_>; LANES]) -> Self {
        let zero = [[_mm512_setzero_si512(); BLOCK]; N];
        let inverse = load(&lanes.map(|lane| negative_inverse(lane.modulus)));
        let modulus = spread(lanes.map(|lane| lane.modulus));
        let mut field = Self { modulus, inverse, one: zero, r2: zero, wide: [zero; 2] };
        let r2 = spread(lanes.map(|lane| lane.r2));
        let root = field.multiply(&r2, &spread([&root_of_r2::<N>(); LANES]));
        field.r2 = field.square(&root);
        field.one = field.multiply(&field.r2.clone(), &spread([&[1]; LANES]));
        field
    }

    /// `a b / R`.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[allow(clippy::indexing_slicing, reason = "blocks are counted by N")]
    fn multiply(&mut self, a: &Number<N>, b: &Number<N>) -> Number<N> {
        let wide = self.cleared();
        for i in 0..N {
            for j in 0..N {
                add_product(&mut wide[i + j..], &a[i], &b[j]);
            }
        }
        self.reduce()
    }

    /// `a a / R`.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[allow(clippy::indexing_slicing, reason = "blocks are counted by N")]
    fn square(&mut self, a: &Number<N>) -> Number<N> {
        let wide = self.cleared();
        for i in 0..N {
            for j in i + 1..N {
                add_product(&mut wide[i + j..], &a[i], &a[j]);
            }
        }
        for i in 0..N {
            double_and_add_square(&mut wide[2 * i..], &a[i]);
        }
        self.reduce()
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn cleared(&mut self) -> &mut [Block] {
        self.wide = [[[_mm512_setzero_si512(); BLOCK]; N]; 2];
        self.wide.as_flattened_mut()
    }

    /// Adds the multiple of the modulus that makes the lower half of the product zero, and takes
    /// the upper one. A digit of the product is a sum of at most 4 * 5 N + 2 numbers of 52 bits,
    /// and so has room in 64.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[allow(clippy::indexing_slicing, reason = "blocks are counted by N")]
    fn reduce(&mut self) -> Number<N> {
        let wide = self.wide.as_flattened_mut();
        for i in 0..N {
            let factor = clear_block(&mut wide[i..], &self.modulus[0], self.inverse);
            for j in 1..N {
                add_product(&mut wide[i + j..], &factor, &self.modulus[j]);
            }
        }
        let mut out = self.wide[1];
        let mut carry = _mm512_setzero_si512();
        for digit in out.as_flattened_mut() {
            let sum = _mm512_add_epi64(*digit, carry);
            carry = _mm512_srli_epi64::<52>(sum);
            *digit = _mm512_and_si512(sum, _mm512_set1_epi64(DIGIT_MASK));
        }
        out
    }
}

impl<const N: usize> Drop for Field<N> {
    fn drop(&mut self) {
        self.wide.zeroize();
        // The modulus of an RSA key is a prime that nobody may know.
        self.modulus.zeroize();
        self.inverse.zeroize();
        self.one.zeroize();
        self.r2.zeroize();
    }
}

/// Adds `a b` to the first two blocks. Lower and upper halves of the products are summed up apart,
/// so that fewer additions wait for each other.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(clippy::indexing_slicing, reason = "digits are counted by BLOCK")]
fn add_product(wide: &mut [Block], a: &Block, b: &Block) {
    let [first, second, ..] = wide else { return };
    let mut low = [_mm512_setzero_si512(); 2 * BLOCK];
    let mut high = low;
    for i in 0..BLOCK {
        (low[i], low[BLOCK + i]) = (first[i], second[i]);
    }
    for i in 0..BLOCK {
        for j in 0..BLOCK {
            low[i + j] = _mm512_madd52lo_epu64(low[i + j], a[i], b[j]);
            high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], a[i], b[j]);
        }
    }
    for i in 0..BLOCK {
        first[i] = _mm512_add_epi64(low[i], high[i]);
        second[i] = _mm512_add_epi64(low[BLOCK + i], high[BLOCK + i]);
    }
}

/// Doubles the first two blocks and adds `a a`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(clippy::indexing_slicing, reason = "digits are counted by BLOCK")]
fn double_and_add_square(wide: &mut [Block], a: &Block) {
    let [first, second, ..] = wide else { return };
    let mut low = [_mm512_setzero_si512(); 2 * BLOCK];
    let mut high = low;
    let mut squares = low;
    for i in 0..BLOCK {
        (low[i], low[BLOCK + i]) = (first[i], second[i]);
        squares[2 * i] = _mm512_madd52lo_epu64(squares[2 * i], a[i], a[i]);
        squares[2 * i + 1] = _mm512_madd52hi_epu64(squares[2 * i + 1], a[i], a[i]);
    }
    for i in 0..BLOCK {
        for j in i + 1..BLOCK {
            low[i + j] = _mm512_madd52lo_epu64(low[i + j], a[i], a[j]);
            high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], a[i], a[j]);
        }
    }
    let doubled = |i: usize| {
        let once = _mm512_add_epi64(low[i], high[i]);
        _mm512_add_epi64(_mm512_add_epi64(once, once), squares[i])
    };
    for i in 0..BLOCK {
        first[i] = doubled(i);
        second[i] = doubled(BLOCK + i);
    }
}

/// Adds the multiple of the modulus' first block to the first two blocks that makes the first one
/// zero, but for what it carries; returns the factor.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(clippy::indexing_slicing, reason = "digits are counted by BLOCK")]
fn clear_block(wide: &mut [Block], modulus: &Block, inverse: __m512i) -> Block {
    let zero = _mm512_setzero_si512();
    let [first, second, ..] = wide else { return [zero; BLOCK] };
    let mut factor = [zero; BLOCK];
    let mut sum = [zero; 2 * BLOCK];
    for i in 0..BLOCK {
        (sum[i], sum[BLOCK + i]) = (first[i], second[i]);
    }
    for i in 0..BLOCK {
        factor[i] = _mm512_madd52lo_epu64(zero, sum[i], inverse);
        for j in 0..BLOCK {
            sum[i + j] = _mm512_madd52lo_epu64(sum[i + j], factor[i], modulus[j]);
            sum[i + j + 1] = _mm512_madd52hi_epu64(sum[i + j + 1], factor[i], modulus[j]);
        }
        // The digit is a multiple of 2^52 now.
        sum[i + 1] = _mm512_add_epi64(sum[i + 1], _mm512_srli_epi64::<52>(sum[i]));
    }
    second.copy_from_slice(sum.split_at(BLOCK).1);
    factor
}

/// The entry that each lane's digit names. All entries are read, whatever the digits are.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(clippy::indexing_slicing, reason = "blocks are counted by N")]
fn select<const N: usize, T>(
    entries: &[[[T; BLOCK]; N]],
    digits: __m512i,
    in_lanes: impl Fn(&T) -> __m512i,
) -> Number<N> {
    let mut chosen = [[_mm512_setzero_si512(); BLOCK]; N];
    for (i, chosen) in chosen.iter_mut().enumerate() {
        for (index, entry) in (0..).zip(entries) {
            let here = _mm512_cmpeq_epi64_mask(digits, _mm512_set1_epi64(index));
            for (chosen, digit) in chosen.iter_mut().zip(&entry[i]) {
                *chosen = _mm512_mask_mov_epi64(*chosen, here, in_lanes(digit));
            }
        }
    }
    chosen
}

/// The `BITS` bits of each exponent from bit `at` on.
#[target_feature(enable = "avx512f")]
fn digits<const BITS: usize>(exponents: [&[u64]; LANES], at: usize) -> __m512i {
    load(&exponents.map(|exponent| bits(exponent, at) % (1 << BITS)))
}

/// Words as digits, one number a lane. Words that are not there are zeros.
#[target_feature(enable = "avx512f")]
fn spread<const N: usize>(words: [&[u64]; LANES]) -> Number<N> {
    let digit = |at| load(&words.map(|words| bits(words, at) & DIGIT_MASK.cast_unsigned()));
    array::from_fn(|i| array::from_fn(|j| digit(52 * (BLOCK * i + j))))
}

/// Digits as words. The number has `256 N` bits at most.
#[target_feature(enable = "avx512f")]
fn gather<const N: usize>(number: &Number<N>) -> Words<N> {
    let mut out = Words::<N>::new([[[0; 4]; N]; LANES]);
    for (i, digit) in number.as_flattened().iter().enumerate() {
        for (words, digit) in out.iter_mut().zip(store(*digit)) {
            put(words.as_flattened_mut(), 52 * i, digit);
        }
    }
    out
}

/// `2^(138 N)`, by which `2^(512 N)` becomes `R^2 = 2^(520 N)`: their product over `R` is the root.
fn root_of_r2<const N: usize>() -> [u64; 32] {
    let mut root = [0; 32];
    put(&mut root, 138 * N, 1);
    root
}

/// Adds a digit to the words, where there are zeros, from bit `at` on.
fn put(words: &mut [u64], at: usize, digit: u64) {
    let wide = u128::from(digit) << (at % 64);
    for (word, part) in words.iter_mut().skip(at / 64).zip([wide as u64, (wide >> 64) as u64]) {
        *word |= part;
    }
}

/// The 64 bits of a number from bit `at` on.
fn bits(words: &[u64], at: usize) -> u64 {
    let word = |index: usize| u128::from(words.get(index).copied().unwrap_or(0));
    ((word(at / 64) | word(at / 64 + 1) << 64) >> (at % 64)) as u64
}

/// `-modulus^-1` modulo 2^52; every round of Newton's doubles the bits that are right.
fn negative_inverse(modulus: &[u64]) -> u64 {
    let modulus = bits(modulus, 0);
    let mut inverse = modulus;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(modulus.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg() & DIGIT_MASK.cast_unsigned()
}

const DIGIT_MASK: i64 = (1 << 52) - 1;

#[target_feature(enable = "avx512f")]
fn load(lanes: &[u64; LANES]) -> __m512i {
    // SAFETY: reads the 64 bytes of the array; no alignment is asked for.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn store(digits: __m512i) -> [u64; LANES] {
    let mut lanes = [0; LANES];
    // SAFETY: writes the 64 bytes of the array; no alignment is asked for.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), digits) }
    lanes
}
