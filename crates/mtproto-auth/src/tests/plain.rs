use bytes::Bytes;
use mtproto_crypto::{SecureRandom, SeededRandom};
use mtproto_tl::functions::{Ping, ReqPq, ReqPqMulti};
use mtproto_tl::types::MsgsAck;
use mtproto_tl::{Encode, MsgId};

use super::support::{Stages, copied, hex, query, vector};
use crate::{
    Fault, KeyKind, PLAIN_BODY_LEN_MAX, PLAIN_HEADER_LEN, PlainError, PlainMessage, Query, is_plain,
};

fn packet(len: usize) -> Bytes {
    let mut packet = vec![0; PLAIN_HEADER_LEN + len];
    packet[16..20].copy_from_slice(&(len as u32).to_le_bytes());
    packet.into()
}

// req: L6
#[test]
fn a_message_reads_back_and_filler_behind_it_is_ignored() {
    let message = PlainMessage { msg_id: MsgId(0x65c5_3d50_0006_72d4), body: copied(b"object") };
    let mut packet = message.to_packet().to_vec();
    assert!(is_plain(&packet));
    assert_eq!(PlainMessage::decode(&copied(&packet)), Ok(message.clone()));
    packet.extend_from_slice(&[0x55; 15]);
    assert_eq!(PlainMessage::decode(&packet.into()), Ok(message));
}

#[test]
fn a_message_cut_anywhere_is_truncated() {
    let packet = packet(12);
    for len in 0..packet.len() {
        assert_eq!(PlainMessage::decode(&packet.slice(..len)), Err(PlainError::Truncated));
        assert!(len >= 8 || !is_plain(&packet[..len]));
    }
}

#[test]
fn an_encrypted_packet_is_told_apart() {
    let mut packet = packet(12).to_vec();
    packet[7] = 1;
    assert!(!is_plain(&packet));
    assert_eq!(PlainMessage::decode(&packet.into()), Err(PlainError::Encrypted));
}

#[test]
fn bodies_are_bounded() {
    assert!(PlainMessage::decode(&packet(PLAIN_BODY_LEN_MAX)).is_ok());
    let len = PLAIN_BODY_LEN_MAX + 1;
    assert_eq!(PlainMessage::decode(&packet(len)), Err(PlainError::TooLong { len }));
    let mut claim = packet(12).to_vec();
    claim[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(PlainMessage::decode(&claim.into()), Err(PlainError::TooLong { .. })));
}

#[test]
fn queries_of_the_sample_are_read_with_their_nonces() {
    let sample = vector("auth_key_sample");
    let read = |name: &str| {
        let packet = copied(&hex(&sample[name]));
        query(&PlainMessage::decode(&packet).unwrap().body)
    };
    let (nonce, server_nonce) = (hex(&sample["nonce"]), hex(&sample["server_nonce"]));
    let first = read("req_pq_multi_payload");
    assert_eq!((first.nonce()[..].to_vec(), first.server_nonce()), (nonce.clone(), None));
    for name in ["req_DH_params_payload", "set_client_DH_params_payload"] {
        let query = read(name);
        assert_eq!(query.nonce()[..], nonce);
        assert_eq!(query.server_nonce().unwrap()[..], server_nonce);
    }
}

// req: L6, S111
#[test]
fn filler_inside_the_body_does_not_make_another_query() {
    let stages = Stages::new(KeyKind::Permanent, 1);
    for body in [stages.req_pq, stages.req_dh_params, stages.set_client_dh_params] {
        let filled = Bytes::from([&body[..], &[0xa5; 40]].concat());
        assert!(query(&body).is_same(&query(&filled)));
    }
    let nonce = [7; 16];
    let (old, new) = (ReqPq { nonce }.to_bytes(), ReqPqMulti { nonce }.to_bytes());
    assert!(!query(&old).is_same(&query(&new)));
    assert_eq!(query(&old).nonce(), query(&new).nonce());
}

// req: L14
#[test]
fn only_the_key_exchange_may_travel_unencrypted() {
    let ack = MsgsAck { msg_ids: vec![MsgId(5)] }.to_bytes();
    assert!(Query::decode(&ack).unwrap().is_none());
    let ping = Ping { ping_id: 1 }.to_bytes();
    let fault = Query::decode(&ping).unwrap_err();
    assert_eq!(fault, Fault::UnexpectedQuery { id: 0x7abe_77ec });
    assert!(matches!(Query::decode(&Bytes::new()), Err(Fault::Malformed(_))));
}

// req: S114
#[test]
fn a_fault_tells_the_log_more_than_the_peer() {
    let faults = [
        (Fault::WrongDc { dc: 4 }, -444, "key was asked for data centre 4"),
        (Fault::UnexpectedQuery { id: 7 }, -404, "unencrypted message 0x00000007 not allowed"),
        (Fault::EncryptedLen { len: 5 }, -404, "encrypted part of 5 bytes does not fit"),
        (Fault::InnerData, -404, "data encrypted with RSA is not as demanded"),
    ];
    for (fault, code, text) in faults {
        assert_eq!((fault.transport_error(), fault.to_string().as_str()), (code, text));
    }
}

#[test]
fn noise_never_becomes_a_query_and_never_panics() {
    let mut random = SeededRandom::new(3);
    for _ in 0..20_000 {
        let mut noise = vec![0; (random.u32() % 120) as usize];
        random.fill(&mut noise);
        if noise.len() > 8 {
            noise[..8].fill(0);
        }
        if let Ok(message) = PlainMessage::decode(&noise.into()) {
            assert!(Query::decode(&message.body).is_err());
        }
    }
}
