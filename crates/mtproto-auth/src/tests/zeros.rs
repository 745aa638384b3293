//! Numbers that begin with zeros: in everything whose length is fixed they stay, in `p` and `q`
//! they are left out.

use bytes::Bytes;
use mtproto_crypto::dh::{self, DhSecret, Group};
use mtproto_crypto::{SecureRandom, SecureRandomExt, SeededRandom};
use mtproto_tl::functions::ReqDhParams;
use mtproto_tl::types::ResPq;
use mtproto_tl::{Decode, Encode};

use super::support::{NOW, Scripted, client_config, query, server_config};
use crate::client::{self, Outcome};
use crate::{KeyKind, NewKey, server};

/// Chance whose nonces begin with two zeros, and whose exponents are given.
struct Zeros {
    random: SeededRandom,
    exponent: [u8; 256],
}

impl SecureRandom for Zeros {
    fn fill(&mut self, out: &mut [u8]) {
        self.random.fill(out);
        match out.len() {
            16 | 32 => out[..2].fill(0),
            256 => out.copy_from_slice(&self.exponent),
            _ => {}
        }
    }
}

/// A whole exchange; what both sides hold in the end.
fn exchange(a: [u8; 256], b: [u8; 256]) -> NewKey {
    let client_random = &mut Zeros { random: SeededRandom::new(1), exponent: b };
    let server_random = &mut Zeros { random: SeededRandom::new(2), exponent: a };
    let config = server_config();
    let (client, req_pq) = client::start(client_config(KeyKind::Permanent), client_random);
    let (server, answer) = server::start(&query(&req_pq), &config, server_random).unwrap();
    let (client, next) = client.handle(&answer, client_random).unwrap();
    for id in [client.nonces.id.nonce, client.nonces.id.server_nonce] {
        assert_eq!(id[..2], [0; 2]);
    }
    assert_eq!(client.nonces.new_nonce[..2], [0; 2]);
    let (server, answer) = server.handle(&query(&next), &config, NOW, server_random).unwrap();
    let (client, next) = client.handle(&answer, client_random).unwrap();
    let candidate = server.handle(&query(&next)).unwrap();
    let stored = candidate.key().clone();
    let Outcome::Done(key) = client.handle(&candidate.ok().1, client_random).unwrap() else {
        panic!("the server said ok");
    };
    assert_eq!(key, stored);
    key
}

/// An exponent that fits; many are tried at once.
fn find(
    random: &mut SeededRandom,
    fits: impl Fn(&[(DhSecret, [u8; 256])]) -> Option<usize>,
) -> [u8; 256] {
    loop {
        let exponents: [[u8; 256]; 64] = std::array::from_fn(|_| random.array());
        let script = &mut Scripted::new(&[exponents.as_flattened()]);
        let made = DhSecret::generate_many(&Group::well_known(), exponents.len(), script);
        if let Some(index) = fits(&made) {
            return exponents[index];
        }
    }
}

/// An exponent whose power of `g` begins with a zero.
fn short_half(random: &mut SeededRandom) -> [u8; 256] {
    find(random, |made| made.iter().position(|(_, number)| number[0] == 0))
}

// req: S111
#[test]
fn nonces_and_both_halves_keep_their_zeros() {
    let random = &mut SeededRandom::new(3);
    let (a, b) = (short_half(random), short_half(random));
    exchange(a, b);
}

// req: S111
#[test]
fn a_key_keeps_its_zeros() {
    let random = &mut SeededRandom::new(4);
    let a: [u8; 256] = random.array();
    let (_, g_a) = DhSecret::generate(&Group::well_known(), &mut Scripted::new(&[&a]));
    let b = find(random, |made| {
        let jobs: Vec<_> = made.iter().map(|(secret, _)| (secret, &g_a[..])).collect();
        let mut keys = dh::shared_many(&jobs).into_iter();
        keys.position(|key| key.unwrap().as_bytes()[0] == 0)
    });
    assert_eq!(exchange(a, b).key.as_bytes()[0], 0);
}

// req: S111
#[test]
fn factors_are_sent_without_zeros() {
    let random = &mut SeededRandom::new(5);
    // Primes of one to four bytes, and a product whose own first byte is a zero.
    for (p, q) in [(251_u64, 65_521_u64), (65_521, 16_777_213), (16_777_213, 4_294_967_291)] {
        let (client, req_pq) = client::start(client_config(KeyKind::Permanent), random);
        let (_, answer) = server::start(&query(&req_pq), &server_config(), random).unwrap();
        let pq = Bytes::copy_from_slice(&(p * q).to_be_bytes());
        let answer = ResPq { pq, ..ResPq::from_bytes(&answer).unwrap() };
        let (_, next) = client.handle(&answer.to_bytes(), random).unwrap();
        let query = ReqDhParams::from_bytes(&next).unwrap();
        for (sent, number) in [(query.p, p), (query.q, q)] {
            let bytes = number.to_be_bytes();
            let zeros = number.leading_zeros() as usize / 8;
            assert_eq!(sent, bytes[zeros..], "{number}");
        }
    }
}
