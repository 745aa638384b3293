//! Clients and gates talk, and others say hello.

mod gate;
mod hellos;
mod records;
mod vectors;
mod wires;

use mtproto_crypto::SeededRandom;

use super::*;
use crate::{Secret, SecretKey};

const KEY: [u8; 16] = *b"sixteen letters!";
const DOMAIN: &str = "www.example.org";
const NOW: u32 = 1_763_000_000;

fn secret_of(key: [u8; 16], domain: &str) -> Secret {
    Secret::FakeTls { key: key.into(), domain: domain.to_owned() }
}

fn secret() -> Secret {
    secret_of(KEY, DOMAIN)
}

fn gate_of(secrets: &[Secret]) -> Gate {
    Gate::new(secrets, SeededRandom::new(7)).unwrap()
}

fn gate() -> Gate {
    gate_of(&[secret()])
}

/// A client that has said hello, and its hello.
fn start(shape: HelloShape, seed: u64) -> (ClientHandshake, Vec<u8>) {
    start_at(shape, seed, NOW)
}

fn start_at(shape: HelloShape, seed: u64, unix_time: u32) -> (ClientHandshake, Vec<u8>) {
    let random = &mut SeededRandom::new(seed);
    ClientHandshake::start(&KEY.into(), DOMAIN, shape, unix_time, random)
}

/// Gives a hello the proof that its bytes ask for.
fn prove(mut hello: Vec<u8>, key: [u8; 16], unix_time: u32) -> Vec<u8> {
    let digest = proof::digest(&SecretKey::from(key), &[], &hello);
    proof::put_random(&mut hello, &proof::of_client(&digest, unix_time));
    hello
}

fn accept(gate: &Gate, hello: &[u8]) -> Accepted {
    match gate.check(hello, NOW) {
        Verdict::Accept(accepted) => accepted,
        other => panic!("{other:?}"),
    }
}

fn refuse(gate: &Gate, input: &[u8]) -> Refusal {
    match gate.check(input, NOW) {
        Verdict::Foreign(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Takes a record apart: its type, its bytes, and what follows.
fn split_record(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let len = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
    (bytes[0], &bytes[5..5 + len], &bytes[5 + len..])
}
