//! Bytes of others.

use serde_json::Value;

use super::*;
use crate::encoding::from_hex;

fn bytes(vectors: &Value, name: &str) -> Vec<u8> {
    from_hex(vectors[name].as_str().unwrap()).unwrap()
}

fn vectors() -> Value {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors.json"));
    serde_json::from_str::<Value>(text).unwrap()["fake_tls"].take()
}

// req: S116
#[test]
fn a_client_proves_itself_as_computed_elsewhere() {
    let v = vectors();
    let key: [u8; 16] = bytes(&v, "secret").try_into().unwrap();
    let unix_time: u32 = v["unix_time"].as_u64().unwrap().try_into().unwrap();
    let blank = bytes(&v, "client_hello_with_zero_random");
    let digest = proof::digest(&key.into(), &[], &blank);
    assert_eq!(digest[..], bytes(&v, "hmac_sha256"));
    let random = bytes(&v, "client_random_on_wire");
    assert_eq!(proof::of_client(&digest, unix_time)[..], random);

    let hello = prove(blank, key, unix_time);
    assert_eq!(hello[11..43], random);
    let verdict = gate_of(&[secret_of(key, DOMAIN)]).check(&hello, unix_time);
    assert!(matches!(verdict, Verdict::Accept(_)), "{verdict:?}");
}

// req: S116
#[test]
fn a_server_proves_itself_as_computed_elsewhere() {
    let v = vectors();
    let key: [u8; 16] = bytes(&v, "secret").try_into().unwrap();
    let random = bytes(&v, "client_random_on_wire").try_into().unwrap();
    let mut answer = bytes(&v, "server_response_with_zero_random");
    let client = ClientHandshake { key: key.into(), random };
    assert_eq!(client.check(&answer), Err(Fault::AnswerUnproven));
    answer[11..43].copy_from_slice(&bytes(&v, "server_random"));
    assert_eq!(client.check(&answer), Ok(Answer::Proven));
}

/// What Telegram for iOS sent in 2021 with a secret that was published then, among the tests of a
/// proxy (github.com/9seconds/mtg, MIT). Zeros fill it up to 517 bytes.
const FROM_IOS: &str = "\
    1603010200010001fc0303a1812edf78e5fb341b50a32d41b57538707481720cdb2d9aabd898d105f5da8b20146a\
    80dd9158ad2963fffc65ee56a698d9fae0af7f30ada64371c9506bcffbc80034130313011302c02cc02bc024c023\
    c00ac009cca9c030c02fc028c027c014c013cca8009d009c003d003c0035002fc008c012000a0100017fff010001\
    000000001b001900001673746f726167652e676f6f676c65617069732e636f6d00170000000d0018001604030804\
    040105030203080508050501080606010201000500050100000000337400000012000000100030002e0268320568\
    322d31360568322d31350568322d313408737064792f332e3106737064792f3308687474702f312e31000b000201\
    00003300260024001d00206ba0a872914ff10778602151f6991a0abf7ba68d802e3d0fe6723d3676f75163002d00\
    020101002b0009080304030303020301000a000a0008001d001700180019001500a1";
const FROM_IOS_SECRET: &str =
    "ee367a189aee18fa31c190054efd4a8e9573746f726167652e676f6f676c65617069732e636f6d";
const FROM_IOS_AT: u32 = 1_617_181_352;

// req: S116, L32
#[test]
fn a_phone_is_let_in() {
    let mut hello = from_hex(FROM_IOS).unwrap();
    hello.resize(517, 0);
    let secrets = [secret(), FROM_IOS_SECRET.parse().unwrap()];
    let gate = gate_of(&secrets);
    for len in 0..hello.len() {
        assert_eq!(gate.check(&hello[..len], FROM_IOS_AT), Verdict::NeedMore);
    }
    match gate.check(&hello, FROM_IOS_AT + 2) {
        Verdict::Accept(Accepted { secret, answer }) => {
            assert_eq!((secret, &answer[76..78]), (1, &[0x13, 0x03][..]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(refuse(&gate, &hello), Refusal::Clock { client: FROM_IOS_AT, server: NOW });
}
