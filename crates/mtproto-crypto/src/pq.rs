//! The proof of work of a key exchange: the client splits `pq`, a product of two primes.
//!
//! <https://core.telegram.org/mtproto/auth_key>. Splitting takes the elliptic curve method in
//! 64-bit Montgomery form, about 30 us for an honest number, and bounded work for any other.

mod ecm;
mod montgomery;

use crate::random::SecureRandom;
use montgomery::Modulus;

/// Splits `pq` into two different primes, the smaller first. `None` if it is anything else than a
/// product of two such primes, each below 2^32.
// req: S111
pub fn factorize(pq: u64) -> Option<(u32, u32)> {
    if is_prime(pq) {
        return None; // or else every curve would be tried
    }
    let factor = small_factor(pq).or_else(|| ecm::factor(pq))?;
    let cofactor = pq / factor;
    let (p, q) = (factor.min(cofactor), factor.max(cofactor));
    (p != q && is_prime(p) && is_prime(q)).then_some(())?;
    Some((u32::try_from(p).ok()?, u32::try_from(q).ok()?))
}

/// Draws a `pq` for a client to split; returns it and its primes, the smaller first. Both have 31
/// bits, so that `pq` takes 8 bytes and stays below 2^63, as some clients want it.
// req: S111
pub fn generate_pq(random: &mut dyn SecureRandom) -> (u64, u32, u32) {
    let p = random_prime(random);
    loop {
        let q = random_prime(random);
        if p != q {
            return (u64::from(p) * u64::from(q), p.min(q), p.max(q));
        }
    }
}

/// A prime in 2^30..2^31.
fn random_prime(random: &mut dyn SecureRandom) -> u32 {
    loop {
        let candidate = random.u32() >> 1 | 1 << 30 | 1;
        if is_prime(candidate.into()) {
            return candidate;
        }
    }
}

/// The primes below [`ecm::BOUND_2`], which serve division here and the curves there.
static PRIMES: [u16; PRIME_COUNT] = primes();

const PRIME_COUNT: usize = 566;

/// The smallest of [`PRIMES`] that divides `n` and is not `n`. Curves may miss two small factors
/// that they always find together.
fn small_factor(n: u64) -> Option<u64> {
    let mut primes = PRIMES.iter().map(|prime| u64::from(*prime));
    primes.find(|prime| n.is_multiple_of(*prime) && n > *prime)
}

/// Miller-Rabin with bases that are known to suffice: five for 40 bits, twelve for 64.
fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if BASES.contains(&n) {
        return true;
    }
    if n < 2 || BASES.iter().any(|base| n.is_multiple_of(*base)) {
        return false;
    }
    let modulus = Modulus::new(n);
    let (odd, twos) = ((n - 1) >> (n - 1).trailing_zeros(), (n - 1).trailing_zeros());
    let enough = if n < 1 << 40 { 5 } else { BASES.len() };
    BASES.iter().take(enough).all(|base| modulus.passes_miller_rabin(*base, odd, twos))
}

/// Sieves; runs when this is compiled.
#[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
const fn primes() -> [u16; PRIME_COUNT] {
    let mut composite = [false; ecm::BOUND_2 as usize];
    let mut primes = [0; PRIME_COUNT];
    let (mut n, mut count) = (2, 0);
    while n < composite.len() {
        if !composite[n] {
            primes[count] = n as u16;
            count += 1;
            let mut multiple = n * n;
            while multiple < composite.len() {
                composite[multiple] = true;
                multiple += n;
            }
        }
        n += 1;
    }
    assert!(count == PRIME_COUNT, "the table is exactly full");
    primes
}

#[cfg(test)]
mod tests;
