//! Peers that know the secrets of the exchange and still break its rules.

use bytes::Bytes;
use mtproto_crypto::dh::{DhError, G, GroupError, WELL_KNOWN_PRIME};
use mtproto_crypto::rsa::Scheme;
use mtproto_crypto::{SeededRandom, hash, tmp_aes};
use mtproto_tl::functions::SetClientDhParams;
use mtproto_tl::types::{
    ClientDhInnerData, DhGenFail, DhGenOk, PQInnerDataTempDc, ResPq, ServerDhInnerData,
    ServerDhParamsFail, ServerDhParamsOk,
};
use mtproto_tl::{Decode, Encode};

use super::support::{Form, HandMade, NOW, Stages, copied, hex, query, server_config, vector};
use crate::nonces::{ExchangeId, Nonces, Verdict};
use crate::{Fault, KeyKind};

fn stages() -> Stages {
    Stages::new(KeyKind::Permanent, 21)
}

/// What our client says to this `server_DH_inner_data`.
fn client_on(change: impl FnOnce(&mut ServerDhInnerData)) -> Result<(), Fault> {
    let (stages, random) = (stages(), &mut SeededRandom::new(0));
    let answer = ServerDhParamsOk::from_bytes(&stages.server_dh_params).unwrap();
    let nonces = stages.wait_dh_params.nonces.clone();
    let mut inner: ServerDhInnerData = nonces.open(&answer.encrypted_answer).unwrap();
    change(&mut inner);
    let encrypted_answer = nonces.seal(&inner, random);
    let answer = ServerDhParamsOk { encrypted_answer, ..answer };
    stages.wait_dh_params.handle(&answer.to_bytes(), random).map(|_| ())
}

/// What our server says to this `client_DH_inner_data`.
fn server_on(change: impl FnOnce(&mut ClientDhInnerData)) -> Result<(), Fault> {
    let (stages, random) = (stages(), &mut SeededRandom::new(0));
    let proposal = SetClientDhParams::from_bytes(&stages.set_client_dh_params).unwrap();
    let nonces = stages.wait_dh_gen.nonces.clone();
    let mut inner: ClientDhInnerData = nonces.open(&proposal.encrypted_data).unwrap();
    change(&mut inner);
    let proposal = SetClientDhParams { encrypted_data: nonces.seal(&inner, random), ..proposal };
    stages.wait_client_dh.handle(&query(&proposal.to_bytes())).map(|_| ())
}

/// The prime minus `2^bit`.
fn below_prime(bit: usize) -> Bytes {
    let mut number = WELL_KNOWN_PRIME;
    let mut borrow = 1_u8 << (bit % 8);
    for byte in number[..256 - bit / 8].iter_mut().rev() {
        let (less, borrowed) = byte.overflowing_sub(borrow);
        (*byte, borrow) = (less, u8::from(borrowed));
    }
    copied(&number)
}

/// `2^1984 - 1`, one less than the least number allowed.
fn just_too_small() -> Bytes {
    Bytes::from_static(&[0xff; 248])
}

/// `2^1984`.
fn just_large_enough() -> Bytes {
    [&[1][..], &[0; 248]].concat().into()
}

fn plus_one(number: &Bytes) -> Bytes {
    let mut number = number.to_vec();
    *number.last_mut().unwrap() += 1;
    number.into()
}

/// Numbers that would give the key away, or come close.
fn unfit_halves() -> Vec<Bytes> {
    let numbers: [&'static [u8]; 4] = [&[], &[0], &[1], &[0xff; 256]];
    let mut unfit: Vec<_> = numbers.into_iter().map(Bytes::from_static).collect();
    unfit.extend([just_too_small(), below_prime(0), copied(&WELL_KNOWN_PRIME)]);
    unfit.extend([plus_one(&copied(&WELL_KNOWN_PRIME)), plus_one(&below_prime(1984))]);
    unfit.push(Bytes::from_static(&[1; 257]));
    unfit
}

// req: S111
#[test]
fn halves_of_a_key_out_of_range_are_refused_by_both_sides() {
    for half in unfit_halves() {
        let fault = Err(Fault::PublicNumber(DhError::OutOfRange));
        assert_eq!(client_on(|inner| inner.g_a = half.clone()), fault, "{half:x}");
        assert_eq!(server_on(|inner| inner.g_b = half.clone()), fault, "{half:x}");
    }
    for half in [just_large_enough(), below_prime(1984)] {
        assert_eq!(client_on(|inner| inner.g_a = half.clone()), Ok(()), "{half:x}");
        assert_eq!(server_on(|inner| inner.g_b = half.clone()), Ok(()), "{half:x}");
    }
}

// req: S111
#[test]
fn an_unfit_group_is_refused() {
    let unfit = |error| Err(Fault::Group(error));
    for g in [2, 5, 6, 0, 1, 8, -3, i32::MIN] {
        let error = GroupError::Generator { g: g.cast_unsigned() };
        assert_eq!(client_on(|inner| inner.g = g), unfit(error));
    }
    for g in [G.cast_signed(), 4, 7] {
        assert_eq!(client_on(|inner| inner.g = g), Ok(()));
    }
    let primes: [Bytes; 4] = [
        Bytes::new(),
        copied(&WELL_KNOWN_PRIME[..128]),
        copied(&[&[1][..], &WELL_KNOWN_PRIME].concat()),
        copied(&[&[0x7f][..], &WELL_KNOWN_PRIME[1..]].concat()),
    ];
    for prime in primes {
        assert_eq!(client_on(|inner| inner.dh_prime = prime), unfit(GroupError::Size));
    }
    // Of the right size, odd, good for g = 4, and composite.
    let composite = below_prime(1);
    let result = client_on(|inner| (inner.g, inner.dh_prime) = (4, composite));
    assert_eq!(result, unfit(GroupError::NotSafePrime));
}

// req: L12
#[test]
fn the_group_is_the_one_that_living_clients_know() {
    let sample = vector("auth_key_sample");
    let result = client_on(|inner| {
        assert_eq!(inner.g, 3);
        assert_eq!(inner.dh_prime[..], hex(&sample["dh_prime"]));
    });
    assert_eq!(result, Ok(()));
}

// req: S111
#[test]
fn nonces_inside_the_encrypted_parts_count() {
    assert_eq!(client_on(|inner| inner.nonce[15] ^= 1), Err(Fault::Nonce));
    assert_eq!(client_on(|inner| inner.server_nonce[0] ^= 1), Err(Fault::ServerNonce));
    assert_eq!(server_on(|inner| inner.nonce[15] ^= 1), Err(Fault::Nonce));
    assert_eq!(server_on(|inner| inner.server_nonce[0] ^= 1), Err(Fault::ServerNonce));
    assert_eq!(client_on(|_| ()), Ok(()));
    assert_eq!(server_on(|_| ()), Ok(()));
    // Living clients fill it in as they like.
    assert_eq!(server_on(|inner| inner.retry_id = -1), Ok(()));
}

/// Encrypts `data` as it is.
fn encrypt(nonces: &Nonces, mut data: Vec<u8>) -> Bytes {
    tmp_aes(&nonces.new_nonce, &nonces.id.server_nonce).encrypt(&mut data);
    data.into()
}

// req: S111
#[test]
fn an_encrypted_part_is_an_object_its_hash_and_less_than_a_block() {
    let nonces = stages().wait_dh_gen.nonces;
    let object = DhGenOk { nonce: [1; 16], server_nonce: [2; 16], new_nonce_hash1: [3; 16] };
    let serialized = object.to_bytes();
    let hashed = [&hash::sha1(&[&serialized])[..], &serialized].concat();
    assert_eq!(hashed.len(), 72);
    let filled = |filler: usize| [&hashed[..], &vec![9; filler]].concat();
    let open = |data| nonces.open::<DhGenOk>(&encrypt(&nonces, data));

    assert_eq!(open(filled(8)), Ok(object));
    assert_eq!(open(filled(24)), Err(Fault::EncryptedLen { len: 96 }));
    assert_eq!(open(filled(1000)), Err(Fault::EncryptedLen { len: 1072 }));
    for byte in 0..20 {
        let mut data = filled(8);
        data[byte] ^= 1;
        assert_eq!(open(data), Err(Fault::EncryptedHash));
    }
    for len in [0, 1, 15, 17, 79, 81] {
        let sealed = vec![0; len];
        assert_eq!(nonces.open::<DhGenOk>(&sealed), Err(Fault::EncryptedLen { len }));
    }
    assert!(matches!(open(vec![0; 16]), Err(Fault::Malformed(_))));
}

#[test]
fn our_filler_is_as_short_as_can_be() {
    let (nonces, random) = (stages().wait_dh_gen.nonces, &mut SeededRandom::new(1));
    for len in 0..40 {
        let object = PQInnerDataTempDc {
            pq: vec![1; len].into(),
            p: Bytes::new(),
            q: Bytes::new(),
            nonce: [0; 16],
            server_nonce: [0; 16],
            new_nonce: [0; 32],
            dc: 1,
            expires_in: 1,
        };
        let sealed = nonces.seal(&object, random);
        assert_eq!(sealed.len(), (20 + object.to_bytes().len()).next_multiple_of(16));
        assert_eq!(nonces.open::<PQInnerDataTempDc>(&sealed), Ok(object));
    }
}

// req: S111
#[test]
fn whatever_is_wrong_under_rsa_has_one_outcome() {
    let stages = stages();
    let spoils: [fn(&mut PQInnerDataTempDc); 9] = [
        |inner| inner.pq = copied(&[1; 8]),
        |inner| inner.p = copied(&[1; 4]),
        |inner| inner.q = copied(&[1; 4]),
        |inner| std::mem::swap(&mut inner.p, &mut inner.q),
        |inner| inner.q = Bytes::new(),
        |inner| inner.nonce[0] ^= 1,
        |inner| inner.server_nonce[15] ^= 1,
        |inner| inner.expires_in = 0,
        |inner| inner.expires_in = -1,
    ];
    let outcome = |scheme, spoil: fn(&mut PQInnerDataTempDc)| {
        let (hand, random) = (HandMade::new(Form::TempDc(2), scheme), &mut SeededRandom::new(2));
        let (_, body) = hand.answer(&stages.res_pq, random, spoil);
        let state = stages.server_wait_dh_params.clone();
        state.handle(&query(&body), &server_config(), NOW, random).map(|_| ())
    };
    for scheme in [Scheme::Pad, Scheme::Old] {
        for spoil in spoils {
            let fault = outcome(scheme, spoil).unwrap_err();
            assert_eq!((fault.transport_error(), fault), (-404, Fault::InnerData));
        }
        assert_eq!(outcome(scheme, |_| ()), Ok(()));
    }
}

// req: S111
#[test]
fn a_verdict_is_believed_only_with_its_own_hash() {
    let stages = stages();
    let (state, random) = (stages.wait_dh_gen.clone(), &mut SeededRandom::new(0));
    let ExchangeId { nonce, server_nonce } = state.nonces.id;
    for verdict in [Verdict::Ok, Verdict::Retry, Verdict::Fail] {
        let hash = state.nonces.hash(verdict, &state.key);
        let ok = DhGenOk { nonce, server_nonce, new_nonce_hash1: hash }.to_bytes();
        let fail = DhGenFail { nonce, server_nonce, new_nonce_hash3: hash }.to_bytes();
        let said_ok = state.clone().handle(&ok, random).map(|_| ());
        let said_fail = state.clone().handle(&fail, random).map(|_| ());
        let believed =
            |is_its_own, outcome| if is_its_own { outcome } else { Err(Fault::NewNonceHash) };
        assert_eq!(said_ok, believed(verdict == Verdict::Ok, Ok(())));
        assert_eq!(said_fail, believed(verdict == Verdict::Fail, Err(Fault::Refused)));
    }
}

// req: S111
#[test]
fn a_refusal_of_old_is_read_and_checked() {
    let state = stages().wait_dh_params;
    let ExchangeId { nonce, server_nonce } = state.nonces.id;
    let proof = hash::sha1(&[&state.nonces.new_nonce[..]]);
    let good =
        ServerDhParamsFail { nonce, server_nonce, new_nonce_hash: proof[4..].try_into().unwrap() };
    let fault = |answer: &ServerDhParamsFail| {
        state.clone().handle(&answer.to_bytes(), &mut SeededRandom::new(0)).unwrap_err()
    };
    assert_eq!(fault(&good), Fault::Refused);
    let mut forged = good.clone();
    forged.new_nonce_hash[0] ^= 1;
    assert_eq!(fault(&forged), Fault::NewNonceHash);
    assert_eq!(fault(&ServerDhParamsFail { nonce: [0; 16], ..good.clone() }), Fault::Nonce);
    let other = ServerDhParamsFail { server_nonce: [0; 16], ..good };
    assert_eq!(fault(&other), Fault::ServerNonce);
}

// req: S111
#[test]
fn a_challenge_without_solution_is_refused() {
    let stages = stages();
    let good = ResPq::from_bytes(&stages.res_pq).unwrap();
    let numbers: [&[u8]; 7] = [
        &[],
        &[0; 8],
        &[1],
        // A prime, a square, three primes, and nine bytes.
        &(u64::MAX - 58).to_be_bytes(),
        &(2_147_483_647_u64 * 2_147_483_647).to_be_bytes(),
        &(3_u64 * 5 * 7).to_be_bytes(),
        &[&[0][..], &good.pq].concat(),
    ];
    for pq in numbers {
        let bad = ResPq { pq: copied(pq), ..good.clone() };
        let result = stages.wait_res_pq.clone().handle(&bad.to_bytes(), &mut SeededRandom::new(0));
        assert_eq!(result.unwrap_err(), Fault::Pq, "{pq:02x?}");
    }
}
