//! The server session, message by message.

use std::time::Duration;

use expect_test::expect;
use mtproto_pack::{MSG_COPY_ID, MessageView, gzip};
use mtproto_tl::wrappers::functions::{InitConnection, InvokeWithLayer};
use mtproto_tl::{AuthKeyId, Encode, MsgId, Raw, Seqno, SessionId, functions, types};

use super::server_talk::{LINK, SALT, Talk, check};
use super::{SECOND, acks, noise, ping, query};
use crate::{Control, Fault, KeyDestroyed, LinkId, RpcReply, ServerOutput, Strictness};

const OTHER: LinkId = LinkId(2);

// req: S1, S2, S33, S36
#[test]
fn a_query_creates_the_session_and_is_answered() {
    check(
        |talk| {
            let request = talk.send(1, &query(1));
            talk.ok(request, &[1, 2, 3, 4, 5, 6, 7, 8]);
            talk.wait(5 * SECOND);
            let other = talk.send(3, &query(2));
            talk.err(other, 400, "METHOD_INVALID");
        },
        &expect![[r#"
            0ms      > 11111111 c1 seqno=1 bytes=8
            0ms      ! request c1
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   msgs_ack s2 seqno=2 c1
            0ms      < rpc_result s4 seqno=3 to=c1 04030201 bytes=8
            5000ms   > 11111111 c2 seqno=3 bytes=8
            5000ms   ! request c2
            5000ms   < rpc_result s5 seqno=5 to=c2 error=400 METHOD_INVALID
        "#]],
    );
}

#[test]
fn an_answer_given_within_the_drain_leaves_in_the_first_packet() {
    let mut talk = Talk::new(Strictness::Lenient);
    let message = talk.message(1, &query(1));
    talk.put(LINK, SALT, message);
    let ServerOutput::Request(request) = talk.session.poll_output() else {
        panic!("requests come before packets")
    };
    talk.session.answer(request.id, RpcReply::Ok(query(9).to_bytes()), talk.now);
    talk.drain();
    assert_eq!(talk.packets.len(), 1);
}

// req: S26, S27, S43
#[test]
fn pings_of_one_wake_up_are_answered_in_one_container() {
    check(
        |talk| {
            for ping_id in 1..=3 {
                let message = talk.message(0, &ping(ping_id));
                talk.put(LINK, SALT, message);
            }
        },
        &expect![[r#"
            0ms      > ping c1 seqno=0 ping_id=1
            0ms      > ping c2 seqno=0 ping_id=2
            0ms      > ping c3 seqno=0 ping_id=3
            0ms      < msg_container s5 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   pong s2 seqno=2 to=c1 ping_id=1
            0ms      <   pong s3 seqno=2 to=c2 ping_id=2
            0ms      <   pong s4 seqno=2 to=c3 ping_id=3
        "#]],
    );
}

// req: S3, S13, S95
#[test]
fn a_slow_answer_is_preceded_by_an_acknowledgement() {
    check(
        |talk| {
            talk.send(0, &ping(1));
            let request = talk.send(1, &query(1));
            talk.wait(3 * SECOND);
            talk.ok(request, &[1, 2, 3, 4]);
        },
        &expect![[r#"
            0ms      > ping c1 seqno=0 ping_id=1
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   pong s2 seqno=2 to=c1 ping_id=1
            0ms      > 11111111 c2 seqno=1 bytes=8
            0ms      ! request c2
            1500ms   < msgs_ack s4 seqno=2 c2
            3000ms   < rpc_result s5 seqno=3 to=c2 04030201 bytes=4
        "#]],
    );
}

// req: S28
#[test]
fn a_pong_goes_to_the_link_of_the_ping_and_answers_to_the_newest() {
    check(
        |talk| {
            let request = talk.send(1, &query(1));
            let message = talk.message(2, &ping(1));
            talk.give(OTHER, SALT, message);
            talk.hush();
            talk.send(2, &ping(2));
            talk.ok(request, &[1, 2, 3, 4]);
        },
        &expect![[r#"
            0ms      > ping c3 seqno=2 ping_id=2
            0ms      < pong s7 seqno=2 to=c3 ping_id=2
            0ms      < [2] rpc_result s8 seqno=3 to=c1 04030201 bytes=4
        "#]],
    );
}

// req: S29
#[test]
fn a_ping_with_delay_wants_its_own_link_closed() {
    check(
        |talk| {
            let ping = |ping_id| functions::PingDelayDisconnect { ping_id, disconnect_delay: 10 };
            talk.send(0, &ping(1));
            let message = talk.message(0, &ping(2));
            talk.give(OTHER, SALT, message);
        },
        &expect![[r#"
            0ms      > ping_delay_disconnect c1 seqno=0 ping_id=1 delay=10
            0ms      ! close after 10s
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   pong s2 seqno=2 to=c1 ping_id=1
            0ms      > [2] ping_delay_disconnect c2 seqno=0 ping_id=2 delay=10
            0ms      ! [2] close after 10s
            0ms      < [2] msg_container s5 seqno=2
            0ms      < [2]   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      < [2]   pong s4 seqno=2 to=c2 ping_id=2
        "#]],
    );
}

// req: S21, S25
#[test]
fn future_salts_begin_with_the_current_one() {
    check(
        |talk| {
            talk.send(0, &functions::GetFutureSalts { num: 64 });
            talk.send(1, &functions::GetFutureSalts { num: 3 });
            talk.send(2, &functions::GetFutureSalts { num: -3 });
        },
        &expect![[r#"
            0ms      > get_future_salts c1 seqno=0 num=64
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   future_salts s2 seqno=2 to=c1 count=64
            0ms      > get_future_salts c2 seqno=1 num=3
            0ms      < future_salts s4 seqno=2 to=c2 count=3
            0ms      > get_future_salts c3 seqno=2 num=-3
            0ms      < future_salts s5 seqno=2 to=c3 count=1
        "#]],
    );
}

// req: S31, S32
#[test]
fn a_session_destroys_others_but_not_itself() {
    check(
        |talk| {
            talk.send(0, &ping(1));
            talk.hush();
            talk.send(1, &functions::DestroySession { session_id: SessionId(77) });
            for (session_id, existed) in [(SessionId(5), true), (SessionId(6), false)] {
                talk.send(0, &functions::DestroySession { session_id });
                let Some(Control::DestroySession { ticket, .. }) = talk.controls.pop() else {
                    panic!("it concerns another session")
                };
                talk.session.session_destroyed(ticket, session_id, existed, talk.now);
            }
        },
        &expect![[r#"
            0ms      > destroy_session c2 seqno=1 4d00000000000000
            0ms      < destroy_session_none s4 seqno=2 4d00000000000000
            0ms      > destroy_session c3 seqno=0 0500000000000000
            0ms      ! destroy_session 0500000000000000
            0ms      > destroy_session c4 seqno=0 0600000000000000
            0ms      ! destroy_session 0600000000000000
            0ms      < destroy_session_ok s5 seqno=2 0500000000000000
            0ms      < destroy_session_none s6 seqno=2 0600000000000000
        "#]],
    );
}

// req: S66
#[test]
fn the_auth_key_is_the_callers_to_destroy() {
    for (outcome, name) in [
        (KeyDestroyed::Ok, "destroy_auth_key_ok"),
        (KeyDestroyed::None, "destroy_auth_key_none"),
        (KeyDestroyed::Fail, "destroy_auth_key_fail"),
    ] {
        let mut talk = Talk::new(Strictness::Lenient);
        talk.send(0, &functions::DestroyAuthKey);
        let Some(Control::DestroyAuthKey(ticket)) = talk.controls.pop() else {
            panic!("it concerns the key")
        };
        talk.session.auth_key_destroyed(ticket, outcome, talk.now);
        talk.drain();
        let answer = talk.packets.pop().expect("an answer");
        assert!(talk.transcript.packet(&answer)[0].starts_with(name));
    }
}

// req: L20, L21, S113, S119
#[test]
fn wrappers_and_gzip_are_looked_through() {
    let bind = functions::auth::BindTempAuthKey {
        perm_auth_key_id: AuthKeyId(1),
        nonce: 2,
        expires_at: 3,
        encrypted_message: vec![4; 400].into(),
    };
    let packed = gzip::pack(&bind.to_bytes()).expect("it is compressible");
    let query = InvokeWithLayer {
        layer: 200,
        query: InitConnection {
            api_id: 1,
            device_model: "test".to_owned(),
            system_version: String::new(),
            app_version: String::new(),
            system_lang_code: String::new(),
            lang_pack: String::new(),
            lang_code: String::new(),
            proxy: None,
            params: None,
            query: functions::InvokeAfterMsg { msg_id: MsgId(8), query: Raw(packed) },
        },
    };
    let mut talk = Talk::new(Strictness::Strict);
    let id = talk.send(1, &query);
    let control = Control::BindTempAuthKey { request: id, link: LINK, query: bind };
    assert_eq!(talk.controls, [control]);
    // A query of the application comes both ways.
    let wrapped = functions::InvokeAfterMsg { msg_id: MsgId(8), query: super::query(5) };
    let message = talk.message(3, &wrapped);
    talk.put(LINK, SALT, message);
    let ServerOutput::Request(request) = talk.session.poll_output() else { panic!("a request") };
    assert_eq!((request.after, request.layer), (vec![MsgId(8)], None));
    assert_eq!((request.query, request.wrapped), (super::query(5).0, wrapped.to_bytes()));
}

// req: S7, S8, S9, S10, S11
#[test]
fn the_three_answers_to_rpc_drop_answer_are_true() {
    check(
        |talk| {
            let drop = |req_msg_id| functions::RpcDropAnswer { req_msg_id };
            let running = talk.send(1, &query(1));
            talk.send(2, &drop(running));
            talk.ok(running, &[1, 2, 3, 4]);
            let done = talk.send(3, &query(2));
            talk.ok(done, &[1, 2, 3, 4]);
            talk.send(5, &drop(done));
            talk.send(6, &drop(done));
            talk.send(6, &drop(MsgId(4)));
        },
        &expect![[r#"
            0ms      > 11111111 c1 seqno=1 bytes=8
            0ms      ! request c1
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   msgs_ack s2 seqno=2 c1
            0ms      > rpc_drop_answer c2 seqno=2 c1
            0ms      < rpc_result s4 seqno=3 to=c2 rpc_answer_dropped_running
            0ms      < rpc_result s5 seqno=5 to=c1 rpc_answer_dropped_running
            0ms      > 11111111 c3 seqno=3 bytes=8
            0ms      ! request c3
            0ms      < rpc_result s6 seqno=7 to=c3 04030201 bytes=4
            0ms      > rpc_drop_answer c4 seqno=5 c3
            0ms      < rpc_result s7 seqno=9 to=c4 rpc_answer_dropped s6 seqno=7 bytes=16
            0ms      > rpc_drop_answer c5 seqno=6 c3
            0ms      < rpc_result s8 seqno=11 to=c5 rpc_answer_unknown
            0ms      > rpc_drop_answer c6 seqno=6 c7
            0ms      < rpc_result s9 seqno=13 to=c6 rpc_answer_unknown
        "#]],
    );
}

// req: L22, S16, S17
#[test]
fn states_say_what_became_of_each_message() {
    check(
        |talk| {
            let answered = talk.send(1, &query(1));
            talk.ok(answered, &[1, 2, 3, 4]);
            let running = talk.send(3, &query(2));
            let pinged = talk.send(4, &ping(1));
            talk.wait(SECOND);
            let acked = talk.send(5, &query(3));
            talk.ok(acked, &[1, 2, 3, 4]);
            let answer = talk.packets.last().map(|message| message.id);
            talk.send(6, &acks(&answer.into_iter().collect::<Vec<_>>()));
            let absent = MsgId(acked.0 - 40);
            let future = MsgId(acked.0 + (1 << 32));
            talk.hush();
            let msg_ids = vec![answered, running, pinged, acked, absent, future];
            talk.send(6, &types::MsgsStateReq { msg_ids });
        },
        &expect![[r#"
            1000ms   > msgs_state_req c6 seqno=6 c1 c2 c3 c4 c7 c8
            1000ms   < msgs_state_info s9 seqno=6 to=c6 states=6c 2c 1c ec 02 03
        "#]],
    );
}

// req: S34, S35
#[test]
fn a_message_before_the_first_is_announced_again() {
    check(
        |talk| {
            let early = talk.message(0, &ping(1));
            let earlier = talk.message(0, &ping(2));
            let mut earlier = earlier;
            earlier.id = MsgId(early.id.0 - 8);
            talk.send(0, &ping(3));
            talk.send_message(early);
            talk.send_message(earlier);
            talk.send(0, &ping(4));
        },
        &expect![[r#"
            0ms      > ping c1 seqno=0 ping_id=3
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   pong s2 seqno=2 to=c1 ping_id=3
            0ms      > ping c2 seqno=0 ping_id=1
            0ms      < msg_container s6 seqno=4
            0ms      <   new_session_created s4 seqno=3 first=c2 salt=A
            0ms      <   pong s5 seqno=4 to=c2 ping_id=1
            0ms      > ping c3 seqno=0 ping_id=2
            0ms      < msg_container s9 seqno=6
            0ms      <   new_session_created s7 seqno=5 first=c3 salt=A
            0ms      <   pong s8 seqno=6 to=c3 ping_id=2
            0ms      > ping c4 seqno=0 ping_id=4
            0ms      < pong s10 seqno=6 to=c4 ping_id=4
        "#]],
    );
}

// req: S49, S50, S51
#[test]
fn a_copy_is_its_original_unless_that_was_received() {
    check(
        |talk| {
            let original = talk.message(1, &query(1));
            let copy = |talk: &mut Talk| {
                let mut body = MSG_COPY_ID.to_le_bytes().to_vec();
                body.extend_from_slice(&0x5bb8_e511_u32.to_le_bytes());
                original.id.encode(&mut body);
                original.seqno.encode(&mut body);
                (original.body.len() as u32).encode(&mut body);
                body.extend_from_slice(&original.body);
                talk.message(2, &Raw(body.into()))
            };
            let first = copy(talk);
            talk.send_message(first);
            let second = copy(talk);
            talk.send_message(second);
        },
        &expect![[r#"
            0ms      > e06046b2 c1 seqno=2 bytes=32
            0ms      ! request c2
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c2 salt=A
            0ms      <   msgs_ack s2 seqno=2 c2
            0ms      > e06046b2 c3 seqno=2 bytes=32
            0ms      < msgs_ack s4 seqno=2 c3 c2
        "#]],
    );
}

// req: S55
#[test]
fn a_long_answer_is_packed_when_that_saves() {
    check(
        |talk| {
            for (number, object) in [(1, vec![b'a'; 8192]), (2, noise(8192).0.to_vec())] {
                let request = talk.send(number * 2 - 1, &query(number));
                talk.ok(request, &object);
            }
            talk.push(&Raw(vec![b'b'; 8192].into()));
        },
        &expect![[r#"
            0ms      > 11111111 c1 seqno=1 bytes=8
            0ms      ! request c1
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   msgs_ack s2 seqno=2 c1
            0ms      < rpc_result s4 seqno=3 to=c1 gzip 61616161 bytes=52
            0ms      > 11111111 c2 seqno=3 bytes=8
            0ms      ! request c2
            0ms      < rpc_result s5 seqno=5 to=c2 00042021 bytes=8192
            0ms      < gzip_packed s6 seqno=7 bytes=52
        "#]],
    );
}

// req: L9
#[test]
fn session_zero_does_not_exist() {
    let mut talk = Talk::new(Strictness::Lenient);
    talk.make_session(SessionId(0));
    let message = talk.message(0, &ping(1));
    let result = talk.session.handle_message(LINK, SALT, MessageView::of(&message), talk.now);
    assert_eq!(result, Err(Fault::SessionIdZero));
}

#[test]
fn an_answer_that_is_no_object_is_an_error_of_the_server() {
    check(
        |talk| {
            let request = talk.send(1, &query(1));
            talk.ok(request, &[1, 2, 3]);
        },
        &expect![[r#"
            0ms      > 11111111 c1 seqno=1 bytes=8
            0ms      ! request c1
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   msgs_ack s2 seqno=2 c1
            0ms      < rpc_result s4 seqno=3 to=c1 error=500 ANSWER_INVALID
        "#]],
    );
}

// A packet that somebody recorded must not draw the answers to its sender.
#[test]
fn a_replayed_packet_does_not_attach_its_link() {
    check(
        |talk| {
            let message = talk.message(1, &query(1));
            let request = talk.send_message(message.clone());
            talk.hush();
            talk.give(OTHER, SALT, message);
            talk.ok(request, &[1, 2, 3, 4]);
        },
        &expect![[r#"
            0ms      > [2] 11111111 c1 seqno=1 bytes=8
            0ms      < msgs_ack s4 seqno=2 c1
            0ms      < rpc_result s5 seqno=3 to=c1 04030201 bytes=4
        "#]],
    );
}

// req: S15, S24
#[test]
fn salts_change_and_the_one_before_is_accepted() {
    check(
        |talk| {
            talk.send(0, &ping(1));
            talk.hush();
            talk.wait(1800 * SECOND);
            talk.send(0, &ping(2));
            talk.wait(1800 * SECOND);
            talk.send(0, &ping(3));
        },
        &expect![[r#"
            1800000ms > ping c2 seqno=0 ping_id=2
            1800000ms < pong s4 seqno=2 to=c2 ping_id=2
            3600000ms > ping c3 seqno=0 ping_id=3
            3600000ms < bad_server_salt s5 seqno=2 to=c3 code=48 new=B
        "#]],
    );
}

#[test]
fn deadlines_are_those_of_what_is_there() {
    let mut talk = Talk::new(Strictness::Lenient);
    assert_eq!(talk.drain(), None);
    talk.send(1, &query(1));
    // Lost with its link: the acknowledgement has nowhere to go, the announcement waits.
    talk.detach(LINK);
    let announced = talk.now + crate::server::OUTBOX_AGE_MAX;
    assert_eq!(talk.drain(), Some(announced));
    talk.wait(Duration::from_secs(700));
    assert_eq!((talk.drain(), talk.session.queued_messages()), (None, 0));
}

#[test]
fn seqnos_of_a_server_count_what_wants_an_acknowledgement() {
    let mut talk = Talk::new(Strictness::Strict);
    let request = talk.send(1, &query(1));
    talk.ok(request, &[1, 2, 3, 4]);
    talk.push(&query(2));
    let seqnos: Vec<_> = talk.packets.iter().map(|message| message.seqno).collect();
    assert_eq!(seqnos, [Seqno(2), Seqno(3), Seqno(5)]);
}
