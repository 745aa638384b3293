//! Every path gives the numbers of the portable one.

use crypto_bigint::Odd;
use proptest::prelude::*;

use super::*;
use crate::big::{self, LEN};
use crate::dh::WELL_KNOWN_PRIME;

/// Calculates the same powers on the path that was detected and on the portable one.
fn check<const LIMBS: usize, const BLOCKS: usize, const REGISTERS: usize>(
    jobs: &[(Uint<LIMBS>, Uint<LIMBS>, FixedMontyParams<LIMBS>)],
) {
    let jobs: Vec<_> =
        jobs.iter().map(|(base, exponent, params)| Power { base, exponent, params }).collect();
    let results = side_by_side::<LIMBS, BLOCKS, REGISTERS>(&jobs);
    assert_eq!(results.len(), jobs.len());
    for (lane, (result, job)) in results.iter().zip(&jobs).enumerate() {
        let expected = one_by_one(job);
        assert_eq!(*result, expected, "lane {lane} of {}", jobs.len());
    }
}

fn params<const LIMBS: usize>(modulus: Uint<LIMBS>) -> FixedMontyParams<LIMBS> {
    FixedMontyParams::new_vartime(Odd::new(modulus).unwrap())
}

/// Numbers with long runs of equal bits, which carries like, and with leading zeros.
fn number<const LIMBS: usize>() -> impl Strategy<Value = Uint<LIMBS>> {
    let word = prop_oneof![Just(0), Just(u64::MAX), Just(1), any::<u64>()];
    let words = prop::collection::vec(word, LIMBS);
    (words, 0..=LIMBS).prop_map(|(mut words, len)| {
        words[len..].fill(0);
        Uint::from_words(words.try_into().unwrap())
    })
}

fn odd<const LIMBS: usize>() -> impl Strategy<Value = Uint<LIMBS>> {
    number().prop_map(|number: Uint<LIMBS>| number | Uint::ONE)
}

/// The numbers at the edges of what a modulus admits, and beyond it.
fn edges<const LIMBS: usize>(modulus: &Uint<LIMBS>) -> Vec<Uint<LIMBS>> {
    let one = Uint::ONE;
    vec![
        Uint::ZERO,
        one,
        Uint::from(2u8),
        modulus.wrapping_sub(&one),
        *modulus,
        modulus.wrapping_add(&one),
        modulus.shr_vartime(70),
        Uint::MAX,
    ]
}

fn check_edges<const LIMBS: usize, const BLOCKS: usize, const REGISTERS: usize>(
    modulus: Uint<LIMBS>,
) {
    let params = params(modulus);
    for exponent in edges(&modulus) {
        let jobs: Vec<_> =
            edges(&modulus).into_iter().map(|base| (base, exponent, params)).collect();
        // One, a pair, a pair and one, eight.
        for count in [1, 2, 3, 8] {
            jobs.chunks(count).for_each(check::<LIMBS, BLOCKS, REGISTERS>);
        }
    }
}

#[test]
fn numbers_at_the_edges() {
    let prime = big::read(&WELL_KNOWN_PRIME);
    check_edges::<{ U2048::LIMBS }, 8, 5>(prime);
    check_edges::<{ U1024::LIMBS }, 4, 3>(prime.split().0);
}

#[test]
fn moduli_of_every_kind() {
    for modulus in [U2048::MAX, U2048::from(3u8), U2048::ONE.shl_vartime(2047) | U2048::ONE] {
        let base = big::read(&[0x5a; LEN]);
        check::<{ U2048::LIMBS }, 8, 5>(&[(base, base, params(modulus))]);
    }
}

#[test]
fn no_power_at_all() {
    assert!(powers(&[]).is_empty());
    assert!(half_powers(&[]).is_empty());
    for waiting in 1..20 {
        assert!([1, 2, 8].contains(&powers_at_once(waiting)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// One batch, part of one, or two; every lane with a modulus of its own.
    #[test]
    fn powers_of_2048_bits(jobs in prop::collection::vec((number(), number(), odd()), 1..10)) {
        let jobs = jobs.into_iter().map(|(base, exponent, odd)| (base, exponent, params(odd)));
        check::<{ U2048::LIMBS }, 8, 5>(&jobs.collect::<Vec<_>>());
    }

    #[test]
    fn powers_of_1024_bits(jobs in prop::collection::vec((number(), number(), odd()), 1..20)) {
        let jobs = jobs.into_iter().map(|(base, exponent, odd)| (base, exponent, params(odd)));
        check::<{ U1024::LIMBS }, 4, 3>(&jobs.collect::<Vec<_>>());
    }
}
