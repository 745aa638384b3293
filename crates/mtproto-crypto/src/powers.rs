//! Modular powers in constant time, as many side by side as the processor takes.

#[cfg(target_arch = "x86_64")]
use core::array;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
#[cfg(target_arch = "x86_64")]
use crypto_bigint::{CtAssign, CtEq};
use crypto_bigint::{U1024, U2048, Uint};
use zeroize::{Zeroize, Zeroizing};

#[cfg(target_arch = "x86_64")]
use crate::cpu::ifma;

/// How many powers of 2048 bits cost no more than one does, and half as many RSA operations: 1 on a
/// processor that takes them one by one. It is worth while to have so many handshakes in hand.
pub fn at_once() -> usize {
    #[cfg(target_arch = "x86_64")]
    if ifma::Token::detect().is_some() {
        return ifma::LANES;
    }
    1
}

/// A power to calculate: `base^exponent`, with a modulus that may be a secret like the others.
#[derive(Clone, Copy)]
pub(crate) struct Power<'a, const LIMBS: usize> {
    pub(crate) base: &'a Uint<LIMBS>,
    pub(crate) exponent: &'a Uint<LIMBS>,
    pub(crate) params: &'a FixedMontyParams<LIMBS>,
}

/// Calculates powers of 2048 bits, in order.
pub(crate) fn powers(jobs: &[Power<'_, { U2048::LIMBS }>]) -> Zeroizing<Vec<U2048>> {
    side_by_side::<_, 8>(jobs)
}

/// Calculates powers of 1024 bits, in order.
pub(crate) fn half_powers(jobs: &[Power<'_, { U1024::LIMBS }>]) -> Zeroizing<Vec<U1024>> {
    side_by_side::<_, 4>(jobs)
}

/// `BLOCKS` are of 256 bits.
fn side_by_side<const LIMBS: usize, const BLOCKS: usize>(
    jobs: &[Power<'_, LIMBS>],
) -> Zeroizing<Vec<Uint<LIMBS>>> {
    const { assert!(Uint::<LIMBS>::BITS as usize == 256 * BLOCKS, "blocks are of 256 bits") };
    // Room for all at once, so that growing leaves no copy behind.
    let mut results = Zeroizing::new(Vec::with_capacity(jobs.len()));
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = ifma::Token::detect() {
        for jobs in jobs.chunks(ifma::LANES) {
            results.extend(eight::<LIMBS, BLOCKS>(token, jobs).iter().take(jobs.len()));
        }
        return results;
    }
    results.extend(jobs.iter().map(one_by_one));
    results
}

/// What every other path is measured against.
fn one_by_one<const LIMBS: usize>(job: &Power<'_, LIMBS>) -> Uint<LIMBS> {
    let mut base = FixedMontyForm::new(job.base, job.params);
    let mut power = base.pow(job.exponent);
    let result = power.retrieve();
    base.zeroize();
    power.zeroize();
    result
}

/// Lanes without a job repeat another.
#[cfg(target_arch = "x86_64")]
fn eight<const LIMBS: usize, const BLOCKS: usize>(
    token: ifma::Token,
    jobs: &[Power<'_, LIMBS>],
) -> Zeroizing<[Uint<LIMBS>; ifma::LANES]> {
    let mut results = Zeroizing::new([Uint::ZERO; ifma::LANES]);
    let Some(first) = jobs.first() else { return results };
    let jobs: [_; ifma::LANES] = array::from_fn(|lane| jobs.get(lane).unwrap_or(first));
    let words = ifma::powers::<BLOCKS>(token, jobs.map(lane));
    for ((result, words), job) in results.iter_mut().zip(words.iter()).zip(jobs) {
        result.as_mut_words().copy_from_slice(words.as_flattened());
        // Nobody learns whether the result was a multiple of the modulus: it is always compared.
        let is_zero = result.ct_eq(job.params.modulus().as_ref());
        result.ct_assign(&Uint::ZERO, is_zero);
    }
    results
}

#[cfg(target_arch = "x86_64")]
fn lane<'a, const LIMBS: usize>(job: &Power<'a, LIMBS>) -> ifma::Lane<'a> {
    ifma::Lane {
        modulus: job.params.modulus().as_ref().as_words(),
        r2: job.params.r2().as_words(),
        base: job.base.as_words(),
        exponent: job.exponent.as_words(),
    }
}

#[cfg(test)]
mod tests;
