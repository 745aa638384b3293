//! RSA by the published bytes, and under a client that sends anything else.

use std::sync::LazyLock;

use crypto_bigint::{CheckedAdd, U1024, U2048};
use serde_json::Value;

use super::padding::{PADDED_LEN, fill_up, pad, pad_old};
use super::*;
use crate::big;
use crate::random::{SecureRandom, SeededRandom};
use crate::vectors::{self, Recorded, array, bytes, number};

/// The lengths that the inner data of a key exchange can have.
const LENS: [usize; 3] = [96, 100, 104];

fn server_side() -> &'static Value {
    &vectors::all()["rsa_server_side"]
}

static KEY: LazyLock<RsaPrivateKey> = LazyLock::new(|| {
    let prime = |name: &str| U1024::from_be_slice(&bytes(&server_side()[name]));
    RsaPrivateKey::from_primes(&prime("p"), &prime("q"), 65537).unwrap()
});

fn published(name: &str) -> RsaPublicKey {
    let vector = &vectors::all()["rsa_keys"][name];
    let n = U2048::from_str_radix_vartime(vector["n_decimal"].as_str().unwrap(), 10).unwrap();
    RsaPublicKey::from_parts(&big::write(&n), &[1, 0, 1]).unwrap()
}

fn decrypt(encrypted: &[u8]) -> Option<Inner> {
    KEY.decrypt_inner(encrypted, &LENS, &mut SeededRandom::new(3))
}

/// Encrypts a block without any padding, as an attacker may.
fn encrypt_block(block: &[u8; 256]) -> [u8; 256] {
    big::write(&KEY.public().power(&big::read(block)))
}

// req: S111
#[test]
fn fingerprints_of_published_keys() {
    for name in ["production", "test"] {
        let vector = &vectors::all()["rsa_keys"][name];
        let fingerprint = published(name).fingerprint();
        assert_eq!(fingerprint, number(&vector["fingerprint_i64"]));
        assert_eq!(fingerprint.to_le_bytes(), array(&vector["fingerprint_wire"]));
    }
    let wire = array(&server_side()["fingerprint_wire"]);
    assert_eq!(KEY.public().fingerprint().to_le_bytes(), wire);
}

// req: S111
#[test]
fn rsa_pad_gives_the_bytes_of_grammers() {
    let key = published("test");
    let vector = &vectors::all()["rsa_pad_grammers"];
    let (data, padding) = (bytes(&vector["data"]), bytes(&vector["padding"]));
    let temp_key = bytes(&vector["temp_key"]);
    let padded = fill_up(&data, &mut Recorded::new(&[&padding]));
    let block = pad(&padded, &mut Recorded::new(&[&temp_key]));
    assert_eq!(block[..], bytes(&vector["key_aes_encrypted"]));

    let rejected = bytes(&vector["rejected_temp_key"]);
    for drawn in [vec![&padding[..], &temp_key], vec![&padding, &rejected, &temp_key]] {
        let mut random = Recorded::new(&drawn);
        let encrypted = key.encrypt_pad(&data, &mut random).unwrap();
        assert_eq!(encrypted[..], bytes(&vector["encrypted"]));
        assert!(random.is_used_up(), "a block above the modulus is drawn again");
    }

    let flow = &vectors::all()["auth_key_flow_grammers"];
    let (padding, temp_key) = (bytes(&flow["rsa_pad_padding"]), bytes(&flow["rsa_pad_temp_key"]));
    let mut random = Recorded::new(&[&padding, &temp_key]);
    let encrypted = key.encrypt_pad(&bytes(&flow["p_q_inner_data"]), &mut random).unwrap();
    assert_eq!(encrypted[..], bytes(&flow["rsa_encrypted_data"]));
}

// req: S111
#[test]
fn both_paddings_decrypt() {
    let vector = server_side();
    let data = bytes(&vector["data"]);
    let (padding, temp_key) = (bytes(&vector["padding"]), bytes(&vector["temp_key"]));
    let mut random = Recorded::new(&[&padding, &temp_key]);
    let encrypted = KEY.public().encrypt_pad(&data, &mut random).unwrap();
    assert_eq!(encrypted[..], bytes(&vector["rsa_pad_encrypted"]));
    let inner = decrypt(&encrypted).unwrap();
    assert_eq!(
        (inner.scheme(), inner.data()),
        (Scheme::Pad, &[data.clone(), padding].concat()[..])
    );

    let block = bytes(&vector["old_scheme_block_255"]);
    let mut random = Recorded::new(&[&block[20 + data.len()..]]);
    let encrypted = KEY.public().encrypt_old(&data, &mut random).unwrap();
    assert_eq!(encrypted[..], bytes(&vector["old_scheme_encrypted"]));
    let inner = decrypt(&encrypted).unwrap();
    assert_eq!((inner.scheme(), inner.data()), (Scheme::Old, &data[..]));
    assert_eq!(format!("{inner:?}"), "Inner { scheme: Old, .. }");
}

#[test]
fn data_of_every_length_comes_back() {
    let mut random = SeededRandom::new(5);
    for len in [0, 1, 96, 100, 104, 143, DATA_LEN_MAX] {
        let data = vec![7; len];
        let encrypted = KEY.public().encrypt_pad(&data, &mut random).unwrap();
        let inner = decrypt(&encrypted).unwrap();
        assert_eq!(inner.data().len(), PADDED_LEN);
        assert!(inner.data().starts_with(&data));
    }
    for len in [1, 96, 104, OLD_DATA_LEN_MAX] {
        let data = vec![9; len];
        let encrypted = KEY.public().encrypt_old(&data, &mut random).unwrap();
        let inner = KEY.decrypt_inner(&encrypted, &[50, len, 400], &mut random).unwrap();
        assert_eq!(inner.data(), data);
        assert!(KEY.decrypt_inner(&encrypted, &[], &mut random).is_none(), "old form refused");
    }
    let too_long = KEY.public().encrypt_pad(&[0; DATA_LEN_MAX + 1], &mut random);
    assert_eq!(too_long, Err(TooLong { len: 145, len_max: 144 }));
    let too_long = KEY.public().encrypt_old(&[0; OLD_DATA_LEN_MAX + 1], &mut random);
    assert_eq!(too_long, Err(TooLong { len: 236, len_max: 235 }));
}

#[test]
fn encrypted_numbers_keep_their_leading_zeros() {
    let mut random = SeededRandom::new(6);
    let encrypted = (0..)
        .map(|_| KEY.public().encrypt_pad(b"data", &mut random).unwrap())
        .find(|encrypted| encrypted[0] == 0)
        .unwrap();
    assert!(decrypt(&encrypted).is_some());
    assert!(decrypt(&encrypted[1..]).is_none(), "on the wire there are 256 bytes");
}

// req: S111
#[test]
fn whatever_else_a_client_sends_is_refused() {
    let mut random = SeededRandom::new(7);
    let n = KEY.public().n();
    let encrypted = KEY.public().encrypt_pad(&[1; 100], &mut random).unwrap();
    let old = KEY.public().encrypt_old(&[1; 100], &mut random).unwrap();
    for good in [encrypted, old] {
        assert!(decrypt(&good).is_some());
        for at in [0, 1, 31, 32, 100, 255] {
            let mut changed = good;
            changed[at] ^= 4;
            assert!(decrypt(&changed).is_none(), "byte {at}");
        }
        for len in [0, 1, 128, 255] {
            assert!(decrypt(&good[..len]).is_none(), "{len} bytes");
        }
        assert!(decrypt(&[&good[..], &[0]].concat()).is_none());
        assert!(decrypt(&[&[0], &good[..]].concat()).is_none());
    }
    // The same residue, but not below the modulus: a small enough number is needed.
    let above = (0..)
        .map(|_| big::read(&KEY.public().encrypt_pad(&[1; 100], &mut random).unwrap()))
        .find_map(|number| Option::<U2048>::from(number.checked_add(n)))
        .unwrap();
    assert!(decrypt(&big::write(&above)).is_none());
    for number in [*n, n.wrapping_add(&U2048::ONE), U2048::MAX, U2048::ZERO, U2048::ONE] {
        assert!(decrypt(&big::write(&number)).is_none());
    }
    assert!(decrypt(&big::write(&n.wrapping_sub(&U2048::ONE))).is_none());
}

// req: S111
#[test]
fn the_first_byte_of_the_old_padding_has_to_be_zero() {
    let mut random = SeededRandom::new(8);
    let mut block = pad_old(&[1; 100], &mut random);
    assert!(decrypt(&encrypt_block(&block)).is_some());
    for first in [1, 2, 0x40] {
        block[0] = first;
        assert!(decrypt(&encrypt_block(&block)).is_none());
    }
    let mut block = pad_old(&[1; 100], &mut random);
    block[20] ^= 1; // the hash
    assert!(decrypt(&encrypt_block(&block)).is_none());
    let block = pad_old(&[1; 99], &mut random);
    assert!(decrypt(&encrypt_block(&block)).is_none(), "no object has this length");
}

// req: S111
#[test]
fn many_decrypt_at_once_whatever_is_wrong_with_some() {
    let mut random = SeededRandom::new(10);
    let other = RsaPrivateKey::generate(&mut random);
    for count in 0..=9 {
        let numbers: Vec<_> = (0..count)
            .map(|n: usize| {
                let key = if n.is_multiple_of(3) { &other } else { &*KEY };
                let public = key.public();
                let mut encrypted = match n % 2 {
                    0 => public.encrypt_pad(&[n as u8; 100], &mut random).unwrap(),
                    _ => public.encrypt_old(&[n as u8; 100], &mut random).unwrap(),
                };
                encrypted[9] ^= u8::from(n == 5);
                (key, encrypted)
            })
            .collect();
        let jobs: Vec<_> = numbers
            .iter()
            .enumerate()
            .map(|(n, (key, encrypted))| {
                let encrypted = encrypted.split_at(256 - usize::from(n == 4)).0;
                DecryptJob { key, encrypted, old_lens: &LENS }
            })
            .collect();
        let inners = decrypt_many(&jobs, &mut random);
        assert_eq!(inners.len(), count);
        for (n, inner) in inners.iter().enumerate() {
            match inner {
                Some(inner) => assert_eq!(inner.data()[..100], [n as u8; 100]),
                None => assert!([4, 5].contains(&n), "{n} of {count}"),
            }
            assert_eq!(inner.is_none(), [4, 5].contains(&n), "{n} of {count}");
        }
    }
}

#[test]
fn blinding_changes_nothing_of_the_result() {
    let encrypted: [u8; 256] = array(&server_side()["rsa_pad_encrypted"]);
    let mut results = (0..5).map(|seed| {
        let inner = KEY.decrypt_inner(&encrypted, &LENS, &mut SeededRandom::new(seed));
        inner.unwrap().data().to_vec()
    });
    let first = results.next().unwrap();
    assert!(results.all(|result| result == first));
}

#[test]
fn keys_survive_their_pem_form() {
    let pem = KEY.to_pem();
    assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    let again = RsaPrivateKey::from_pem(&format!("\n{}\n\n", *pem)).unwrap();
    assert_eq!(again.public(), KEY.public());
    assert_eq!(*again.to_pem(), *pem);
    let encrypted: [u8; 256] = array(&server_side()["rsa_pad_encrypted"]);
    assert!(again.decrypt_inner(&encrypted, &LENS, &mut SeededRandom::new(1)).is_some());

    let public = KEY.public().to_pem();
    assert!(public.starts_with("-----BEGIN RSA PUBLIC KEY-----\n"));
    assert_eq!(RsaPublicKey::from_pem(&public).unwrap(), *KEY.public());
    assert_eq!(RsaPublicKey::from_pem(&pem), Err(KeyError::Encoding));
    assert_eq!(RsaPrivateKey::from_pem(&public).unwrap_err(), KeyError::Encoding);
}

#[test]
fn the_private_exponent_in_the_pem_form_is_right() {
    // The file's own d is modulo the least common multiple; both undo the encryption.
    let der = pkcs1::der::SecretDocument::from_pem(&KEY.to_pem()).unwrap().1;
    let key = der.decode_msg::<pkcs1::RsaPrivateKeyRef<'_>>().unwrap();
    let d = big::pad_left(key.private_exponent.as_bytes()).unwrap();
    for d in [big::read(&d), big::read(&array(&server_side()["d"]))] {
        let power = big::Form::new(&U2048::from(12345u32), KEY.public().params()).pow(&d);
        assert_eq!(KEY.public().power(&power.retrieve()), U2048::from(12345u32));
    }
}

#[test]
fn broken_key_files_are_refused() {
    let pem = KEY.to_pem();
    for len in (0..pem.len() - 1).step_by(37) {
        assert_eq!(RsaPrivateKey::from_pem(&pem[..len]).unwrap_err(), KeyError::Encoding);
    }
    for at in (40..pem.len() - 40).step_by(29) {
        let mut changed = pem.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(RsaPrivateKey::from_pem(str::from_utf8(&changed).unwrap()).is_err(), "{at}");
    }
    for text in ["", "hello", "-----BEGIN RSA PUBLIC KEY-----\n-----END RSA PUBLIC KEY-----"] {
        assert_eq!(RsaPublicKey::from_pem(text), Err(KeyError::Encoding));
    }
}

#[test]
fn parts_are_checked_and_may_have_leading_zeros() {
    let n = big::write(KEY.public().n());
    let with_zeros = [&[0, 0], &n[..]].concat();
    let key = RsaPublicKey::from_parts(&with_zeros, &[0, 0, 0, 0, 1, 0, 1]).unwrap();
    assert_eq!(key, *KEY.public());
    for exponent in [&[][..], &[0], &[1], &[4], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(RsaPublicKey::from_parts(&n, exponent), Err(KeyError::Exponent));
    }
    for exponent in [&[3][..], &[1, 1], &[0xff, 0xff, 0xff, 0xff]] {
        assert!(RsaPublicKey::from_parts(&n, exponent).is_ok());
    }
    let (mut short, mut even) = (n, n);
    short[0] = 0x7f;
    even[255] &= 0xfe;
    for n in [&short[..], &even, &n[128..], &[&n[..], &[1]].concat(), &[]] {
        assert_eq!(RsaPublicKey::from_parts(n, &[1, 0, 1]), Err(KeyError::Size));
    }
}

#[test]
fn primes_that_are_none_or_the_same_make_no_key() {
    let prime = |name: &str| U1024::from_be_slice(&bytes(&server_side()[name]));
    let (p, q) = (prime("p"), prime("q"));
    let make = |p, q| RsaPrivateKey::from_primes(p, q, 65537).map(|_| ());
    assert_eq!(make(&p, &q), Ok(()));
    assert_eq!(make(&q, &p), Ok(()));
    assert_eq!(make(&p, &p), Err(KeyError::Inconsistent));
    let composite = p.wrapping_sub(&U1024::from(2u8));
    assert_eq!(make(&composite, &q), Err(KeyError::Inconsistent));
    assert_eq!(make(&U1024::ONE, &q), Err(KeyError::Size));
    assert_eq!(make(&p.wrapping_sub(&U1024::ONE), &q), Err(KeyError::Size), "even");
}

// req: S111
#[test]
fn a_generated_key_works() {
    let mut random = SeededRandom::new(9);
    let key = RsaPrivateKey::generate(&mut random);
    let encrypted = key.public().encrypt_pad(b"hello", &mut random).unwrap();
    let inner = key.decrypt_inner(&encrypted, &[], &mut random).unwrap();
    assert!(inner.data().starts_with(b"hello"));
    let again = RsaPrivateKey::from_pem(&key.to_pem()).unwrap();
    assert_eq!(again.public(), key.public());
    let mut other = [0; 16];
    random.fill(&mut other);
    assert_eq!(format!("{key:?}"), format!("RsaPrivateKey({:016x})", key.public().fingerprint()));
}
