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

/// How many of so many powers of 2048 bits to calculate at once, when one has to choose: fewer cost
/// more each, more would wait for each other in vain. The same goes for RSA operations.
pub fn powers_at_once(waiting: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if ifma::Token::detect().is_some() {
        return if waiting >= ifma::eight_min::<8>() { ifma::LANES } else { 2 };
    }
    waiting.min(1)
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
    side_by_side::<_, 8, 5>(jobs)
}

/// Calculates powers of 1024 bits, in order.
pub(crate) fn half_powers(jobs: &[Power<'_, { U1024::LIMBS }>]) -> Zeroizing<Vec<U1024>> {
    side_by_side::<_, 4, 3>(jobs)
}

/// `BLOCKS` are of 256 bits, `REGISTERS` of eight digits of 52.
fn side_by_side<const LIMBS: usize, const BLOCKS: usize, const REGISTERS: usize>(
    jobs: &[Power<'_, LIMBS>],
) -> Zeroizing<Vec<Uint<LIMBS>>> {
    const { assert!(Uint::<LIMBS>::BITS as usize == 256 * BLOCKS, "blocks are of 256 bits") };
    // Room for all at once, so that growing leaves no copy behind.
    let mut results = Zeroizing::new(Vec::with_capacity(jobs.len()));
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = ifma::Token::detect() {
        for jobs in jobs.chunks(ifma::LANES) {
            if jobs.len() >= ifma::eight_min::<BLOCKS>() {
                results.extend(eight::<LIMBS, BLOCKS>(token, jobs).iter().take(jobs.len()));
                continue;
            }
            let (pairs, last) = jobs.as_chunks();
            for pair in pairs {
                results.extend(*few::<LIMBS, BLOCKS, REGISTERS, 2>(token, *pair));
            }
            for job in last {
                results.extend(*few::<LIMBS, BLOCKS, REGISTERS, 1>(token, [*job]));
            }
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
    let jobs: [_; ifma::LANES] = array::from_fn(|lane| *jobs.get(lane).unwrap_or(first));
    let words = ifma::powers::<BLOCKS>(token, jobs.map(lane));
    for ((result, words), job) in results.iter_mut().zip(words.iter()).zip(jobs) {
        *result = reduced(words.as_flattened(), job.params);
    }
    results
}

/// Calculates `COUNT` beside each other.
#[cfg(target_arch = "x86_64")]
fn few<const LIMBS: usize, const BLOCKS: usize, const REGISTERS: usize, const COUNT: usize>(
    token: ifma::Token,
    jobs: [Power<'_, LIMBS>; COUNT],
) -> Zeroizing<[Uint<LIMBS>; COUNT]> {
    let words = ifma::few_powers::<BLOCKS, REGISTERS, COUNT>(token, jobs.map(lane));
    let results = array::from_fn(|n| match (words.get(n), jobs.get(n)) {
        (Some(words), Some(job)) => reduced(words.as_flattened(), job.params),
        _ => unreachable!("there is a result for every job"),
    });
    Zeroizing::new(results)
}

/// A number that is not above the modulus. Nobody learns whether it was a multiple of that: it is
/// always compared.
#[cfg(target_arch = "x86_64")]
fn reduced<const LIMBS: usize>(words: &[u64], params: &FixedMontyParams<LIMBS>) -> Uint<LIMBS> {
    let mut number = Uint::ZERO;
    number.as_mut_words().copy_from_slice(words);
    number.ct_assign(&Uint::ZERO, number.ct_eq(params.modulus().as_ref()));
    number
}

#[cfg(target_arch = "x86_64")]
fn lane<'a, const LIMBS: usize>(job: Power<'a, LIMBS>) -> ifma::Lane<'a> {
    ifma::Lane {
        modulus: job.params.modulus().as_ref().as_words(),
        r2: job.params.r2().as_words(),
        base: job.base.as_words(),
        exponent: job.exponent.as_words(),
    }
}

#[cfg(test)]
mod tests;
