//! Powers by the published numbers, and every number that must not be used.

use crypto_bigint::U2048;
use crypto_bigint::modular::FixedMontyForm;
use proptest::prelude::*;

use super::group::{MARGIN, is_good_generator};
use super::*;
use crate::random::SeededRandom;
use crate::vectors::{self, Recorded, array, hex, number};

/// Group 14 of RFC 3526: another safe prime of 2048 bits.
const MODP_2048: &str = "\
    ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22\
    514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6\
    f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3d\
    c2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb\
    9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e8603\
    9b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510\
    15728e5a8aacaa68ffffffffffffffff";

fn modp() -> [u8; 256] {
    hex(MODP_2048).try_into().unwrap()
}

fn check(prime: &[u8], g: u32) -> Result<Group, GroupError> {
    Group::check(prime, g, &mut (), &mut SeededRandom::new(1))
}

fn prime() -> U2048 {
    big::read(&WELL_KNOWN_PRIME)
}

// req: S111
#[test]
fn published_exchanges() {
    let prime: [u8; 256] = array(&vectors::all()["auth_key_sample"]["dh_prime"]);
    assert_eq!(prime, WELL_KNOWN_PRIME);
    for name in ["auth_key_sample", "auth_key_flow_grammers"] {
        let flow = &vectors::all()[name];
        let group = check(&WELL_KNOWN_PRIME, number(&flow["g"]) as u32).unwrap();
        let b: [u8; 256] = array(&flow["b"]);
        let (secret, g_b) = DhSecret::generate(&group, &mut Recorded::new(&[&b]));
        assert_eq!(g_b, array(&flow["g_b"]));
        let g_a: [u8; 256] = array(&flow["g_a"]);
        let key = secret.shared(&g_a).unwrap();
        assert_eq!(*key.as_bytes(), array(&flow["auth_key"]));
    }
}

// req: S111
#[test]
fn both_sides_make_the_same_key() {
    let mut random = SeededRandom::new(2);
    for group in [Group::well_known(), check(&modp(), 2).unwrap()] {
        let (a, g_a) = DhSecret::generate(&group, &mut random);
        let (b, g_b) = DhSecret::generate(&group, &mut random);
        assert_ne!(g_a, g_b);
        assert_eq!(a.shared(&g_b).unwrap(), b.shared(&g_a).unwrap());
        assert_eq!(format!("{a:?}"), "DhSecret");
    }
}

// req: S111
#[test]
fn many_keys_at_once_are_those_made_one_by_one() {
    let mut random = SeededRandom::new(8);
    let group = Group::well_known();
    for count in [0, 1, 7, 8, 9] {
        let (ours, theirs) = (
            DhSecret::generate_many(&group, count, &mut random),
            DhSecret::generate_many(&group, count, &mut random),
        );
        let mut numbers: Vec<_> = theirs.iter().map(|(_, number)| *number).collect();
        if let Some(second) = numbers.get_mut(1) {
            *second = WELL_KNOWN_PRIME;
        }
        let jobs = ours.iter().zip(&numbers).map(|((secret, _), number)| (secret, &number[..]));
        let keys = shared_many(&jobs.collect::<Vec<_>>());
        assert_eq!(keys.len(), count);
        for (n, (key, (secret, number))) in keys.into_iter().zip(&theirs).enumerate() {
            match n {
                1 => assert_eq!(key, Err(DhError::OutOfRange)),
                _ => assert_eq!(key, secret.shared(&ours[n].1), "{n} of {count}"),
            }
            assert_ne!(*number, ours[n].1);
        }
    }
}

// req: S111
#[test]
fn a_client_agrees_in_one_go() {
    let mut random = SeededRandom::new(9);
    for group in [Group::well_known(), check(&modp(), 2).unwrap()] {
        let (secret, g_a) = DhSecret::generate(&group, &mut random);
        let (key, g_b) = agree(&group, &g_a, &mut random).unwrap();
        assert_eq!(secret.shared(&g_b), Ok(key));
        for number in [&[][..], &[1], &group.prime(), &[0; 257]] {
            assert_eq!(agree(&group, number, &mut random), Err(DhError::OutOfRange));
        }
    }
    // An exponent of one gives a number out of range: another is drawn.
    let mut one = [0; 256];
    one[255] = 1;
    let b: [u8; 256] = array(&vectors::all()["auth_key_sample"]["b"]);
    let g_a: [u8; 256] = array(&vectors::all()["auth_key_sample"]["g_a"]);
    let mut random = Recorded::new(&[&one, &b]);
    let (key, g_b) = agree(&Group::well_known(), &g_a, &mut random).unwrap();
    assert_eq!(g_b, array(&vectors::all()["auth_key_sample"]["g_b"]));
    assert_eq!(*key.as_bytes(), array(&vectors::all()["auth_key_sample"]["auth_key"]));
    assert!(random.is_used_up());
}

/// A number, and so a key, may begin with zeros, which a peer may leave out.
#[test]
fn leading_zeros_are_kept_in_keys_and_optional_in_numbers() {
    let group = Group::well_known();
    let mut random = SeededRandom::new(3);
    let (secret, _) = DhSecret::generate(&group, &mut random);
    // A number of 249 bytes, just above the lower limit.
    let short = MARGIN.wrapping_add(&U2048::from(5u8));
    let bytes = big::write(&short);
    assert_eq!(bytes[..7], [0; 7]);
    let key = secret.shared(&bytes).unwrap();
    assert_eq!(key, secret.shared(&bytes[7..]).unwrap());
    assert_eq!(secret.shared(&[&[0], &bytes[..]].concat()), Err(DhError::OutOfRange));

    // A key with a leading zero: found by trying exponents of the peer's.
    let key = (0..)
        .map(|_| {
            let (_, number) = DhSecret::generate(&group, &mut random);
            secret.shared(&number).unwrap()
        })
        .find(|key| key.as_bytes()[0] == 0)
        .unwrap();
    assert_ne!(key.id(), 0);
}

// req: S111
#[test]
fn numbers_near_either_end_are_refused() {
    let (secret, _) = DhSecret::generate(&Group::well_known(), &mut SeededRandom::new(4));
    let (one, p) = (U2048::ONE, prime());
    let last = p.wrapping_sub(&MARGIN);
    for number in [
        U2048::ZERO,
        one,
        U2048::from(2u8),
        MARGIN.wrapping_sub(&one),
        last.wrapping_add(&one),
        p.wrapping_sub(&U2048::from(2u8)),
        p.wrapping_sub(&one),
        p,
        p.wrapping_add(&one),
        U2048::MAX,
    ] {
        assert_eq!(secret.shared(&big::write(&number)), Err(DhError::OutOfRange), "{number}");
    }
    for number in [MARGIN, MARGIN.wrapping_add(&one), last.wrapping_sub(&one), last] {
        assert!(secret.shared(&big::write(&number)).is_ok(), "{number}");
    }
    for number in [&[][..], &[0], &[3], &[0xff; 257], &[0; 300]] {
        assert_eq!(secret.shared(number), Err(DhError::OutOfRange));
    }
}

#[test]
fn an_exponent_that_gives_a_number_out_of_range_is_drawn_again() {
    let zeros = [0; 256];
    let mut one = zeros;
    one[255] = 1;
    let b: [u8; 256] = array(&vectors::all()["auth_key_sample"]["b"]);
    let mut random = Recorded::new(&[&zeros, &one, &b]);
    let (_, g_b) = DhSecret::generate(&Group::well_known(), &mut random);
    assert_eq!(g_b, array(&vectors::all()["auth_key_sample"]["g_b"]));
    assert!(random.is_used_up());
}

// req: S111
#[test]
fn only_generators_of_the_right_subgroup_pass() {
    for prime in [WELL_KNOWN_PRIME, modp()] {
        let number = big::read(&prime);
        let params = big::params(&number).unwrap();
        let half = number.shr_vartime(1);
        for g in 2..=7 {
            let power = FixedMontyForm::new(&U2048::from(g), &params).pow(&half).retrieve();
            assert_eq!(is_good_generator(&number, g), power == U2048::ONE, "{g}");
        }
        for g in [0, 1, 8, 9, 16, u32::MAX] {
            assert_eq!(check(&prime, g).unwrap_err(), GroupError::Generator { g });
        }
    }
    let passing: Vec<_> = (0..10).filter(|g| check(&WELL_KNOWN_PRIME, *g).is_ok()).collect();
    assert_eq!(passing, [3, 4, 7]);
}

proptest! {
    /// The table of remainders is Euler's criterion, for whatever prime.
    #[test]
    fn remainders_decide_about_generators(n in 11u32..1 << 20, g in 2u32..8) {
        let n = (n..).find(|n| crypto_primes::is_prime(
            crypto_primes::Flavor::Any, &crypto_bigint::U64::from(*n))).unwrap();
        let modulus = u64::from(n);
        let (mut power, mut square, mut exponent) = (1, u64::from(g), (modulus - 1) / 2);
        while exponent > 0 {
            if exponent % 2 == 1 {
                power = power * square % modulus;
            }
            square = square * square % modulus;
            exponent /= 2;
        }
        // The rule for 5 and 2 asks for p mod 8 = 7 where 1 would do too; safe primes are never 1.
        let possible = n % 4 == 3;
        prop_assert!(!possible || is_good_generator(&U2048::from(n), g) == (power == 1));
    }
}

// req: S111
#[test]
fn only_safe_primes_of_2048_bits_pass() {
    let bytes = |number: U2048| big::write(&number);
    let p = prime();
    // Prime, and 3 modulo 4, but half of it is not prime.
    let unsafe_prime = U2048::ONE.shl_vartime(2047).wrapping_add(&U2048::from(UNSAFE_OFFSET));
    let small = [crypto_bigint::U1024::MAX.to_be_bytes().as_ref(), &[][..]].concat();
    for (number, error) in [
        (&bytes(unsafe_prime)[..], GroupError::NotSafePrime),
        (&bytes(p.wrapping_add(&U2048::from(12u8))), GroupError::NotSafePrime),
        (&bytes(p.wrapping_sub(&U2048::ONE)), GroupError::NotSafePrime),
        (&[0xff; 256], GroupError::NotSafePrime),
        (&bytes(p.shr_vartime(1)), GroupError::Size),
        (&small, GroupError::Size),
        (&WELL_KNOWN_PRIME[1..], GroupError::Size),
        (&[&[1], &WELL_KNOWN_PRIME[..]].concat(), GroupError::Size),
        (&[], GroupError::Size),
        (&[0; 256], GroupError::Size),
    ] {
        assert_eq!(check(number, 4).unwrap_err(), error);
    }
    let product = crypto_bigint::U1024::MAX.wrapping_sub(&crypto_bigint::U1024::from(104u8));
    let square: U2048 = product.concatenating_square();
    assert_eq!(check(&bytes(square), 4).unwrap_err(), GroupError::NotSafePrime);
}

#[derive(Default)]
struct Memory(std::collections::BTreeMap<[u8; 256], bool>, u32);

impl PrimeMemory for Memory {
    fn recall(&self, prime: &[u8; 256]) -> Option<bool> {
        self.0.get(prime).copied()
    }

    fn record(&mut self, prime: &[u8; 256], safe: bool) {
        self.1 += 1;
        self.0.insert(*prime, safe);
    }
}

#[test]
fn a_prime_is_checked_once_and_the_known_one_never() {
    let mut memory = Memory::default();
    let mut random = SeededRandom::new(5);
    let mut check = |prime: &[u8], g| Group::check(prime, g, &mut memory, &mut random);
    let group = check(&modp(), 2).unwrap();
    assert_eq!((group.g(), group.prime()), (2, modp()));
    assert!(check(&modp(), 3).is_ok());
    assert!(check(&[0xff; 256], 4).is_err());
    assert!(check(&[0xff; 256], 4).is_err());
    assert!(check(&WELL_KNOWN_PRIME, 3).is_ok());
    assert_eq!(memory.1, 2);
}

#[test]
fn the_known_prime_is_what_it_is_known_for() {
    let mut random = SeededRandom::new(6);
    assert!(group::is_safe_prime(&prime(), &mut random));
    assert_eq!(format!("{:?}", Group::well_known()), "Group { g: 3, .. }");
}

/// `2^2047` plus this is the smallest such prime.
const UNSAFE_OFFSET: u32 = 1919;
