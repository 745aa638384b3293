//! Message bodies that no honest client sends.

use bytes::Bytes;
use mtproto_kit::pack::{
    CONTAINER_MESSAGES_MAX, GZIP_PACKED_ID, INFLATED_MAX, MSG_COPY_ID, Message, gzip,
    write_container,
};
use mtproto_kit::session::IDS_MAX;
use mtproto_kit::tl::functions::auth::BindTempAuthKey;
use mtproto_kit::tl::functions::{
    DestroySession, GetFutureSalts, InvokeAfterMsg, Ping, RpcDropAnswer,
};
use mtproto_kit::tl::types::{
    BadMsgNotification, HttpWait, MsgResendReq, MsgsAck, MsgsAllInfo, MsgsStateInfo, MsgsStateReq,
};
use mtproto_kit::tl::wrappers::functions::InvokeWithLayer;
use mtproto_kit::tl::{
    AuthKeyId, Constructor, Encode, MsgId, Raw, Seqno, SessionId, encode_byte_string,
};

use crate::object;

const VECTOR_ID: u32 = 0x1cb5_c415;
const CONTAINER_ID: u32 = 0x73f1_f8dc;
const MESSAGE_ID: u32 = 0x5bb8_e511;
const QUERY_ID: u32 = 0x0e2e_0001;

/// Makes a body for the message of this id.
pub type Maker = fn(MsgId) -> Bytes;

/// Bodies that are right, to be damaged. None of them closes a connection or destroys a key.
pub const WELL_FORMED: &[Maker] = &[
    |_| query(),
    |_| ping(),
    |_| packed(),
    |outer| container(outer, &[ping(), query(), packed()]),
    |outer| copy(outer, &ping()),
    |_| InvokeWithLayer { layer: 170, query: Raw(query()) }.to_bytes(),
    |outer| InvokeAfterMsg { msg_id: below(outer), query: Raw(query()) }.to_bytes(),
    |_| GetFutureSalts { num: 64 }.to_bytes(),
    |outer| MsgsAck { msg_ids: ids(outer) }.to_bytes(),
    |outer| MsgsStateReq { msg_ids: ids(outer) }.to_bytes(),
    |outer| MsgsStateInfo { req_msg_id: outer, info: vec![1; 5].into() }.to_bytes(),
    |outer| MsgsAllInfo { msg_ids: ids(outer), info: vec![4; 5].into() }.to_bytes(),
    |outer| MsgResendReq { msg_ids: ids(outer) }.to_bytes(),
    |outer| RpcDropAnswer { req_msg_id: below(outer) }.to_bytes(),
    |_| DestroySession { session_id: SessionId(9) }.to_bytes(),
    |_| HttpWait { max_delay: 1, wait_after: 2, max_wait: 3 }.to_bytes(),
    |outer| {
        let bad_msg_seqno = Seqno(1);
        BadMsgNotification { bad_msg_id: outer, bad_msg_seqno, error_code: 16 }.to_bytes()
    },
    |_| {
        let encrypted_message = vec![4; 104].into();
        let perm_auth_key_id = AuthKeyId(1);
        BindTempAuthKey { perm_auth_key_id, nonce: 2, expires_at: 3, encrypted_message }.to_bytes()
    },
];

/// Bodies that are wrong on purpose, small ones.
pub const CROOKED: &[Maker] = &[
    |_| Bytes::new(),
    |_| object(0, &[]),
    |_| object(0xdead_beef, &[1]),
    // A string that claims 16 MiB.
    |_| object(QUERY_ID, &[0xffff_fffe]),
    |outer| claim_container(1 << 31, below(outer), 12),
    |outer| claim_container(u32::MAX, below(outer), 12),
    |outer| claim_container(2, below(outer), 12),
    |outer| claim_container(1, outer, 12),
    |outer| claim_container(1, MsgId(below(outer).0 | 1), 12),
    |outer| claim_container(1, below(outer), 0x7fff_fffc),
    |outer| claim_container(1, below(outer), u32::MAX),
    |outer| claim_container(1, below(outer), 0),
    |outer| claim_container(1, below(outer), 7),
    |_| object(CONTAINER_ID, &[0]),
    nested_container,
    |outer| copy(outer, &copy(below(outer), &ping())),
    |outer| copy(outer, &nested_container(below(outer))),
    |_| object(MSG_COPY_ID, &[0, 0]),
    |_| claim_ids(MsgsAck::ID, 1 << 31),
    |_| claim_ids(MsgsAck::ID, u32::MAX),
    |_| claim_ids(MsgsStateReq::ID, 1 << 30),
    |_| claim_ids(MsgResendReq::ID, 1 << 29),
    |_| wrapped(7),
    |_| wrapped(9),
    |_| wrapped(1000),
    |_| gzip_of(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]),
    |_| gzip_of(&[]),
    |_| gzip_of(&[0x78, 0x9c, 0xff, 0xff]),
    |_| gzip_of(&packed()),
];

/// Bodies that grow when they are read, or are as large as a packet can be.
pub const HEAVY: &[Maker] = &[
    |_| zeros(INFLATED_MAX + 4),
    |outer| container(outer, &vec![zeros(INFLATED_MAX / 2); 20]),
    |outer| container(outer, &vec![ping(); CONTAINER_MESSAGES_MAX + 1]),
    |outer| copy(outer, &zeros(INFLATED_MAX + 4)),
    |_| (0..40).fold(zeros(1 << 20), |object, _| gzip::pack(&object).unwrap_or(object)),
    |_| object(QUERY_ID, &vec![0x5555_5555; 250_000]),
    |_| MsgsAck { msg_ids: vec![MsgId(1); IDS_MAX + 1] }.to_bytes(),
];

fn query() -> Bytes {
    object(QUERY_ID, &[1, 2, 3])
}

fn ping() -> Bytes {
    Ping { ping_id: 7 }.to_bytes()
}

fn packed() -> Bytes {
    zeros(800)
}

fn zeros(len: usize) -> Bytes {
    gzip::pack(&vec![0; len]).expect("zeros can be packed")
}

fn below(id: MsgId) -> MsgId {
    MsgId(id.0.saturating_sub(4))
}

fn ids(outer: MsgId) -> Vec<MsgId> {
    (1..6).map(|back| MsgId(outer.0 - back * 4)).collect()
}

/// A container of one ping that claims `count` messages, and this id and length of the first.
fn claim_container(count: u32, id: MsgId, len: u32) -> Bytes {
    let (low, high) = halves(id.0);
    [object(CONTAINER_ID, &[count, low, high, 1, len]), ping()].concat().into()
}

/// A vector of one id that claims `count`.
fn claim_ids(id: u32, count: u32) -> Bytes {
    object(id, &[VECTOR_ID, count, 0, 0])
}

fn nested_container(outer: MsgId) -> Bytes {
    container(outer, &[container(below(outer), &[ping()])])
}

fn container(outer: MsgId, bodies: &[Bytes]) -> Bytes {
    let count = bodies.len() as u64;
    let messages: Vec<_> = (bodies.iter().zip(0..))
        .map(|(body, index)| Message {
            id: MsgId(outer.0 - (count - index) * 4),
            seqno: Seqno(1),
            body: body.clone(),
        })
        .collect();
    let mut out = Vec::new();
    write_container(&messages, &mut out);
    out.into()
}

fn copy(outer: MsgId, body: &[u8]) -> Bytes {
    let (low, high) = halves(below(outer).0);
    let len = u32::try_from(body.len()).expect("a short body");
    [&object(MSG_COPY_ID, &[MESSAGE_ID, low, high, 1, len]), body].concat().into()
}

fn wrapped(times: usize) -> Bytes {
    let layer = object(InvokeWithLayer::<Raw>::ID, &[170]);
    [layer.repeat(times), object(QUERY_ID, &[1]).to_vec()].concat().into()
}

fn gzip_of(packed: &[u8]) -> Bytes {
    let mut out = GZIP_PACKED_ID.to_le_bytes().to_vec();
    encode_byte_string(packed, &mut out);
    out.into()
}

fn halves(number: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}
