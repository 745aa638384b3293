//! Published conversations, replayed with the chance that was published with them.

use std::sync::Arc;

use bytes::Bytes;
use mtproto_crypto::SeededRandom;
use mtproto_crypto::rsa::RsaPublicKey;
use mtproto_tl::functions::ReqDhParams;
use mtproto_tl::types::ResPq;
use mtproto_tl::{Decode, Encode, MsgId};
use serde_json::Value;

use super::support::{Scripted, array, copied, decimal, hex, server_key, server_keys, vector};
use crate::client::{self, ClientConfig, Outcome};
use crate::inner_data::Challenge;
use crate::nonces::ExchangeId;
use crate::server::OLD_LENS;
use crate::{KeyKind, NewKey, PlainMessage};

fn public_key(n: &Value) -> RsaPublicKey {
    RsaPublicKey::from_parts(&decimal(n), &[1, 0, 1]).unwrap()
}

fn permanent(key: RsaPublicKey) -> ClientConfig {
    ClientConfig { keys: Arc::new([key]), dc: 2, kind: KeyKind::Permanent }
}

/// The body of a packet whose filler inside the counted length was not published.
fn body_of_shown(packet: &Value) -> Bytes {
    let mut packet = hex(packet);
    let len = u32::from_le_bytes(packet[16..20].try_into().unwrap());
    packet.resize(20 + len as usize, 0xee);
    PlainMessage::decode(&packet.into()).unwrap().body
}

fn packet_of(body: Bytes, published: &[u8]) -> Bytes {
    let msg_id = MsgId(u64::from_le_bytes(published[8..16].try_into().unwrap()));
    PlainMessage { msg_id, body }.to_packet()
}

fn check_key(key: &NewKey, sample: &Value, server_time: u32) {
    assert_eq!(key.key.as_bytes()[..], hex(&sample["auth_key"]));
    assert_eq!(key.key.id().to_le_bytes(), array(&sample["auth_key_id_wire"]));
    assert_eq!(key.first_salt.0.cast_signed(), sample["server_salt_i64"].as_i64().unwrap());
    assert_eq!((key.server_time, key.kind), (server_time, KeyKind::Permanent));
}

// req: S111
#[test]
fn the_sample_of_the_documentation() {
    let sample = vector("auth_key_sample");
    let field = |name: &str| hex(&sample[name]);
    let mut random = Scripted::new(&[
        &field("nonce"),
        &field("new_nonce"),
        &field("random_padding_bytes"),
        // RSA_PAD's key was not published, so what is under RSA cannot be compared.
        &[0x11; 32],
        &field("b"),
        &field("client_padding"),
    ]);
    let key = public_key(&vector("rsa_keys")["production"]["n_decimal"]);

    let (state, query) = client::start(permanent(key), &mut random);
    let published = field("req_pq_multi_payload");
    assert_eq!(packet_of(query, &published), published);

    let answer = body_of_shown(&sample["resPQ_payload_shown"]);
    let (state, query) = state.handle(&answer, &mut random).unwrap();
    let published = field("req_DH_params_payload");
    let packet = packet_of(query, &published);
    assert_eq!(packet.len(), published.len());
    assert_eq!(packet[..published.len() - 256], published[..published.len() - 256]);

    let answer = body_of_shown(&sample["server_DH_params_ok_payload_shown"]);
    let (state, query) = state.handle(&answer, &mut random).unwrap();
    let published = field("set_client_DH_params_payload");
    assert_eq!(packet_of(query, &published), published);
    assert!(random.is_used_up());

    let answer = body_of_shown(&sample["dh_gen_ok_payload_shown"]);
    let Outcome::Done(key) = state.handle(&answer, &mut random).unwrap() else {
        panic!("the sample ends with dh_gen_ok");
    };
    check_key(&key, sample, 1_707_425_105);
}

// req: S111
#[test]
fn the_flow_of_grammers() {
    let flow = vector("auth_key_flow_grammers");
    let field = |name: &str| copied(&hex(&flow[name]));
    let mut random = Scripted::new(&[
        &field("nonce"),
        &field("new_nonce"),
        // We name the data centre and they do not, so what is under RSA cannot be compared.
        &[0x22; 92 + 32],
        &field("b"),
        &field("client_padding"),
    ]);
    let key = public_key(&flow["rsa_n_decimal"]);

    let (state, query) = client::start(permanent(key), &mut random);
    assert_eq!(query, field("req_pq_multi"));
    let (state, query) = state.handle(&field("resPQ"), &mut random).unwrap();
    let published = field("req_DH_params");
    assert_eq!(query[..query.len() - 256], published[..published.len() - 256]);
    let (state, query) = state.handle(&field("server_DH_params_ok"), &mut random).unwrap();
    assert_eq!(query, field("set_client_DH_params"));
    assert!(random.is_used_up());
    let Outcome::Done(key) = state.handle(&field("dh_gen_ok"), &mut random).unwrap() else {
        panic!("the flow ends with dh_gen_ok");
    };
    check_key(&key, flow, 1_693_436_740);
}

// req: S111
#[test]
fn what_goes_under_rsa_is_that_of_the_sample() {
    let sample = vector("auth_key_sample");
    let mut random = Scripted::new(&[
        &hex(&sample["nonce"]),
        &hex(&sample["new_nonce"]),
        &hex(&sample["random_padding_bytes"]),
        &[0x22; 32],
    ]);
    let (state, _) = client::start(permanent(server_key()), &mut random);
    // The sample's server, had it our RSA key, which can look inside.
    let mut challenge = ResPq::from_slice(&hex(&sample["resPQ_payload_shown"])[20..]).unwrap();
    challenge.server_public_key_fingerprints[2] = server_key().fingerprint().cast_signed();
    let (_, query) = state.handle(&challenge.to_bytes(), &mut random).unwrap();

    let query = ReqDhParams::from_bytes(&query).unwrap();
    let mut random = SeededRandom::new(0);
    let inner = server_keys()[0].decrypt_inner(&query.encrypted_data, &[], &mut random).unwrap();
    let published = hex(&sample["p_q_inner_data_dc"]);
    assert_eq!(inner.data()[..published.len()], published);
    assert_eq!(inner.data()[published.len()..], hex(&sample["random_padding_bytes"]));
}

// req: S111
#[test]
fn both_rsa_forms_of_the_vectors_open() {
    let (sample, vector) = (vector("auth_key_sample"), vector("rsa_server_side"));
    let challenge = Challenge {
        id: ExchangeId {
            nonce: array(&sample["nonce"]),
            server_nonce: array(&sample["server_nonce"]),
        },
        pq: u64::from_be_bytes(array(&sample["pq"])),
        p: u32::from_be_bytes(array(&sample["p"])),
        q: u32::from_be_bytes(array(&sample["q"])),
    };
    let keys = server_keys();
    assert_eq!(keys[0].public().fingerprint().to_le_bytes(), array(&vector["fingerprint_wire"]));
    for form in ["rsa_pad_encrypted", "old_scheme_encrypted"] {
        let (encrypted, random) = (hex(&vector[form]), &mut SeededRandom::new(0));
        let inner = keys[0].decrypt_inner(&encrypted, &OLD_LENS, random).expect(form);
        let inner = challenge.read(&inner).expect(form);
        assert_eq!(inner.new_nonce[..], hex(&sample["new_nonce"]), "{form}");
        assert_eq!((inner.kind, inner.dc), (KeyKind::Permanent, Some(2)), "{form}");
    }
}
