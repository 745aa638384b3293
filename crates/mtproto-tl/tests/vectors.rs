//! The bytes of `tests/vectors.json`: from the documentation, and from other implementations.

use std::fmt::Debug;
use std::time::Duration;

use mtproto_tl::bytes::Bytes;
use mtproto_tl::{
    AuthKeyId, Author, Decode, Encode, MsgId, Salt, ServerTime, SessionId, functions, types,
};
use serde_json::Value;

/// The vector at `path`, keys with slashes between.
fn vector(path: &str) -> Value {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors.json"));
    let vectors: Value = serde_json::from_str(text).unwrap();
    vectors.pointer(&format!("/{path}")).unwrap().clone()
}

fn hex(path: &str) -> Vec<u8> {
    let digits = vector(path).as_str().unwrap().as_bytes().to_vec();
    let pairs = digits.chunks_exact(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn array<const N: usize>(path: &str) -> [u8; N] {
    hex(path).try_into().unwrap()
}

fn bytes(path: &str) -> Bytes {
    hex(path).into()
}

/// A number that is written as its bytes on the wire.
fn wire_u64(path: &str) -> u64 {
    u64::from_le_bytes(array(path))
}

/// `value` is written as the vector says, and read back from it.
#[track_caller]
fn check<T: Decode + Encode + PartialEq + Debug>(expected: &[u8], value: &T) {
    assert_eq!(value.to_bytes(), expected);
    assert_eq!(&T::from_slice(expected).unwrap(), value);
}

#[test]
fn service_messages() {
    let msg_ids = vec![MsgId(1), MsgId(2)];
    check(&hex("tl/msgs_ack_two_ids"), &types::MsgsAck { msg_ids });
    check(&hex("tl/bool_true"), &true);
    check(&hex("tl/bool_false"), &false);
    let wait = types::HttpWait { max_delay: 0, wait_after: 0, max_wait: 25_000 };
    check(&hex("tl/http_wait_0_0_25000"), &wait);
    let salt = types::FutureSalt {
        valid_since: 0x65c5_3ce8,
        valid_until: 0x65c5_4af8,
        salt: Salt(0x1122_3344_5566_7788),
    };
    let salts = types::FutureSalts {
        req_msg_id: MsgId(0x65c5_3d51_1234_5678),
        now: 0x65c5_3d51,
        salts: vec![salt],
    };
    check(&hex("tl/future_salts_one"), &salts);
    let ping = functions::Ping { ping_id: 0x1234_5678_90ab_cdef };
    check(&hex("messages_v2/messages/0/body"), &ping);
    let pong = types::Pong { msg_id: MsgId(0x65c5_3d51_1234_5678), ping_id: ping.ping_id };
    check(&hex("messages_v2/messages/1/body"), &pong);
}

#[test]
fn strings() {
    for (len, form) in vector("tl/strings_of_letter_a").as_object().unwrap() {
        let text = "a".repeat(len.parse().unwrap());
        let mut expected = hex(&format!("tl/strings_of_letter_a/{len}/header"));
        expected.extend(text.bytes());
        expected.resize(form["total"].as_u64().unwrap() as usize, 0);
        check(&expected, &text);
        check(&expected, &Bytes::from(text));
    }
}

#[test]
fn a_vector_in_a_query() {
    let mut query = 0x2d84_d5f5_u32.to_bytes().to_vec();
    vec![2_i32, 3, 4].encode(&mut query);
    assert_eq!(query, hex("tl/getUsers_vector_2_3_4/bytes"));
}

#[test]
fn the_published_key_exchange() {
    let at = |name| format!("auth_key_sample/{name}");
    let nonce = array(&at("nonce"));
    let server_nonce = array(&at("server_nonce"));
    let (p, q) = (bytes(&at("p")), bytes(&at("q")));
    check(&hex(&at("req_pq_multi_payload"))[20..], &functions::ReqPqMulti { nonce });
    let inner = types::PQInnerDataDc {
        pq: bytes(&at("pq")),
        p: p.clone(),
        q: q.clone(),
        nonce,
        server_nonce,
        new_nonce: array(&at("new_nonce")),
        dc: 2,
    };
    check(&hex(&at("p_q_inner_data_dc")), &inner);
    let request = functions::ReqDhParams {
        nonce,
        server_nonce,
        p,
        q,
        public_key_fingerprint: wire_u64(&at("chosen_fingerprint_wire")).cast_signed(),
        encrypted_data: bytes(&at("rsa_encrypted_data")),
    };
    check(&hex(&at("req_DH_params_payload"))[20..], &request);
}

#[test]
fn the_key_exchange_of_grammers() {
    let at = |name| format!("auth_key_flow_grammers/{name}");
    let nonce = array(&at("nonce"));
    let server_nonce = array(&at("server_nonce"));
    check(&hex(&at("req_pq_multi")), &functions::ReqPqMulti { nonce });
    let answer = types::ResPq::from_slice(&hex(&at("resPQ"))).unwrap();
    assert_eq!(answer.to_bytes(), hex(&at("resPQ")));
    assert_eq!((answer.nonce, answer.server_nonce), (nonce, server_nonce));
    let known = wire_u64(&at("fingerprint_wire")).cast_signed();
    assert_eq!(answer.server_public_key_fingerprints[0], known);
    let inner = types::PQInnerData {
        pq: bytes(&at("pq")),
        p: bytes(&at("p")),
        q: bytes(&at("q")),
        nonce,
        server_nonce,
        new_nonce: array(&at("new_nonce")),
    };
    check(&hex(&at("p_q_inner_data")), &inner);
}

#[test]
fn the_binding_of_a_temporary_key() {
    let at = |name| format!("bind_temp_auth_key/{name}");
    let perm_auth_key_id = AuthKeyId(wire_u64(&at("perm_auth_key_id_wire")));
    let nonce = vector(&at("nonce_i64")).as_i64().unwrap();
    let expires_at = 1_735_689_600;
    let inner = types::BindAuthKeyInner {
        nonce,
        temp_auth_key_id: AuthKeyId(wire_u64(&at("temp_auth_key_id_wire"))),
        perm_auth_key_id,
        temp_session_id: SessionId(72_623_859_790_382_856),
        expires_at,
    };
    check(&hex(&at("bind_auth_key_inner")), &inner);
    let query = functions::auth::BindTempAuthKey {
        perm_auth_key_id,
        nonce,
        expires_at,
        encrypted_message: bytes(&at("encrypted_message")),
    };
    check(&hex(&at("auth_bindTempAuthKey")), &query);
}

#[test]
fn message_ids() {
    let time = ServerTime::from_unix(Duration::from_secs_f64(1_707_425_105.25));
    let expected =
        |name| MsgId(vector(&format!("msg_id/{name}")).as_str().unwrap().parse().unwrap());
    assert_eq!(MsgId::at(time, Author::Client), expected("client_example"));
    assert_eq!(MsgId::at(time, Author::ServerReply), expected("server_reply_example"));
    assert_eq!(MsgId::at(time, Author::ServerNotice), expected("server_push_example"));
}
