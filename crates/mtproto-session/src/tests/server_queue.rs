//! What a server keeps for a client: re-sending, duplicates, limits.

use std::time::Duration;

use expect_test::expect;
use mtproto_pack::MessageView;
use mtproto_tl::{Encode, MsgId, Raw, functions, types};

use super::server_talk::{LINK, SALT, Talk, check};
use super::{acks, noise, ping, query};
use crate::server::{
    DETAILED_LEN_MIN, DISCONNECT_DELAY_MAX, LINKS_MAX, NOTICES_BYTES_MAX, NOTICES_MAX,
    OUTBOX_AGE_MAX, OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX, RUNNING_MAX, SENDS_MAX, WHOLE_SENDS_MAX,
};
use crate::{IDS_MAX, LinkId, Misuse, RpcReply, ServerOutput, Strictness};

const OTHER: LinkId = LinkId(2);

/// Lets the client acknowledge all that was sent so far.
fn acknowledge(talk: &mut Talk) {
    let ids: Vec<_> = (0..).map_while(|n| talk.transcript.label(&format!("s{}", n + 1))).collect();
    let message = talk.message(0, &acks(&ids));
    talk.session.handle_message(LINK, SALT, MessageView::of(&message), talk.now).expect("no fault");
}

// TCP has delivered it, which says nothing.
// req: S5, S72, S93, S94, S96
#[test]
fn what_is_not_acknowledged_comes_again_over_a_new_link() {
    check(
        |talk| {
            talk.send(0, &ping(1));
            acknowledge(talk);
            let requests = [talk.send(1, &query(1)), talk.send(3, &query(2))];
            for request in requests {
                talk.ok(request, &[1, 2, 3, 4]);
            }
            let received = talk.packets.last().expect("the second answer").id;
            talk.send(4, &acks(&[received]));
            talk.push(&query(9));
            talk.detach(LINK);
            talk.push(&query(10));
            talk.hush();
            let message = talk.message(4, &ping(2));
            talk.give(OTHER, SALT, message);
        },
        &expect![[r#"
            0ms      > [2] ping c5 seqno=4 ping_id=2
            0ms      < [2] msg_container s11 seqno=10
            0ms      < [2]   rpc_result s4 seqno=3 to=c2 04030201 bytes=4
            0ms      < [2]   11111111 s8 seqno=7 bytes=8
            0ms      < [2]   11111111 s9 seqno=9 bytes=8
            0ms      < [2]   pong s10 seqno=10 to=c5 ping_id=2
        "#]],
    );
}

// The old connection's end may be seen after the new one's first message.
// req: L19
#[test]
fn the_end_of_an_old_link_does_not_detach_the_new_one() {
    check(
        |talk| {
            talk.send(0, &ping(1));
            let request = talk.send(1, &query(1));
            let message = talk.message(2, &ping(2));
            talk.give(OTHER, SALT, message);
            talk.hush();
            talk.detach(LINK);
            talk.ok(request, &[1, 2, 3, 4]);
            talk.push(&query(9));
        },
        &expect![[r#"
            0ms      - link lost
            0ms      < [2] rpc_result s8 seqno=3 to=c2 04030201 bytes=4
            0ms      < [2] 11111111 s9 seqno=5 bytes=8
        "#]],
    );
}

#[test]
fn when_the_newest_link_ends_the_one_before_takes_over() {
    check(
        |talk| {
            talk.send(0, &ping(1));
            acknowledge(talk);
            let message = talk.message(2, &ping(2));
            talk.give(OTHER, SALT, message);
            talk.hush();
            talk.push(&query(9));
            talk.detach(OTHER);
        },
        &expect![[r#"
            0ms      < [2] 11111111 s5 seqno=3 bytes=8
            0ms      - [2] link lost
            0ms      < msg_container s6 seqno=4
            0ms      <   11111111 s5 seqno=3 bytes=8
        "#]],
    );
}

// req: S19, S97
#[test]
fn a_repeated_query_is_not_carried_out_again() {
    check(
        |talk| {
            talk.send(0, &ping(1));
            acknowledge(talk);
            talk.hush();
            let short = talk.message(1, &query(1));
            let request = talk.send_message(short.clone());
            talk.send_message(short.clone());
            talk.ok(request, &[1, 2, 3, 4]);
            talk.send_message(short.clone());
            let again = talk.container(2, std::slice::from_ref(&short));
            talk.send_message(again);
            acknowledge(talk);
            talk.send_message(short);
            let long = talk.message(3, &query(2));
            let request = talk.send_message(long.clone());
            talk.ok(request, &noise(DETAILED_LEN_MIN).0);
            let answer = talk.packets.last().expect("the answer").id;
            talk.send_message(long);
            talk.send(4, &types::MsgResendReq { msg_ids: vec![answer] });
        },
        &expect![[r#"
            0ms      > 11111111 c2 seqno=1 bytes=8
            0ms      ! request c2
            0ms      > 11111111 c2 seqno=1 bytes=8
            0ms      < msgs_ack s4 seqno=2 c2
            0ms      < rpc_result s5 seqno=3 to=c2 04030201 bytes=4
            0ms      > 11111111 c2 seqno=1 bytes=8
            0ms      < msg_container s6 seqno=4
            0ms      <   rpc_result s5 seqno=3 to=c2 04030201 bytes=4
            0ms      > msg_container c3 seqno=2
            0ms      >   11111111 c2 seqno=1 bytes=8
            0ms      < msg_container s7 seqno=4
            0ms      <   rpc_result s5 seqno=3 to=c2 04030201 bytes=4
            0ms      > 11111111 c2 seqno=1 bytes=8
            0ms      < msgs_ack s8 seqno=4 c2
            0ms      > 11111111 c4 seqno=3 bytes=8
            0ms      ! request c4
            0ms      < rpc_result s9 seqno=5 to=c4 00042021 bytes=4096
            0ms      > 11111111 c4 seqno=3 bytes=8
            0ms      < msg_detailed_info s10 seqno=6 to=c4 answer=s9 bytes=4108
            0ms      > msg_resend_req c5 seqno=4 s9
            0ms      < msg_container s11 seqno=6
            0ms      <   rpc_result s9 seqno=5 to=c4 00042021 bytes=4096
        "#]],
    );
}

// req: S20
#[test]
fn a_resend_request_for_anything_unknown_is_answered_with_states() {
    check(
        |talk| {
            let request = talk.send(1, &query(1));
            talk.ok(request, &[1, 2, 3, 4]);
            let answer = talk.packets.last().expect("the answer").id;
            talk.hush();
            talk.send(2, &types::MsgResendReq { msg_ids: vec![answer, request] });
            talk.send(2, &types::MsgResendAnsReq { msg_ids: vec![request, MsgId(4)] });
        },
        &expect![[r#"
            0ms      > msg_resend_req c2 seqno=2 s4 c1
            0ms      < msgs_state_info s5 seqno=4 to=c2 states=01 6c
            0ms      > msg_resend_ans_req c3 seqno=2 c1 c4
            0ms      < msg_container s6 seqno=4
            0ms      <   rpc_result s4 seqno=3 to=c1 04030201 bytes=4
        "#]],
    );
}

// req: S17, S18
#[test]
fn states_from_the_client_acknowledge_what_they_say_was_received() {
    let mut talk = Talk::new(Strictness::Lenient);
    let ids = [talk.push(&query(1)), talk.push(&query(2)), talk.push(&query(3))];
    let info =
        |bytes: &'static [u8]| types::MsgsAllInfo { msg_ids: ids.to_vec(), info: bytes.into() };
    talk.send(0, &info(&[1, 1, 1]));
    assert_eq!(talk.session.queued_messages(), 4);
    talk.send(0, &info(&[4 | 8, 2]));
    assert_eq!(talk.session.queued_messages(), 3);
}

// gotd never acknowledges what came inside a container.
// req: L8
#[test]
fn without_acknowledgements_a_message_is_sent_a_few_times_only() {
    let mut talk = Talk::new(Strictness::Lenient);
    let id = talk.push(&query(1));
    for link in 10..60 {
        let message = talk.message(0, &ping(1));
        talk.give(LinkId(link), SALT, message);
        talk.detach(LinkId(link));
    }
    let label = talk.transcript.id(id);
    let lines = talk.packets.iter().flat_map(|packet| talk.transcript.packet(packet));
    let sent = lines.filter(|line| line.contains(&format!("11111111 {label} "))).count();
    assert_eq!(sent, usize::from(SENDS_MAX));
    assert_eq!(talk.session.queued_messages(), 2);
}

// req: S99
#[test]
fn ten_minutes_in_the_queue_are_enough() {
    check(
        |talk| {
            let message = talk.message(1, &query(1));
            let request = talk.send_message(message.clone());
            talk.ok(request, &[1, 2, 3, 4]);
            talk.wait(OUTBOX_AGE_MAX);
            assert_eq!(talk.session.queued_messages(), 0);
            talk.hush();
            // Nothing is known of its query any more, and that is said.
            talk.send(0, &types::MsgsStateReq { msg_ids: vec![request] });
            let repeated = talk.container(0, &[message]);
            talk.send_message(repeated);
        },
        &expect![[r#"
            600000ms > msgs_state_req c2 seqno=0 c1
            600000ms < msgs_state_info s5 seqno=4 to=c2 states=01
            600000ms > msg_container c3 seqno=0
            600000ms >   11111111 c1 seqno=1 bytes=8
            600000ms < bad_msg_notification s6 seqno=4 to=c1 code=20
        "#]],
    );
}

// req: S99
#[test]
fn a_push_is_refused_when_the_queue_is_full_of_what_was_never_sent() {
    let mut talk = Talk::new(Strictness::Lenient);
    let object = query(1).0;
    for _ in 0..OUTBOX_MESSAGES_MAX {
        talk.session.push(object.clone(), talk.now).expect("there is room");
    }
    assert_eq!(talk.session.push(object.clone(), talk.now), Err(Misuse::QueueFull));
    // Once sent they only wait to be acknowledged, and the oldest makes room.
    talk.send(0, &ping(1));
    talk.session.push(object, talk.now).expect("there is room");
    assert_eq!(talk.session.queued_messages(), OUTBOX_MESSAGES_MAX);
}

// req: S99, S100
#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let mut talk = Talk::new(Strictness::Lenient);
    let object = noise(OUTBOX_BYTES_MAX / 4).0;
    for _ in 0..4 {
        talk.session.push(object.clone(), talk.now).expect("there is room");
    }
    assert_eq!(talk.session.push(object, talk.now), Err(Misuse::QueueFull));
    let whole = noise(OUTBOX_BYTES_MAX + 4).0;
    let error = Misuse::TooLong { len: OUTBOX_BYTES_MAX + 4, max: OUTBOX_BYTES_MAX };
    assert_eq!(talk.session.push(whole, talk.now), Err(error));
    assert_eq!(talk.session.push(vec![1].into(), talk.now), Err(Misuse::BadObject { len: 1 }));
    // An answer makes room for itself.
    let request = talk.send(1, &query(1));
    talk.session.answer(request, RpcReply::Ok(noise(1000).0), talk.now);
    assert!(talk.session.queued_bytes() <= OUTBOX_BYTES_MAX);
    let queued = talk.session.queued_bytes();
    assert_eq!(talk.session.shed(usize::MAX, talk.now), queued);
    assert_eq!(talk.session.queued_messages(), 0);
}

#[test]
fn an_answer_too_long_for_the_queue_is_an_error() {
    check(
        |talk| {
            let request = talk.send(1, &query(1));
            talk.ok(request, &noise(OUTBOX_BYTES_MAX).0);
        },
        &expect![[r#"
            0ms      > 11111111 c1 seqno=1 bytes=8
            0ms      ! request c1
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   msgs_ack s2 seqno=2 c1
            0ms      < rpc_result s4 seqno=3 to=c1 error=500 ANSWER_TOO_LONG
        "#]],
    );
}

#[test]
fn too_many_queries_at_a_time_are_put_off() {
    let mut talk = Talk::new(Strictness::Lenient);
    for number in 0..=RUNNING_MAX as u32 {
        let message = talk.message(number * 2 + 1, &query(number));
        talk.session
            .handle_message(LINK, SALT, MessageView::of(&message), talk.now)
            .expect("no fault");
    }
    assert_eq!(talk.session.running_requests(), RUNNING_MAX);
    talk.drain();
    let lines: Vec<_> =
        talk.packets.iter().flat_map(|packet| talk.transcript.packet(packet)).collect();
    assert_eq!(lines.iter().filter(|line| line.ends_with("error=420 FLOOD_WAIT_1")).count(), 1);
}

#[test]
fn notices_and_links_have_their_limits() {
    let mut talk = Talk::new(Strictness::Lenient);
    for _ in 0..=NOTICES_MAX {
        let message = talk.message(0, &ping(1));
        talk.session
            .handle_message(LINK, SALT, MessageView::of(&message), talk.now)
            .expect("no fault");
    }
    talk.drain();
    let lines = talk.packets.iter().flat_map(|packet| talk.transcript.packet(packet));
    assert_eq!(lines.filter(|line| line.contains("pong")).count(), NOTICES_MAX);
    for link in 0..2 * LINKS_MAX as u64 {
        let message = talk.message(0, &ping(1));
        talk.give(LinkId(link), SALT, message);
    }
    let newest = (LINKS_MAX as u64..2 * LINKS_MAX as u64).map(LinkId);
    assert!(talk.session.links().eq(newest), "each takes the place of the oldest");
    for link in 0..2 * LINKS_MAX as u64 {
        talk.detach(LinkId(link));
    }
    assert!(!talk.session.has_link());
}

// req: S46
#[test]
fn a_packet_ends_at_its_limits() {
    let mut talk = Talk::new(Strictness::Lenient);
    for len in [20_000, 20_000, 60_000, 4, 4] {
        talk.session.push(Raw(noise(len).0).0, talk.now).expect("there is room");
    }
    talk.send(0, &ping(1));
    let counts: Vec<_> =
        talk.packets.iter().map(|packet| talk.transcript.packet(packet).len()).collect();
    assert_eq!(counts, [3, 1, 1, 4]);
}

// req: S18
#[test]
fn a_client_that_comes_back_is_told_what_is_being_carried_out() {
    check(
        |talk| {
            let request = talk.send(1, &query(1));
            let done = talk.send(3, &query(2));
            talk.ok(done, &[1, 2, 3, 4]);
            acknowledge(talk);
            talk.detach(LINK);
            talk.hush();
            let message = talk.message(4, &ping(1));
            talk.give(OTHER, SALT, message);
            talk.ok(request, &[1, 2, 3, 4]);
        },
        &expect![[r#"
            0ms      > [2] ping c3 seqno=4 ping_id=1
            0ms      < [2] msg_container s7 seqno=4
            0ms      < [2]   msgs_all_info s5 seqno=4 c1 2c
            0ms      < [2]   pong s6 seqno=4 to=c3 ping_id=1
            0ms      < [2] rpc_result s8 seqno=5 to=c1 04030201 bytes=4
        "#]],
    );
}

// req: L8, S19
#[test]
fn a_long_message_is_sent_whole_a_few_times_and_then_described() {
    check(
        |talk| {
            talk.send(0, &ping(1));
            acknowledge(talk);
            let request = talk.send(1, &query(1));
            talk.ok(request, &noise(DETAILED_LEN_MIN).0);
            let push = talk.push(&noise(DETAILED_LEN_MIN));
            for link in 2..1 + u64::from(WHOLE_SENDS_MAX) {
                let message = talk.message(2, &ping(1));
                talk.give(LinkId(link), SALT, message);
            }
            talk.hush();
            let message = talk.message(2, &ping(1));
            talk.give(LinkId(9), SALT, message);
            talk.send(2, &types::MsgResendReq { msg_ids: vec![push] });
            talk.detach(LinkId(9));
        },
        &expect![[r#"
            0ms      > [9] ping c5 seqno=2 ping_id=1
            0ms      < [9] msg_container s13 seqno=6
            0ms      < [9]   msg_detailed_info s10 seqno=6 to=c2 answer=s4 bytes=4108
            0ms      < [9]   msg_new_detailed_info s11 seqno=6 s5 bytes=4096
            0ms      < [9]   pong s12 seqno=6 to=c5 ping_id=1
            0ms      > msg_resend_req c6 seqno=2 s5
            0ms      < msg_container s14 seqno=6
            0ms      <   00042021 s5 seqno=5 bytes=4096
            0ms      - [9] link lost
        "#]],
    );
}

#[test]
fn notices_are_bounded_in_bytes_too() {
    let mut talk = Talk::new(Strictness::Lenient);
    let len = 20 + IDS_MAX;
    let fitting = NOTICES_BYTES_MAX / len;
    for _ in 0..2 * fitting {
        let message = talk.message(0, &types::MsgsStateReq { msg_ids: vec![MsgId(4); IDS_MAX] });
        talk.session
            .handle_message(LINK, SALT, MessageView::of(&message), talk.now)
            .expect("no fault");
    }
    talk.drain();
    let lines = talk.packets.iter().flat_map(|packet| talk.transcript.packet(packet));
    assert_eq!(lines.filter(|line| line.contains("msgs_state_info")).count(), fitting);
}

#[test]
fn a_disconnect_comes_within_the_hour() {
    let mut talk = Talk::new(Strictness::Lenient);
    for (disconnect_delay, seconds) in [(i32::MAX, DISCONNECT_DELAY_MAX.as_secs()), (-1, 0)] {
        let message =
            talk.message(0, &functions::PingDelayDisconnect { ping_id: 1, disconnect_delay });
        talk.put(LINK, SALT, message);
        let delay = Duration::from_secs(seconds);
        assert_eq!(talk.session.poll_output(), ServerOutput::CloseAfter { link: LINK, delay });
    }
}

// req: L8, S16, S17
#[test]
fn a_client_is_asked_about_what_was_sent_often_enough() {
    check(
        |talk| {
            talk.send(0, &ping(1));
            acknowledge(talk);
            let messages: Vec<_> = (0..3).map(|number| talk.push(&query(number))).collect();
            for link in 2..1 + u64::from(SENDS_MAX) {
                let message = talk.message(6, &ping(1));
                talk.give(LinkId(link), SALT, message);
            }
            talk.hush();
            let mut send = |object: &dyn Encode| {
                let message = talk.message(6, &Raw(object.to_bytes()));
                talk.give(LinkId(99), SALT, message);
                (talk.packets.last().expect("a packet").id, talk.session.queued_messages())
            };
            let (question, _) = send(&acks(&[]));
            let info = |req_msg_id, info: &'static [u8]| types::MsgsStateInfo {
                req_msg_id,
                info: info.into(),
            };
            // It has the first, knows nothing of the second, and lacks the third.
            assert_eq!(send(&info(messages[0], &[4, 4, 4])).1, 3);
            assert_eq!(send(&info(question, &[4 | 8, 1, 2])).1, 2);
            assert_eq!(send(&info(question, &[4, 4, 4])).1, 2);
        },
        &expect![[r#"
            0ms      > [99] msgs_ack c31 seqno=6
            0ms      < [99] msgs_state_req s65 seqno=8 s4 s5 s6
            0ms      > [99] msgs_state_info c32 seqno=6 to=s4 states=04 04 04
            0ms      > [99] msgs_state_info c33 seqno=6 to=s65 states=0c 01 02
            0ms      < [99] msg_container s66 seqno=8
            0ms      < [99]   11111111 s6 seqno=7 bytes=8
            0ms      > [99] msgs_state_info c34 seqno=6 to=s65 states=04 04 04
        "#]],
    );
}
