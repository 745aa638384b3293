//! The client session, message by message.

mod links;

use expect_test::expect;
use mtproto_pack::{DropAnswer, RpcError, gzip};
use mtproto_tl::{Encode, MsgId, Raw, Salt, SessionId, functions, types};

use super::client_talk::{LINK, Talk, check, result};
use super::{SECOND, acks, noise, noon, ping, query, start};
use crate::client::{
    CLIENT_ACK_BATCH, IN_FLIGHT_MAX, PINGS_MAX, QUICK_ACKS_MAX, REQUEST_BYTES_MAX, REQUEST_LEN_MAX,
    REQUESTS_MAX,
};
use crate::{LinkId, Misuse, RequestOptions, Salts, ServerClock};

const OTHER: LinkId = LinkId(2);

// req: S21, S30
#[test]
fn a_new_link_is_greeted() {
    let mut talk = Talk::with(Salts::new(Some(Salt(1)), vec![]), ServerClock::new(start(), noon()));
    talk.attach(LINK);
    let text = talk.transcript.packet(&talk.packets[0].message.to_message()).join("\n");
    expect![[r#"
        msg_container c3 seqno=0
          ping_delay_disconnect c1 seqno=0 ping_id=1 delay=75
          get_future_salts c2 seqno=0 num=64"#]]
    .assert_eq(&text);
}

// req: S1, S2, S3, S72, S95
#[test]
fn a_request_is_answered_and_the_answer_acknowledged() {
    check(
        |talk| {
            talk.request(&query(1));
            talk.wait(SECOND);
            talk.answer("c2", &query(9));
            talk.wait(SECOND);
            talk.request(&query(2));
            talk.answer("c3", &RpcError::new(400, "METHOD_INVALID"));
            talk.wait(20 * SECOND);
        },
        &expect![[r#"
            0ms      > 11111111 c2 seqno=1 bytes=8 salt=A
            1000ms   < rpc_result s1 seqno=1 to=c2 11111111 bytes=8
            1000ms   ! answer 1 8 bytes
            2000ms   > msg_container c5 seqno=4 salt=A
            2000ms   >   11111111 c3 seqno=3 bytes=8
            2000ms   >   msgs_ack c4 seqno=4 s1
            2000ms   < rpc_result s2 seqno=1 to=c3 error=400 METHOD_INVALID
            2000ms   ! answer 2 rpc error 400 METHOD_INVALID
            12000ms  > msgs_ack c6 seqno=4 s2 salt=A
            17000ms  ! close PongTimeout
        "#]],
    );
}

// req: S13
#[test]
fn acknowledgements_leave_at_once_when_there_are_many() {
    let mut talk = Talk::new();
    talk.attach(LINK);
    for _ in 1..CLIENT_ACK_BATCH {
        talk.receive(1, &query(5));
    }
    assert_eq!(talk.packets.len(), 1);
    talk.receive(1, &query(5));
    assert_eq!(talk.packets.len(), 2);
    assert_eq!(talk.packets[1].message.body().len(), 12 + 8 * CLIENT_ACK_BATCH);
}

// req: S4, S53, S54
#[test]
fn gzip_is_packed_and_looked_through() {
    check(
        |talk| {
            talk.request(&Raw(vec![b'a'; 4000].into()));
            talk.answer("c2", &Raw(gzip::pack(&[b'b'; 4000]).expect("packs")));
            talk.request(&query(1));
            let error = RpcError::new(303, "A".repeat(32)).to_bytes();
            talk.answer("c3", &Raw(gzip::pack(&error).expect("packs")));
            talk.request(&query(2));
            let mut broken = gzip::pack(&[b'b'; 4000]).expect("packs").to_vec();
            broken[14] ^= 0x55;
            talk.answer("c5", &Raw(broken.into()));
        },
        &expect![[r#"
            0ms      > gzip_packed c2 seqno=1 bytes=48 salt=A
            0ms      < rpc_result s1 seqno=1 to=c2 gzip 62626262 bytes=48
            0ms      ! answer 1 4000 bytes
            0ms      > msg_container c5 seqno=4 salt=A
            0ms      >   11111111 c3 seqno=3 bytes=8
            0ms      >   msgs_ack c4 seqno=4 s1
            0ms      < rpc_result s2 seqno=1 to=c3 gzip error=303 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
            0ms      ! answer 2 rpc error 303 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
            0ms      > msg_container c8 seqno=6 salt=A
            0ms      >   11111111 c6 seqno=5 bytes=8
            0ms      >   msgs_ack c7 seqno=6 s2
            0ms      < rpc_result s3 seqno=1 to=c5 gzip 62626262 bytes=48
        "#]],
    );
}

// req: S6
#[test]
fn a_cancelled_request_is_dropped_and_its_late_answer_thrown_away() {
    check(
        |talk| {
            let request = talk.request(&query(1));
            talk.session.cancel(request, talk.now);
            talk.drain();
            talk.answer("c2", &query(9));
            talk.answer("c3", &DropAnswer::Unknown);
            talk.wait(20 * SECOND);
        },
        &expect![[r#"
            0ms      > 11111111 c2 seqno=1 bytes=8 salt=A
            0ms      > rpc_drop_answer c3 seqno=2 c2 salt=A
            0ms      < rpc_result s1 seqno=1 to=c2 11111111 bytes=8
            0ms      < rpc_result s2 seqno=1 to=c3 rpc_answer_unknown
            10000ms  > msgs_ack c4 seqno=2 s1 s2 salt=A
            15000ms  ! close PongTimeout
        "#]],
    );
}

#[test]
fn a_request_cancelled_before_it_left_was_never_made() {
    let mut talk = Talk::new();
    let request = talk.request(&query(1));
    talk.session.cancel(request, talk.now);
    talk.attach(LINK);
    assert_eq!(talk.packets.len(), 1);
    assert_eq!(talk.session.pending_requests(), 0);
}

// req: S26, S28, S30
#[test]
fn the_keepalive_closes_a_silent_link() {
    check(
        |talk| {
            let pong = types::Pong { msg_id: talk.id("c1"), ping_id: 1 };
            talk.receive(0, &pong);
            talk.wait(70 * SECOND);
            // Not a pong, but a sign of life.
            talk.receive(0, &acks(&[]));
            talk.wait(20 * SECOND);
        },
        &expect![[r#"
            0ms      < pong s1 seqno=0 to=c1 ping_id=1
            0ms      ! Pong { ping: PingId(1), link: LinkId(1), round_trip: 0ns }
            60000ms  > ping_delay_disconnect c2 seqno=0 ping_id=2 delay=75 salt=A
            70000ms  < msgs_ack s2 seqno=0
            85000ms  ! close PongTimeout
        "#]],
    );
}

// req: S26, S27, S28
#[test]
fn a_ping_of_the_server_is_answered() {
    check(
        |talk| {
            talk.receive(0, &ping(7));
        },
        &expect![[r#"
            0ms      < ping s1 seqno=0 ping_id=7
            0ms      > pong c2 seqno=0 to=s1 ping_id=7 salt=A
        "#]],
    );
}

// req: S37, S38, S39
#[test]
fn what_a_forgetful_server_lost_is_sent_again() {
    check(
        |talk| {
            talk.request(&query(1));
            talk.wait(SECOND);
            talk.request(&query(2));
            let created = types::NewSessionCreated {
                first_msg_id: talk.id("c3"),
                unique_id: 5,
                server_salt: Salt(1),
            };
            talk.receive(1, &created);
        },
        &expect![[r#"
            0ms      > 11111111 c2 seqno=1 bytes=8 salt=A
            1000ms   > 11111111 c3 seqno=3 bytes=8 salt=A
            1000ms   < new_session_created s1 seqno=1 first=c3 salt=A
            1000ms   ! gap: session created, first=c3
            1000ms   > msg_container c5 seqno=4 salt=A
            1000ms   >   11111111 c2 seqno=1 bytes=8
            1000ms   >   msgs_ack c4 seqno=4 s1
        "#]],
    );
}

// The server may name the container or any message in it: nothing in that packet is lost.
// req: S39
#[test]
fn the_first_message_stands_for_its_packet() {
    for label in ["c1", "c2", "c3"] {
        let mut talk = Talk::new();
        talk.request(&query(1));
        talk.attach(LINK);
        let packets = talk.packets.len();
        talk.transcript.packet(&talk.packets[0].message.to_message());
        let first_msg_id = talk.id(label);
        let server_salt = Salt(1);
        let created = types::NewSessionCreated { first_msg_id, unique_id: 5, server_salt };
        talk.receive(1, &created);
        assert_eq!(talk.packets.len(), packets, "{label}");
    }
}

// req: S18, S45, S94, S118
#[test]
fn after_a_lost_link_requests_go_out_again_inside_a_container() {
    check(
        |talk| {
            talk.request(&query(1));
            talk.request(&noise(10_000));
            talk.request(&query(3));
            talk.receive(0, &acks(&[talk.id("c4")]));
            talk.wait(SECOND);
            talk.detach(LINK);
            talk.request(&query(4));
            talk.wait(SECOND);
            talk.attach(OTHER);
            // The long one did not arrive, the last is being carried out.
            let states =
                types::MsgsStateInfo { req_msg_id: talk.id("c6"), info: vec![3, 4 | 32].into() };
            talk.receive(0, &states);
        },
        &expect![[r#"
            0ms      > 11111111 c2 seqno=1 bytes=8 salt=A
            0ms      > 00042021 c3 seqno=3 bytes=10000 salt=A
            0ms      > 11111111 c4 seqno=5 bytes=8 salt=A
            0ms      < msgs_ack s1 seqno=0 c4
            1000ms   - link lost
            2000ms   + [2] link open
            2000ms   > [2] msg_container c8 seqno=8 salt=A
            2000ms   > [2]   11111111 c2 seqno=1 bytes=8
            2000ms   > [2]   11111111 c5 seqno=7 bytes=8
            2000ms   > [2]   msgs_state_req c6 seqno=8 c3 c4
            2000ms   > [2]   ping_delay_disconnect c7 seqno=8 ping_id=2 delay=75
            2000ms   < msgs_state_info s2 seqno=0 to=c6 states=03 24
            2000ms   > [2] msg_container c9 seqno=8 salt=A
            2000ms   > [2]   00042021 c3 seqno=3 bytes=10000
        "#]],
    );
}

// req: S16, S17
#[test]
fn the_server_is_asked_about_what_stays_unanswered() {
    check(
        |talk| {
            talk.receive(0, &types::Pong { msg_id: talk.id("c1"), ping_id: 1 });
            talk.request(&query(1));
            talk.wait(11 * SECOND);
            let info = |talk: &Talk, states: &'static [u8]| types::MsgsStateInfo {
                req_msg_id: talk.id("c3"),
                info: states.into(),
            };
            let (wrong, answered) = (info(talk, &[4, 4]), info(talk, &[4 | 32 | 64]));
            talk.receive(0, &wrong);
            talk.receive(0, &answered);
        },
        &expect![[r#"
            0ms      < pong s1 seqno=0 to=c1 ping_id=1
            0ms      ! Pong { ping: PingId(1), link: LinkId(1), round_trip: 0ns }
            0ms      > 11111111 c2 seqno=1 bytes=8 salt=A
            10000ms  > msgs_state_req c3 seqno=2 c2 salt=A
            11000ms  < msgs_state_info s2 seqno=0 to=c3 states=04 04
            11000ms  < msgs_state_info s3 seqno=0 to=c3 states=64
            11000ms  > msg_container c4 seqno=2 salt=A
            11000ms  >   11111111 c2 seqno=1 bytes=8
        "#]],
    );
}

// req: S16, S17, S20
#[test]
fn the_server_may_ask_too() {
    check(
        |talk| {
            let push = talk.receive(1, &query(5));
            let msg_ids = vec![push, MsgId(push.0 + (1 << 32)), talk.id("c1")];
            talk.receive(0, &types::MsgsStateReq { msg_ids });
            talk.request(&query(1));
            let request = talk.packets.last().expect("the request").message.id;
            talk.receive(0, &types::MsgResendReq { msg_ids: vec![request] });
            talk.receive(0, &types::MsgResendReq { msg_ids: vec![request, MsgId(4)] });
        },
        &expect![[r#"
            0ms      < 11111111 s1 seqno=1 bytes=8
            0ms      ! push 8 bytes
            0ms      < msgs_state_req s2 seqno=0 s1 s3 c1
            0ms      > msg_container c4 seqno=0 salt=A
            0ms      >   msgs_state_info c2 seqno=0 to=s2 states=04 03 01
            0ms      >   msgs_ack c3 seqno=0 s1
            0ms      > 11111111 c5 seqno=1 bytes=8 salt=A
            0ms      < msg_resend_req s4 seqno=0 c5
            0ms      > msg_container c6 seqno=2 salt=A
            0ms      >   11111111 c5 seqno=1 bytes=8
            0ms      < msg_resend_req s5 seqno=0 c5 c7
            0ms      > msgs_state_info c8 seqno=2 to=s5 states=01 01 salt=A
        "#]],
    );
}

// req: S19
#[test]
fn a_described_answer_is_asked_for_unless_it_is_here() {
    check(
        |talk| {
            talk.request(&query(1));
            let answer = talk.message(1, &result(talk.id("c2")));
            let info = types::MsgDetailedInfo {
                msg_id: talk.id("c2"),
                answer_msg_id: answer.id,
                bytes: 20,
                status: 0,
            };
            talk.receive(0, &info);
            talk.receive_message(answer);
            talk.receive(0, &info);
            let update = types::MsgNewDetailedInfo {
                answer_msg_id: MsgId(info.answer_msg_id.0 + 8),
                bytes: 20,
                status: 0,
            };
            talk.receive(0, &update);
        },
        &expect![[r#"
            0ms      > 11111111 c2 seqno=1 bytes=8 salt=A
            0ms      < msg_detailed_info s1 seqno=0 to=c2 answer=s2 bytes=20
            0ms      > msg_resend_req c3 seqno=2 s2 salt=A
            0ms      < rpc_result s2 seqno=1 to=c2 11111111 bytes=8
            0ms      ! answer 1 8 bytes
            0ms      < msg_detailed_info s3 seqno=0 to=c2 answer=s2 bytes=20
            0ms      < msg_new_detailed_info s4 seqno=0 s3 bytes=20
        "#]],
    );
}

// req: S96, S97
#[test]
fn a_repeated_push_is_acknowledged_again_and_not_told_twice() {
    check(
        |talk| {
            let push = talk.message(1, &query(5));
            talk.receive_message(push.clone());
            talk.wait(11 * SECOND);
            talk.receive_all(&[push]);
            talk.wait(11 * SECOND);
        },
        &expect![[r#"
            0ms      < 11111111 s1 seqno=1 bytes=8
            0ms      ! push 8 bytes
            10000ms  > msgs_ack c2 seqno=0 s1 salt=A
            11000ms  < msg_container s2 seqno=0
            11000ms  <   11111111 s1 seqno=1 bytes=8
            21000ms  > msgs_ack c3 seqno=0 s1 salt=A
        "#]],
    );
}

// Found by the properties in `lossy`: the newest link was dead already, and an older one lived on.
// req: S95
#[test]
fn acknowledgements_lost_with_a_link_are_sent_again() {
    check(
        |talk| {
            talk.receive(1, &query(5));
            talk.attach(OTHER);
            talk.wait(SECOND);
            talk.detach(OTHER);
            talk.wait(11 * SECOND);
        },
        &expect![[r#"
            0ms      < 11111111 s1 seqno=1 bytes=8
            0ms      ! push 8 bytes
            0ms      + [2] link open
            0ms      > [2] msg_container c4 seqno=0 salt=A
            0ms      > [2]   ping_delay_disconnect c2 seqno=0 ping_id=2 delay=75
            0ms      > [2]   msgs_ack c3 seqno=0 s1
            1000ms   - [2] link lost
            1000ms   > msgs_ack c5 seqno=0 s1 salt=A
        "#]],
    );
}

// req: S22, S23
#[test]
fn salts_are_installed_only_when_asked_for() {
    let salts = Salts::new(Some(Salt(1)), vec![]);
    let mut talk = Talk::with(salts, ServerClock::new(start(), noon()));
    talk.attach(LINK);
    let since = noon().unix_seconds().cast_signed();
    let list = |req_msg_id| types::FutureSalts {
        req_msg_id,
        now: since,
        salts: vec![types::FutureSalt {
            valid_since: since,
            valid_until: since + 36_000,
            salt: Salt(5),
        }],
    };
    talk.transcript.packet(&talk.packets[0].message.to_message());
    talk.receive(0, &list(talk.id("c1")));
    assert_eq!(talk.session.salts().list().len(), 0);
    talk.receive(0, &list(talk.id("c2")));
    assert_eq!(talk.session.salts().list().len(), 1);
}

// req: S115
#[test]
fn a_quick_acknowledgement_names_its_requests() {
    check(
        |talk| {
            let request = talk.request_with(&query(1), RequestOptions { quick_ack: true });
            talk.request(&query(2));
            let [.., quick, plain] = &talk.packets[..] else { panic!("two packets") };
            assert!(quick.quick_ack && !plain.quick_ack);
            talk.session.packet_sealed(quick.message.id, 0x8000_0001);
            talk.session.handle_quick_ack(7, talk.now);
            talk.session.handle_quick_ack(0x8000_0001, talk.now);
            talk.session.handle_quick_ack(0x8000_0001, talk.now);
            assert_eq!(request.0, 1);
        },
        &expect![[r#"
            0ms      > 11111111 c2 seqno=1 bytes=8 salt=A
            0ms      > 11111111 c3 seqno=3 bytes=8 salt=A
            0ms      ! QuickAck { request: RequestId(1) }
        "#]],
    );
}

// req: S113
#[test]
fn a_made_request_is_made_again_for_another_id() {
    let mut talk = Talk::new();
    talk.attach(LINK);
    let make = |id: MsgId, session_id: SessionId| {
        let bind = functions::InvokeAfterMsg { msg_id: id, query: Raw(session_id.to_bytes()) };
        bind.to_bytes()
    };
    talk.session.request_made(Box::new(make), talk.now).expect("there is room");
    talk.drain();
    talk.refuse("c2", 20);
    for packet in &talk.packets[1..] {
        let expected = make(packet.message.id, packet.session_id);
        assert_eq!(packet.message.body(), expected);
    }
    assert_eq!(talk.packets.len(), 3);
}

// req: S31, S67
#[test]
fn sessions_and_keys_can_be_destroyed() {
    check(
        |talk| {
            talk.session.destroy_session(SessionId(5), talk.now);
            talk.session.destroy_auth_key(talk.now);
            talk.drain();
            talk.receive(0, &types::DestroySessionOk { session_id: SessionId(5) });
            // Some servers wrap it.
            talk.answer("c3", &types::DestroyAuthKeyOk);
        },
        &expect![[r#"
            0ms      > msg_container c4 seqno=0 salt=A
            0ms      >   destroy_session c2 seqno=0 0500000000000000
            0ms      >   destroy_auth_key c3 seqno=0
            0ms      < destroy_session_ok s1 seqno=0 0500000000000000
            0ms      ! SessionDestroyed { session_id: SessionId(0500000000000000), existed: true }
            0ms      < rpc_result s2 seqno=1 to=c3 f660e1d4 bytes=4
            0ms      ! AuthKeyDestroyed(Ok)
        "#]],
    );
}

#[test]
fn a_packet_of_a_session_left_behind_is_ignored() {
    let mut talk = Talk::new();
    talk.attach(LINK);
    let message = talk.message(1, &query(5));
    let result = talk.session.handle_message(LINK, SessionId(1), message, talk.now);
    assert_eq!((result, talk.packets.len()), (Ok(()), 1));
}

#[test]
fn every_queue_has_its_limit() {
    let mut talk = Talk::new();
    let options = RequestOptions::default();
    let (now, session) = (talk.now, &mut talk.session);
    assert_eq!(session.request(vec![1].into(), options, now), Err(Misuse::BadObject { len: 1 }));
    let long = vec![0; REQUEST_LEN_MAX + 4];
    let error = Misuse::TooLong { len: REQUEST_LEN_MAX + 4, max: REQUEST_LEN_MAX };
    assert_eq!(session.request(long.into(), options, now), Err(error));
    for _ in 0..REQUESTS_MAX {
        session.request(query(1).0, options, now).expect("there is room");
    }
    assert_eq!(session.request(query(1).0, options, now), Err(Misuse::QueueFull));
    talk.attach(LINK);
    let count = |talk: &mut Talk| -> usize {
        let packets = std::mem::take(&mut talk.packets);
        let lines =
            packets.iter().flat_map(|packet| talk.transcript.packet(&packet.message.to_message()));
        lines.filter(|line| line.contains("11111111")).count()
    };
    assert_eq!(count(&mut talk), IN_FLIGHT_MAX);
    for _ in 0..2 * PINGS_MAX {
        talk.session.ping(talk.now);
        talk.session.packet_sealed(MsgId(4), 1);
    }
    talk.drain();
    assert_eq!(count(&mut talk), 0);
    const { assert!(QUICK_ACKS_MAX > PINGS_MAX) };
}

#[test]
fn requests_are_bounded_in_bytes_too() {
    let mut talk = Talk::new();
    let object = noise(REQUEST_LEN_MAX);
    for _ in 0..REQUEST_BYTES_MAX / REQUEST_LEN_MAX {
        talk.request(&object);
    }
    let one_more = talk.session.request(query(1).0, RequestOptions::default(), talk.now);
    assert_eq!(one_more, Err(Misuse::QueueFull));
}
