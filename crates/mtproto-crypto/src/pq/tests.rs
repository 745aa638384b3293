//! Splitting is total and agrees with the products it is given.

use proptest::prelude::*;

use super::*;
use crate::random::SeededRandom;
use crate::vectors::{self, number};

fn product(p: u32, q: u32) -> u64 {
    u64::from(p) * u64::from(q)
}

// req: S111
#[test]
fn published_numbers() {
    for vector in vectors::all()["factorization"].as_array().unwrap() {
        let [pq, p, q] = ["pq", "p", "q"].map(|name| number(&vector[name]));
        assert_eq!(factorize(pq), Some((p as u32, q as u32)));
    }
}

#[test]
fn generated_numbers_have_the_promised_form_and_split() {
    let mut random = SeededRandom::new(11);
    for _ in 0..300 {
        let (pq, p, q) = generate_pq(&mut random);
        assert!(p < q && is_prime(p.into()) && is_prime(q.into()));
        assert_eq!(pq, product(p, q));
        assert!((1 << 56..1 << 63).contains(&pq));
        assert_eq!(factorize(pq), Some((p, q)));
    }
}

#[test]
fn every_small_number() {
    let is_prime_slowly = |n: u64| n > 1 && !(2..n).any(|d| n.is_multiple_of(d));
    for n in 0..3000u64 {
        let smallest = (2..n).find(|d| n.is_multiple_of(*d));
        let expected = smallest.map(|p| (p, n / p)).filter(|(p, q)| p != q && is_prime_slowly(*q));
        assert_eq!(factorize(n), expected.map(|(p, q)| (p as u32, q as u32)), "{n}");
        assert_eq!(is_prime(n), is_prime_slowly(n), "{n}");
    }
}

#[test]
fn what_is_no_such_product_is_refused() {
    let (a, b) = (4294967291, 4294967279); // the largest primes of 32 bits
    assert_eq!(factorize(product(a, b)), Some((b, a)));
    for n in [
        0,
        1,
        u64::MAX,
        u64::MAX - 58,       // the largest prime of 64 bits
        product(a, a),       // a square
        1 << 63,             // a power
        3 * ((1 << 61) - 1), // the larger factor is too large
        2 * product(65537, 65539),
        1009 * product(65537, 65539),
        65537 * 65537 * 65537,
        2642245 * 2642245 * 2642245,
        2097143 * 2097143 * 2097143,
        1021 * 1031 * 1033 * 1039 * 1049,
    ] {
        assert_eq!(factorize(n), None, "{n}");
    }
}

#[test]
fn factors_of_every_size_are_found() {
    let prime_from = |n: u32| (n..).find(|n| is_prime((*n).into())).unwrap();
    for bits in 2..32 {
        for other_bits in bits..32 {
            let (p, q) = (prime_from(1 << bits), prime_from((1 << other_bits) + 100));
            assert_eq!(factorize(product(p, q)), Some((p.min(q), p.max(q))), "{p} * {q}");
        }
    }
}

proptest! {
    #[test]
    fn any_number_ends(n: u64) {
        if let Some((p, q)) = factorize(n) {
            prop_assert_eq!(product(p, q), n);
            prop_assert!(p < q && is_prime(p.into()) && is_prime(q.into()));
        }
    }
}
