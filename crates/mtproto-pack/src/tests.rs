//! Containers, copies, results and wrappers, as bytes.

use bytes::Bytes;
use expect_test::expect;
use mtproto_tl::wrappers::functions::{InitConnection, InvokeWithLayer, InvokeWithoutUpdates};
use mtproto_tl::wrappers::{enums, types as wrapper_types};
use mtproto_tl::{DecodeError, Encode, MsgId, Raw, Seqno, functions, types};
use proptest::prelude::*;

use super::wrappers::{AFTER_IDS_MAX, Unwrapped, WRAPPERS_MAX, WrapperError, strip};
use super::*;

fn message(id: u64, body: impl Into<Bytes>) -> Message {
    Message { id: MsgId(id), seqno: Seqno(1), body: body.into() }
}

fn ping(ping_id: i64) -> Bytes {
    functions::Ping { ping_id }.to_bytes()
}

fn container(id: u64, messages: &[Message]) -> Message {
    let mut body = Vec::new();
    write_container(messages, &mut body);
    Message { id: MsgId(id), seqno: Seqno(2), body: body.into() }
}

fn packed(object: &[u8]) -> Bytes {
    gzip::pack(object).expect("it is compressible")
}

/// A boxed `msg_copy`.
fn copy(original: &Message) -> Bytes {
    let mut out = MSG_COPY_ID.to_le_bytes().to_vec();
    out.extend_from_slice(&0x5bb8_e511_u32.to_le_bytes());
    original.id.encode(&mut out);
    original.seqno.encode(&mut out);
    (original.body.len() as u32).encode(&mut out);
    out.extend_from_slice(&original.body);
    out.into()
}

fn open(outer: Message) -> Result<Flat, PackError> {
    flatten(outer, Limits::default())
}

fn hex(text: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn vectors() -> serde_json::Value {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors.json"));
    serde_json::from_str(text).expect("the vectors are JSON")
}

// req: S41, S48
#[test]
fn containers_agree_with_the_vectors() {
    let tl = &vectors()["tl"];
    let one = hex(tl["msg_container_one_ping"].as_str().expect("a string"));
    let messages = read_container(&one).expect("it is whole");
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].body, ping(0x1234_5678_90ab_cdef));
    assert_eq!((messages[0].seqno, messages[0].id), (Seqno(0), MsgId(0x65c5_3d51_1234_5678)));
    let mut again = Vec::new();
    write_container(&messages, &mut again);
    assert_eq!(again, one);
    let empty = hex(tl["empty_container"].as_str().expect("a string"));
    assert_eq!(read_container(&empty), Ok(vec![]));
}

// A packet of the real server: new_session_created and pong.
#[test]
fn a_captured_container_is_read() {
    let plaintext = hex(vectors()["decrypt_v2_grammers"]["plaintext"].as_str().expect("a string"));
    let body = plaintext.slice(32..32 + 88);
    let outer = message(u64::from_le_bytes(plaintext[16..24].try_into().expect("eight")), body);
    let flat = open(outer).expect("the real server keeps the rules");
    let seen: Vec<_> = flat
        .items
        .iter()
        .map(|item| format!("{:08x} seqno={}", item.message.object_id(), item.message.seqno))
        .collect();
    expect![[r#"
        [
            "9ec20908 seqno=1",
            "347773c5 seqno=2",
        ]
    "#]]
    .assert_debug_eq(&seen);
}

// req: S40, S41
#[test]
fn a_container_cut_anywhere_is_no_container() {
    let whole = container(100, &[message(4, ping(1)), message(8, ping(2))]).body;
    for len in 0..whole.len() {
        assert!(read_container(&whole.slice(..len)).is_err(), "{len}");
    }
    let trailing: Bytes = [&whole[..], &[0; 4]].concat().into();
    let error = ContainerError::Malformed(DecodeError::Trailing { bytes: 4 });
    assert_eq!(read_container(&trailing), Err(error));
    for bytes in [0, 2, 6] {
        let mut bad = whole.to_vec();
        bad[20] = bytes;
        let error = ContainerError::BadLength { bytes: u32::from(bytes) };
        assert_eq!(read_container(&bad.into()), Err(error));
    }
}

#[test]
fn a_claimed_count_allocates_nothing() {
    let claimed: Bytes = [&CONTAINER_ID.to_le_bytes()[..], &i32::MAX.to_le_bytes()].concat().into();
    let error = DecodeError::BadCount { count: i32::MAX as u32 };
    assert_eq!(read_container(&claimed), Err(ContainerError::Malformed(error)));
}

// req: S46
#[test]
fn counted_messages_end_at_the_limit_and_free_ones_do_not_count() {
    let free = [
        types::MsgsAck { msg_ids: vec![] }.to_bytes(),
        types::MsgsStateReq { msg_ids: vec![] }.to_bytes(),
        types::MsgResendReq { msg_ids: vec![] }.to_bytes(),
        types::HttpWait { max_delay: 0, wait_after: 0, max_wait: 0 }.to_bytes(),
        types::HttpWait { max_delay: 1, wait_after: 1, max_wait: 1 }.to_bytes(),
    ];
    let mut messages: Vec<_> = (0..CONTAINER_MESSAGES_MAX).map(|_| message(4, ping(1))).collect();
    messages.extend(free.into_iter().map(|body| message(4, body)));
    assert_eq!(read_container(&container(8, &messages).body).map(|list| list.len()), Ok(1029));
    // The second `msgs_ack` is one too many.
    messages.push(message(4, types::MsgsAck { msg_ids: vec![] }.to_bytes()));
    let error = ContainerError::TooMany { count: 1030 };
    assert_eq!(read_container(&container(8, &messages).body), Err(error));
}

// req: S42, S44
#[test]
fn what_stands_around_comes_later_and_holds_no_container() {
    let inner = container(8, &[message(4, ping(1))]);
    let id_not_below = PackError::IdNotBelow { id: MsgId(100), around: MsgId(100) };
    assert_eq!(open(container(100, &[message(100, ping(1))])), Err(id_not_below));
    assert_eq!(open(container(100, std::slice::from_ref(&inner))), Err(PackError::NestedContainer));
    let many: Vec<_> = (1..40).map(|id| message(id, ping(1))).collect();
    let hidden = message(50, packed(&container(49, &many).body));
    assert_eq!(
        open(container(100, std::slice::from_ref(&hidden))),
        Err(PackError::NestedContainer)
    );
    assert_eq!(open(message(100, copy(&inner))), Err(PackError::NestedContainer));
    // Packed as a whole it is one container and no more.
    let flat = open(Message { id: MsgId(100), ..hidden }).expect("gzip around one container");
    assert_eq!((flat.is_container, flat.items.len()), (true, 39));
}

// req: S49, S51
#[test]
fn a_copy_is_opened_once() {
    let original = message(4, packed(&[7; 400]));
    let wrapper = message(8, copy(&original));
    for outer in [wrapper.clone(), message(8, packed_or_plain(&wrapper.body))] {
        let flat = open(outer).expect("one copy");
        let item = flat.items.first().expect("the original");
        assert_eq!((item.message.id, item.copied_by), (MsgId(4), Some((MsgId(8), Seqno(1)))));
        assert_eq!(item.message.body, [7; 400][..]);
    }
    assert_eq!(open(message(12, copy(&wrapper))), Err(PackError::NestedCopy));
    let late = PackError::IdNotBelow { id: MsgId(4), around: MsgId(4) };
    assert_eq!(open(message(4, copy(&original))), Err(late));
    for len in 4..wrapper.body.len() {
        assert!(open(message(8, wrapper.body.slice(..len))).is_err(), "{len}");
    }
}

// What had to be opened stands among what did not, and all of it may be looked at again.
#[test]
fn messages_keep_their_order_however_they_came() {
    let long = [7; 400];
    let came = [
        message(4, packed(&long)),
        message(8, ping(1)),
        message(12, ping(2)),
        message(20, copy(&message(16, ping(3)))),
        message(24, packed(&long)),
        message(28, ping(4)),
    ];
    let outer = container(100, &came);
    let meant: [(u64, Bytes); 6] = [
        (4, Bytes::copy_from_slice(&long)),
        (8, ping(1)),
        (12, ping(2)),
        (16, ping(3)),
        (24, Bytes::copy_from_slice(&long)),
        (28, ping(4)),
    ];
    for outer in [outer.clone(), message(100, packed(&outer.body))] {
        let unpacked = Unpacked::read(MessageView::of(&outer), Limits::default()).expect("whole");
        assert!(unpacked.is_container() && unpacked.count() == 6);
        for _ in 0..2 {
            let found = unpacked.iter().map(|Found { message, .. }| message);
            assert!(found.map(|message| (message.id.0, message.body.to_bytes())).eq(meant.clone()));
        }
        let copied: Vec<_> = unpacked.iter().filter_map(|found| found.copied_by).collect();
        assert_eq!(copied, [(MsgId(20), Seqno(1))]);
    }
}

fn packed_or_plain(object: &Bytes) -> Bytes {
    gzip::pack(object).unwrap_or_else(|| object.clone())
}

#[test]
fn all_the_gzip_of_a_packet_has_one_limit() {
    let bomb = || packed(&vec![0; 3 << 20]);
    let packet = |count: u64| {
        let messages: Vec<_> = (1..=count).map(|id| message(id, bomb())).collect();
        open(container(100, &messages))
    };
    assert_eq!(packet(3).map(|flat| flat.items.len()), Ok(3));
    let left = INFLATED_MAX - (9 << 20);
    assert_eq!(packet(4), Err(PackError::Gzip(GzipError::TooLarge { max: left })));
}

// req: S1, S4
#[test]
fn results_are_told_apart() {
    let answer = |result: Bytes| {
        let sent = RpcResult { req_msg_id: MsgId(4), result };
        let sent_bytes = sent.to_bytes();
        let read = RpcResult::read(&sent_bytes).expect("it is whole");
        assert_eq!(read, sent);
        let view = RpcResultView::read(PacketSlice::whole(&sent_bytes)).expect("it is whole");
        let answer = RpcAnswer::read(&read.result, 10_000);
        let is_as_it_stands = answer == Ok(RpcAnswer::Ok(read.result));
        assert_eq!(view.is_plain(), is_as_it_stands);
        answer
    };
    let error = RpcError::new(420, "FLOOD_WAIT_3");
    assert_eq!(answer(error.to_bytes()), Ok(RpcAnswer::Error(error)));
    let long = RpcError::new(400, "A".repeat(500));
    assert_eq!(answer(packed(&long.to_bytes())), Ok(RpcAnswer::Error(long)));
    let dropped = DropAnswer::Dropped { msg_id: MsgId(5), seqno: Seqno(7), bytes: 9 };
    for drop in [DropAnswer::Unknown, DropAnswer::DroppedRunning, dropped] {
        assert_eq!(answer(drop.to_bytes()), Ok(RpcAnswer::Drop(drop)));
    }
    assert_eq!(answer(ping(1)), Ok(RpcAnswer::Ok(ping(1))));
    assert_eq!(answer(packed(&[1; 9_999])), Ok(RpcAnswer::Ok(vec![1; 9_999].into())));
    let too_large = GzipError::TooLarge { max: 10_000 };
    assert_eq!(answer(packed(&[1; 10_001])), Err(too_large));
    // Not UTF-8, but an error all the same.
    let raw = [&RPC_ERROR_ID.to_le_bytes()[..], &400_i32.to_le_bytes(), &[3, b'A', 0xff, b'B']];
    let error = RpcError::new(400, "A\u{fffd}B");
    assert_eq!(answer(raw.concat().into()), Ok(RpcAnswer::Error(error)));
}

fn init_connection<X>(query: X) -> InitConnection<X> {
    let text = || "x".to_owned();
    let proxy = wrapper_types::InputClientProxy { address: text(), port: 443 };
    let params = wrapper_types::JsonArray {
        value: vec![enums::JsonValue::JsonNumber(wrapper_types::JsonNumber { value: 1.5 })],
    };
    InitConnection {
        api_id: 1,
        device_model: text(),
        system_version: text(),
        app_version: text(),
        system_lang_code: text(),
        lang_pack: text(),
        lang_code: text(),
        proxy: Some(proxy),
        params: Some(enums::JsonValue::JsonArray(params)),
        query,
    }
}

// req: L20, L21, S113, S119
#[test]
fn wrappers_come_off_in_any_order() {
    let query = Raw(vec![0x11; 400].into());
    assert_eq!(
        strip(&query.0, 1000),
        Ok(Unwrapped { query: query.0.clone(), ..Unwrapped::default() })
    );
    let inner = InvokeWithoutUpdates { query: Raw(packed(&query.0)) };
    let after = functions::InvokeAfterMsgs { msg_ids: vec![MsgId(4), MsgId(8)], query: inner };
    let after = functions::InvokeAfterMsg { msg_id: MsgId(12), query: after };
    let whole = InvokeWithLayer { layer: 214, query: init_connection(after) }.to_bytes();
    let unwrapped = Unwrapped {
        query: query.0,
        after: vec![MsgId(12), MsgId(4), MsgId(8)],
        layer: Some(214),
        without_updates: true,
    };
    assert_eq!(strip(&whole, 1000), Ok(unwrapped));
    for len in 0..whole.len() {
        let _ = strip(&whole.slice(..len), 1000);
    }
}

#[test]
fn wrappers_have_their_limits() {
    let wrap = |depth: usize| {
        (0..depth).fold(ping(1), |query, _| InvokeWithoutUpdates { query: Raw(query) }.to_bytes())
    };
    assert_eq!(strip(&wrap(WRAPPERS_MAX), 0).map(|unwrapped| unwrapped.query), Ok(ping(1)));
    assert_eq!(strip(&wrap(WRAPPERS_MAX + 1), 0), Err(WrapperError::TooDeep));
    let after = |count: usize| {
        let msg_ids = vec![MsgId(4); count];
        functions::InvokeAfterMsgs { msg_ids, query: Raw(ping(1)) }.to_bytes()
    };
    assert!(strip(&after(AFTER_IDS_MAX), 0).is_ok());
    assert_eq!(strip(&after(AFTER_IDS_MAX + 1), 0), Err(WrapperError::TooManyAfter));
    let error = WrapperError::Gzip(GzipError::TooLarge { max: 399 });
    assert_eq!(strip(&packed(&[1; 400]), 399), Err(error));
}

#[test]
fn debug_shows_no_bodies() {
    let message = message(4, ping(0x4142_4344));
    let result = RpcResult { req_msg_id: MsgId(4), result: ping(0x4142_4344) };
    expect!["Message(0000000000000004 seqno=1 0x7abe77ec 12 bytes)"]
        .assert_eq(&format!("{message:?}"));
    expect!["RpcResult(0000000000000004 0x7abe77ec 12 bytes)"].assert_eq(&format!("{result:?}"));
}

/// Bytes that get past the first word more often than noise would.
fn object() -> impl Strategy<Value = Bytes> {
    let ids = [CONTAINER_ID, GZIP_PACKED_ID, MSG_COPY_ID, RPC_RESULT_ID, 0xda9b_0d0d, 0xcb9f_372d];
    let tail = proptest::collection::vec(any::<u32>(), 0..50);
    (proptest::sample::select(ids.to_vec()), 0_u32..4, tail).prop_map(|(id, count, tail)| {
        let tail: Vec<_> = tail.into_iter().flat_map(u32::to_le_bytes).collect();
        [&id.to_le_bytes()[..], &count.to_le_bytes(), &tail].concat().into()
    })
}

proptest! {
    #[test]
    fn containers_round_trip(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u32>(), 1..50), 0..50),
    ) {
        let messages: Vec<_> = bodies
            .iter()
            .map(|words| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Bytes>())
            .map(|body| message(4, body))
            .collect();
        prop_assert_eq!(read_container(&container(8, &messages).body), Ok(messages));
    }

    #[test]
    fn whatever_comes_ends_in_a_value_or_an_error(object in object(), id in any::<u64>()) {
        let _ = open(message(id, object.clone()));
        let _ = open(container(id, &[message(id >> 1, object.clone())]));
        let _ = strip(&object, 1 << 16);
        let _ = RpcAnswer::read(&object, 1 << 16);
    }
}
