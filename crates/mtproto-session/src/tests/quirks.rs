//! What living clients do, and what they expect of a lenient server: one test for each.

use expect_test::expect;
use mtproto_pack::{GZIP_PACKED_ID, Message, RpcError, read_container};
use mtproto_tl::wrappers::functions::InvokeWithLayer;
use mtproto_tl::{AuthKeyId, Encode, MsgId, Raw, Salt, encode_byte_string, functions, types};

use super::server_talk::{LINK, SALT, Talk, check};
use super::{SECOND, acks, noise, ping, query};
use crate::{Control, LinkId, ServerOutput, Strictness};

// req: L1, S25, S27, S43
#[test]
fn mtcute_grammers_and_madeline_give_service_messages_odd_seqnos() {
    check(
        |talk| {
            talk.send(1, &ping(1));
            talk.hush();
            talk.send(3, &functions::GetFutureSalts { num: 1 });
            talk.send(5, &types::MsgsStateReq { msg_ids: vec![] });
            talk.send(7, &acks(&[]));
            talk.send(9, &types::HttpWait { max_delay: 0, wait_after: 0, max_wait: 25000 });
            let odd = talk.container(11, &[]);
            talk.send_message(odd);
            // Only what has no answer is acknowledged, late.
            talk.wait(2 * SECOND);
        },
        &expect![[r#"
            0ms      > get_future_salts c2 seqno=3 num=1
            0ms      < future_salts s4 seqno=2 to=c2 count=1
            0ms      > msgs_state_req c3 seqno=5
            0ms      < msgs_state_info s5 seqno=2 to=c3 states=
            0ms      > msgs_ack c4 seqno=7
            0ms      > http_wait c5 seqno=9 0 0 25000
            0ms      > msg_container c6 seqno=11
            1500ms   < msgs_ack s6 seqno=2 c4 c5
        "#]],
    );
}

// req: L2
#[test]
fn telethon_acknowledges_containers_and_pongs_too() {
    let mut talk = Talk::new(Strictness::Lenient);
    let request = talk.send(1, &query(1));
    talk.ok(request, &[1, 2, 3, 4]);
    talk.send(2, &ping(1));
    let mut ids = Vec::new();
    for packet in &talk.packets {
        let inside = read_container(&packet.body).unwrap_or_default();
        ids.extend(inside.iter().chain([packet]).map(|message| message.id));
    }
    assert_eq!((ids.len(), talk.session.queued_messages()), (5, 2));
    talk.packets.clear();
    talk.send(2, &acks(&ids));
    talk.wait(10 * SECOND);
    assert_eq!((talk.packets.len(), talk.session.queued_messages()), (0, 0));
}

// req: L3
#[test]
fn telethon_says_that_it_knows_nothing_of_any_message() {
    let mut talk = Talk::new(Strictness::Lenient);
    let msg_ids = vec![talk.push(&query(1)), talk.push(&query(2))];
    let info = bytes::Bytes::from_static(&[1, 1]);
    talk.send(0, &types::MsgsStateInfo { req_msg_id: msg_ids[0], info: info.clone() });
    let sent = talk.packets.len();
    talk.send(0, &types::MsgsAllInfo { msg_ids, info });
    // Nothing is taken for received, and nothing goes out again.
    assert_eq!((talk.packets.len(), talk.session.queued_messages()), (sent, 3));
}

// req: L4, S46
#[test]
fn telethon_and_grammers_send_containers_of_a_megabyte() {
    const CONTAINER_LEN: usize = 1_044_456;
    let mut talk = Talk::new(Strictness::Lenient);
    let first = noise(CONTAINER_LEN / 100 - 16);
    let mut messages: Vec<_> = (0..99).map(|number| talk.message(number * 2 + 1, &first)).collect();
    let used: usize = messages.iter().map(Message::wire_len).sum();
    messages.push(talk.message(199, &noise(CONTAINER_LEN - 8 - used - 16)));
    let container = talk.container(200, &messages);
    assert_eq!(container.body.len(), CONTAINER_LEN);
    talk.send_message(container);
    assert_eq!(talk.requests.len(), 100);
}

// req: L5, S97
#[test]
fn gotd_repeats_the_same_message_after_a_refusal_and_when_its_ack_is_late() {
    let mut talk = Talk::new(Strictness::Lenient);
    let message = talk.message(1, &query(1));
    talk.give(LINK, Salt(0), message.clone());
    assert_eq!(talk.requests, []);
    for _ in 0..5 {
        talk.packets.clear();
        talk.give(LINK, SALT, message.clone());
        assert_ne!(talk.packets, [], "it is acknowledged each time");
        talk.wait(5 * SECOND);
    }
    assert_eq!(talk.requests, [message.id]);
    talk.ok(message.id, &[1, 2, 3, 4]);
    talk.packets.clear();
    talk.give(LINK, SALT, message);
    let answer = talk.transcript.packet(&talk.packets[0])[1].clone();
    assert!(answer.contains("rpc_result"), "{answer}");
}

// req: L15, S15
#[test]
fn telethon_gramjs_and_pyrogram_begin_with_salt_zero() {
    check(
        |talk| {
            let queries = [talk.message(1, &query(1)), talk.message(2, &ping(1))];
            for message in queries {
                talk.give(LINK, Salt(0), message);
            }
        },
        &expect![[r#"
            0ms      > 11111111 c1 seqno=1 bytes=8
            0ms      < bad_server_salt s1 seqno=0 to=c1 code=48 new=A
            0ms      > ping c2 seqno=2 ping_id=1
            0ms      < bad_server_salt s2 seqno=0 to=c2 code=48 new=A
        "#]],
    );
}

// req: S14
#[test]
fn telethon_reads_a_refusal_by_a_wrong_clock_only_if_it_stands_alone() {
    check(
        |talk| {
            talk.send(1, &query(1));
            let [mut call, mut acks] = [talk.message(3, &query(2)), talk.message(4, &acks(&[]))];
            call.id.0 += 3600 << 32;
            acks.id.0 += 3600 << 32;
            let ping = talk.message(4, &ping(1));
            talk.put(LINK, SALT, call);
            talk.put(LINK, SALT, ping);
            talk.put(LINK, SALT, acks);
        },
        &expect![[r#"
            0ms      > 11111111 c1 seqno=1 bytes=8
            0ms      ! request c1
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   msgs_ack s2 seqno=2 c1
            0ms      > 11111111 c2 seqno=3 bytes=8
            0ms      > ping c3 seqno=4 ping_id=1
            0ms      > msgs_ack c4 seqno=4
            0ms      < bad_msg_notification s4 seqno=2 to=c2 code=17
            0ms      < pong s5 seqno=2 to=c3 ping_id=1
            0ms      < bad_msg_notification s6 seqno=2 to=c4 code=17
        "#]],
    );
}

// req: L17
#[test]
fn mtcute_mtproto_core_and_grammers_want_service_messages_outside_of_results() {
    check(
        |talk| {
            let request = talk.send(1, &query(1));
            talk.hush();
            talk.send(3, &ping(1));
            talk.send(5, &functions::GetFutureSalts { num: 1 });
            talk.send(7, &types::MsgsStateReq { msg_ids: vec![request] });
            let wrong = talk.message(9, &query(2));
            talk.give(LINK, Salt(0), wrong);
            let mut late = talk.message(9, &query(2));
            late.id.0 -= 301 << 32;
            talk.send_message(late);
        },
        &expect![[r#"
            0ms      > ping c2 seqno=3 ping_id=1
            0ms      < pong s4 seqno=2 to=c2 ping_id=1
            0ms      > get_future_salts c3 seqno=5 num=1
            0ms      < future_salts s5 seqno=2 to=c3 count=1
            0ms      > msgs_state_req c4 seqno=7 c1
            0ms      < msgs_state_info s6 seqno=2 to=c4 states=2c
            0ms      > 11111111 c5 seqno=9 bytes=8
            0ms      < bad_server_salt s7 seqno=2 to=c5 code=48 new=A
            0ms      > 11111111 c6 seqno=9 bytes=8
            0ms      < bad_msg_notification s8 seqno=2 to=c6 code=16
        "#]],
    );
}

// req: L18
#[test]
fn pyrogram_and_tdlib_drop_what_does_not_grow() {
    let mut talk = Talk::new(Strictness::Lenient);
    for link in 1..10 {
        let message = talk.message(0, &ping(1));
        talk.give(LinkId(link), SALT, message);
        talk.push(&query(1));
        talk.detach(LinkId(link));
        // The client's clock is a little ahead, ours stands still.
        talk.wait(SECOND * u32::from(link % 2 == 0));
    }
    let ids: Vec<_> = talk.packets.iter().map(|packet| packet.id).collect();
    assert!(ids.windows(2).all(|two| two[0] < two[1]), "{ids:?}");
    assert!(ids.iter().all(|id| id.is_from_server() && id.time() < talk.time().after(SECOND)));
}

// req: L20
#[test]
fn mtcute_packs_in_zlib_format_and_tdlib_inside_its_wrappers() {
    let object = noise(400).0;
    let packed = zlib_packed(&object);
    let wrapped = InvokeWithLayer { layer: 200, query: Raw(packed.clone()) }.to_bytes();
    for body in [packed, wrapped] {
        let mut talk = Talk::new(Strictness::Lenient);
        let message = talk.message(1, &Raw(body));
        talk.put(LINK, SALT, message);
        let ServerOutput::Request(request) = talk.session.poll_output() else {
            panic!("a query of the application")
        };
        assert_eq!(request.query, object);
    }
}

// req: L21
#[test]
fn tdlib_binds_its_key_in_a_container() {
    let query = functions::auth::BindTempAuthKey {
        perm_auth_key_id: AuthKeyId(1),
        nonce: 2,
        expires_at: 3,
        encrypted_message: vec![4; 104].into(),
    };
    let packed = Raw(zlib_packed(&query.to_bytes()));
    let mut talk = Talk::new(Strictness::Lenient);
    let binding = talk.message(1, &InvokeWithLayer { layer: 200, query: packed });
    let container = talk.container(2, std::slice::from_ref(&binding));
    talk.send_message(container);
    let control = Control::BindTempAuthKey { request: binding.id, link: LINK, query };
    assert_eq!(talk.controls, [control]);
}

// req: L23
#[test]
fn gramjs_acknowledges_its_own_requests() {
    let mut talk = Talk::new(Strictness::Lenient);
    let request = talk.send(1, &query(1));
    talk.packets.clear();
    talk.send(2, &acks(&[request, MsgId(12), MsgId(0), MsgId(u64::MAX)]));
    assert_eq!((talk.packets.len(), talk.session.queued_messages()), (0, 1));
    talk.ok(request, &[1, 2, 3, 4]);
    assert_eq!(talk.packets.len(), 1);
}

// req: L24
#[test]
fn gramjs_reads_no_further_than_an_error() {
    check(
        |talk| {
            talk.send(0, &ping(1));
            let numbers = [1, 3, 5, 7];
            let requests = numbers.map(|seqno| talk.send(seqno, &query(seqno)));
            talk.hush();
            for (request, is_good) in requests.into_iter().zip([true, false, false, true]) {
                let error = || RpcError::new(400, "METHOD_INVALID");
                let reply = if is_good { Ok(query(9).to_bytes()) } else { Err(error()) };
                let reply = reply.map_or_else(crate::RpcReply::Err, crate::RpcReply::Ok);
                talk.session.answer(request, reply, talk.now);
            }
            talk.send(8, &ping(2));
        },
        &expect![[r#"
            0ms      > ping c6 seqno=8 ping_id=2
            0ms      < msg_container s6 seqno=10
            0ms      <   rpc_result s4 seqno=3 to=c2 11111111 bytes=8
            0ms      <   rpc_result s5 seqno=5 to=c3 error=400 METHOD_INVALID
            0ms      < rpc_result s7 seqno=7 to=c4 error=400 METHOD_INVALID
            0ms      < msg_container s10 seqno=10
            0ms      <   rpc_result s8 seqno=9 to=c5 11111111 bytes=8
            0ms      <   pong s9 seqno=10 to=c6 ping_id=2
        "#]],
    );
}

// req: L26
#[test]
fn a_container_of_ours_has_an_even_seqno() {
    let mut talk = Talk::new(Strictness::Lenient);
    for number in 0..5 {
        let request = talk.send(number * 2 + 1, &query(number));
        talk.session.push(query(1).0, talk.now).expect("there is room");
        talk.ok(request, &[1, 2, 3, 4]);
    }
    let containers = talk.packets.iter().filter(|packet| read_container(&packet.body).is_ok());
    let seqnos: Vec<_> = containers.map(|packet| packet.seqno.0).collect();
    assert!(seqnos.len() > 4);
    assert!(seqnos.iter().all(|seqno| seqno % 2 == 0), "{seqnos:?}");
}

// req: L33
#[test]
fn kurigram_and_pyrotgfork_wait_a_second_for_the_first_pong() {
    check(
        |talk| {
            // The query takes its time; the pong does not.
            let query = talk.message(1, &query(1));
            let ping = talk.message(2, &ping(1));
            let container = talk.container(2, &[query, ping]);
            talk.send_message(container);
        },
        &expect![[r#"
            0ms      > msg_container c3 seqno=2
            0ms      >   11111111 c1 seqno=1 bytes=8
            0ms      >   ping c2 seqno=2 ping_id=1
            0ms      ! request c1
            0ms      < msg_container s4 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   pong s2 seqno=2 to=c2 ping_id=1
            0ms      <   msgs_ack s3 seqno=2 c1
        "#]],
    );
}

// req: L33
#[test]
fn mtcute_asks_for_a_disconnect_within_seconds_time_and_again() {
    check(
        |talk| {
            let ping = |ping_id| functions::PingDelayDisconnect { ping_id, disconnect_delay: 5 };
            talk.send(0, &ping(1));
            talk.hush();
            talk.wait(4 * SECOND);
            talk.send(0, &ping(2));
            talk.wait(20 * SECOND);
        },
        &expect![[r#"
            4000ms   > ping_delay_disconnect c2 seqno=0 ping_id=2 delay=5
            4000ms   ! close after 5s
            4000ms   < pong s4 seqno=2 to=c2 ping_id=2
        "#]],
    );
}

/// The boxed object as mtcute packs it; stored, so that no compressor is needed.
fn zlib_packed(object: &[u8]) -> bytes::Bytes {
    let len = u16::try_from(object.len()).expect("one block");
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in object {
        low = (low + u32::from(*byte)) % 65521;
        high = (high + low) % 65521;
    }
    let head = [&[0x78, 0x01, 0x01][..], &len.to_le_bytes(), &(!len).to_le_bytes()].concat();
    let stream = [&head, object, &(high << 16 | low).to_be_bytes()].concat();
    let mut out = GZIP_PACKED_ID.to_le_bytes().to_vec();
    encode_byte_string(&stream, &mut out);
    out.into()
}
