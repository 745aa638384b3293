//! What stands inside an envelope.

use bytes::Bytes;
use mtproto_pack::wrappers::{self, AFTER_IDS_MAX};
use mtproto_pack::{
    GZIP_PACKED_ID, Limits, Message, RpcAnswer, RpcError, RpcResult, flatten, gzip, object_id,
    read_container, write_container,
};
use mtproto_tl::{Encode, MsgId, Seqno};

use crate::choices::Choices;
use crate::objects::Known;

/// Bytes that may come out of gzip.
const INFLATED_MAX: usize = 1 << 16;

/// Opens bytes, or an object that is made of them, in every way there is.
///
/// What is opened is bounded, and written again it is what it was.
pub fn pack(data: &[u8]) {
    let mut choices = Choices::new(data);
    let object: Bytes = match choices.below(2) {
        0 => choices.rest().to_vec().into(),
        _ => Known::default().object(&mut choices).into(),
    };
    flat(&object);
    container(&object);
    packed(&object);
    result(&object);
    query(&object);
}

fn flat(object: &Bytes) {
    let limits = Limits { inflated_max: INFLATED_MAX };
    let around = |body| Message { id: MsgId(u64::MAX), seqno: Seqno(0), body };
    let Ok(flat) = flatten(around(object.clone()), limits) else { return };
    let messages: Vec<_> = flat.items.iter().map(|item| item.message.clone()).collect();
    let len: usize = messages.iter().map(|message| message.body.len()).sum();
    assert!(len <= object.len() + INFLATED_MAX);
    // One that is no object of whole words has no place in a container.
    if messages.iter().any(|it| it.body.len() < 4 || !it.body.len().is_multiple_of(4)) {
        return;
    }
    if flat.is_container || messages[0].id < MsgId(u64::MAX) {
        let mut again = Vec::new();
        write_container(&messages, &mut again);
        let again = flatten(around(again.into()), limits).expect("what was opened opens");
        assert!(again.items.iter().map(|item| &item.message).eq(&messages));
    }
}

fn container(object: &Bytes) {
    let Ok(messages) = read_container(object) else { return };
    let mut again = Vec::new();
    write_container(&messages, &mut again);
    assert_eq!(Bytes::from(again), *object);
}

fn packed(object: &Bytes) {
    if let Ok(inflated) = gzip::unpack(object, INFLATED_MAX) {
        assert!(inflated.len() <= INFLATED_MAX);
    }
    if object_id(object) != GZIP_PACKED_ID
        && let Some(packed) = gzip::pack(object)
    {
        assert!(packed.len() < object.len());
        assert_eq!(gzip::unpack(&packed, object.len()).as_ref(), Ok(object));
    }
}

fn result(object: &Bytes) {
    if let Ok(result) = RpcResult::read(object) {
        assert_eq!(result.to_bytes(), object);
    }
    match RpcAnswer::read(object, INFLATED_MAX) {
        Ok(RpcAnswer::Drop(answer)) => {
            let written = answer.to_bytes();
            assert!(object.starts_with(&written) || object_id(object) == GZIP_PACKED_ID);
        }
        Ok(RpcAnswer::Error(error)) => {
            assert_eq!(RpcError::read(&error.to_bytes()), Ok(error));
        }
        Ok(RpcAnswer::Ok(inner)) => assert!(inner.len() <= object.len() + INFLATED_MAX),
        Err(_) => {}
    }
}

fn query(object: &Bytes) {
    let Ok(stripped) = wrappers::strip(object, INFLATED_MAX) else { return };
    assert!(stripped.after.len() <= AFTER_IDS_MAX);
    let again = wrappers::strip(&stripped.query, 0).expect("nothing is left around it");
    assert_eq!(again.query, stripped.query);
}
