//! One power or two at once, for when there are not enough of them to fill eight lanes.
//!
//! Here a register holds eight digits of one number. A digit of the one factor at a time is
//! multiplied with all digits of the other, and the sum moves down by a lane. What waits for itself
//! in one power leaves room for another beside it.

use core::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512, _mm512_broadcastq_epi64,
    _mm512_castsi512_si128, _mm512_cmpeq_epi64_mask, _mm512_cmpgt_epu64_mask,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_mov_epi64, _mm512_mask_sub_epi64,
    _mm512_maskz_srli_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64,
};
use core::array;

use zeroize::{Zeroize, Zeroizing};

use super::{
    DIGIT_MASK, Lane, Row, Token, WINDOW, bits, load, negative_inverse, put, root_of_r2, store,
};

/// Calculates `P` powers with numbers of `4 N` words, in `Z` registers each. The results are not
/// above the modulus: a multiple of it may come out as the modulus itself.
pub(crate) fn powers<const N: usize, const Z: usize, const P: usize>(
    _: Token,
    jobs: [Lane<'_>; P],
) -> Zeroizing<[[[u64; 4]; N]; P]> {
    const { assert!(8 * Z >= 5 * N, "a number has five digits for four words") };
    // SAFETY: the token says that the processor has these instructions.
    unsafe { calculate::<N, Z, P>(jobs) }
}

/// Calculates `P` powers of one base that is no secret, given as a table; see
/// [`super::fixed_powers`].
pub(crate) fn fixed_powers<const P: usize>(
    _: Token,
    modulus: &[u64],
    r2: &[u64],
    rows: &[Row<8>],
    exponents: [&[u64]; P],
) -> Zeroizing<[[[u64; 4]; 8]; P]> {
    let jobs = exponents.map(|exponent| Lane { modulus, r2, base: &[], exponent });
    // SAFETY: the token says that the processor has these instructions.
    unsafe { calculate_fixed(jobs, rows) }
}

/// A number, least digit first.
type Number<const Z: usize> = [[u64; 8]; Z];

/// One number of each power.
type Numbers<const Z: usize, const P: usize> = [Number<Z>; P];

#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(clippy::indexing_slicing, reason = "powers are counted by P")]
fn calculate<const N: usize, const Z: usize, const P: usize>(
    jobs: [Lane<'_>; P],
) -> Zeroizing<[[[u64; 4]; N]; P]> {
    let field = Field::<N, Z, P>::new(&jobs);
    let mut powers = Zeroizing::new(vec![field.one; 1 << WINDOW]);
    let base = Zeroizing::new(jobs.map(|job| spread(job.base)));
    let base = Zeroizing::new(field.multiply(&base, &field.r2));
    let mut power = Zeroizing::new(field.one);
    for entry in powers.iter_mut().skip(1) {
        *power = field.multiply(&power, &base);
        *entry = *power;
    }
    *power = field.one;
    for window in (0..(256 * N).div_ceil(WINDOW)).rev() {
        for _ in 0..WINDOW {
            *power = field.multiply(&power, &power);
        }
        let digits = jobs.map(|job| bits(job.exponent, window * WINDOW) % (1 << WINDOW));
        let factor = Zeroizing::new(select(&powers, digits, |entry, p| &entry[p]));
        *power = field.multiply(&power, &factor);
    }
    field.leave(&power)
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn calculate_fixed<const P: usize>(
    jobs: [Lane<'_>; P],
    rows: &[Row<8>],
) -> Zeroizing<[[[u64; 4]; 8]; P]> {
    let field = Field::<8, 5, P>::new(&jobs);
    let stride = 256 * 8 / rows.len().max(1);
    let mut power = Zeroizing::new(field.one);
    for place in (0..stride).step_by(4).rev() {
        for _ in 0..4 {
            *power = field.multiply(&power, &power);
        }
        for (entries, start) in rows.iter().zip((0..).step_by(stride)) {
            let digits = jobs.map(|job| bits(job.exponent, start + place) % 16);
            let factor = select(entries, digits, |entry, _| entry.as_flattened().as_chunks().0);
            *power = field.multiply(&power, &Zeroizing::new(factor));
        }
    }
    field.leave(&power)
}

/// The arithmetic modulo `P` numbers.
struct Field<const N: usize, const Z: usize, const P: usize> {
    modulus: Numbers<Z, P>,
    /// `-modulus^-1` modulo 2^52.
    inverse: [u64; P],
    /// 1 in Montgomery form.
    one: Numbers<Z, P>,
    /// What brings a number into Montgomery form.
    r2: Numbers<Z, P>,
}

impl<const N: usize, const Z: usize, const P: usize> Field<N, Z, P> {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(jobs: &[Lane<'_>; P]) -> Self {
        let modulus = jobs.map(|job| spread(job.modulus));
        let inverse = jobs.map(|job| negative_inverse(job.modulus));
        let zero = [[[0; 8]; Z]; P];
        let mut field = Self { modulus, inverse, one: zero, r2: zero };
        let root = spread(&root_of_r2::<N>());
        let root = field.multiply(&jobs.map(|job| spread(job.r2)), &[root; P]);
        field.r2 = field.multiply(&root, &root);
        field.one = field.multiply(&field.r2, &[spread(&[1]); P]);
        field
    }

    /// `a b / R`.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[allow(clippy::indexing_slicing, reason = "registers are counted by Z, powers by P")]
    fn multiply(&self, a: &Numbers<Z, P>, b: &Numbers<Z, P>) -> Numbers<Z, P> {
        let zero = _mm512_setzero_si512();
        let mut sum = [[zero; Z]; P];
        for i in 0..5 * N {
            for p in 0..P {
                let (sum, a, modulus) = (&mut sum[p], &a[p], &self.modulus[p]);
                let digit = _mm512_set1_epi64(b[p].as_flattened()[i].cast_signed());
                for z in 0..Z {
                    sum[z] = _mm512_madd52lo_epu64(sum[z], load(&a[z]), digit);
                }
                let inverse = _mm512_set1_epi64(self.inverse[p].cast_signed());
                let factor = _mm512_madd52lo_epu64(zero, sum[0], inverse);
                let factor = _mm512_broadcastq_epi64(_mm512_castsi512_si128(factor));
                for z in 0..Z {
                    sum[z] = _mm512_madd52lo_epu64(sum[z], load(&modulus[z]), factor);
                }
                // The lowest digit is a multiple of 2^52 now.
                let carry = _mm512_maskz_srli_epi64::<52>(1, sum[0]);
                for z in 0..Z {
                    let above = if z + 1 < Z { sum[z + 1] } else { zero };
                    let high = _mm512_madd52hi_epu64(zero, load(&a[z]), digit);
                    let high = _mm512_madd52hi_epu64(high, load(&modulus[z]), factor);
                    sum[z] = _mm512_add_epi64(_mm512_alignr_epi64::<1>(above, sum[z]), high);
                }
                sum[0] = _mm512_add_epi64(sum[0], carry);
            }
        }
        sum.map(|sum| carried(sum).map(|digits| store(digits)))
    }

    /// Out of Montgomery form, into words.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn leave(&self, numbers: &Numbers<Z, P>) -> Zeroizing<[[[u64; 4]; N]; P]> {
        let numbers = Zeroizing::new(self.multiply(numbers, &[spread(&[1]); P]));
        let mut out = Zeroizing::new([[[0; 4]; N]; P]);
        for (out, number) in out.iter_mut().zip(numbers.iter()) {
            for (i, digit) in number.as_flattened().iter().enumerate() {
                put(out.as_flattened_mut(), 52 * i, *digit);
            }
        }
        out
    }
}

impl<const N: usize, const Z: usize, const P: usize> Drop for Field<N, Z, P> {
    fn drop(&mut self) {
        // The modulus of an RSA key is a prime that nobody may know.
        self.modulus.zeroize();
        self.inverse.zeroize();
        self.one.zeroize();
        self.r2.zeroize();
    }
}

/// Makes digits of 52 bits out of sums. Most of a carry goes one digit up; what is left of it, one
/// or nothing, runs through digits that are full, as it does in the addition of two words of masks.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(clippy::indexing_slicing, reason = "registers are counted by Z")]
fn carried<const Z: usize>(sum: [__m512i; Z]) -> [__m512i; Z] {
    let (zero, mask) = (_mm512_setzero_si512(), _mm512_set1_epi64(DIGIT_MASK));
    let mut out = [zero; Z];
    let (mut over, mut full) = (0_u64, 0_u64);
    for z in 0..Z {
        let carry = _mm512_srli_epi64::<52>(sum[z]);
        let before = if z > 0 { _mm512_srli_epi64::<52>(sum[z - 1]) } else { zero };
        let carry = _mm512_alignr_epi64::<7>(carry, before);
        out[z] = _mm512_add_epi64(_mm512_and_si512(sum[z], mask), carry);
        over |= u64::from(_mm512_cmpgt_epu64_mask(out[z], mask)) << (8 * z);
        full |= u64::from(_mm512_cmpeq_epi64_mask(out[z], mask)) << (8 * z);
    }
    let carried = (over << 1).wrapping_add(full) ^ full;
    for (digits, at) in out.iter_mut().zip((0..).step_by(8)) {
        let here = (carried >> at) as u8;
        *digits = _mm512_mask_sub_epi64(*digits, here, *digits, _mm512_set1_epi64(-1));
        *digits = _mm512_and_si512(*digits, mask);
    }
    out
}

/// The entry that each power's digit names. All entries are read, whatever the digits are.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(clippy::indexing_slicing, reason = "registers are counted by Z, powers by P")]
fn select<const Z: usize, const P: usize, T>(
    entries: &[T],
    digits: [u64; P],
    number: impl Fn(&T, usize) -> &[[u64; 8]],
) -> Numbers<Z, P> {
    let mut out = [[[0; 8]; Z]; P];
    for p in 0..P {
        let digit = _mm512_set1_epi64(digits[p].cast_signed());
        let mut chosen = [_mm512_setzero_si512(); Z];
        for (index, entry) in (0..).zip(entries) {
            let here = _mm512_cmpeq_epi64_mask(digit, _mm512_set1_epi64(index));
            for (chosen, digits) in chosen.iter_mut().zip(number(entry, p)) {
                *chosen = _mm512_mask_mov_epi64(*chosen, here, load(digits));
            }
        }
        out[p] = chosen.map(|digits| store(digits));
    }
    out
}

/// Words as digits. Words that are not there are zeros.
fn spread<const Z: usize>(words: &[u64]) -> Number<Z> {
    let digit = |at| bits(words, at) & DIGIT_MASK.cast_unsigned();
    array::from_fn(|i| array::from_fn(|j| digit(52 * (8 * i + j))))
}
