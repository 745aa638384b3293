//! What a server refuses, and what it tolerates.

use std::time::Duration;

use expect_test::expect;
use mtproto_pack::{CONTAINER_MESSAGES_MAX, Message, MessageView};
use mtproto_tl::{Author, Encode, MsgId, Salt, Seqno, types};

use super::server_talk::{LINK, SALT, Talk, check, check_strict};
use super::{SECOND, acks, ping, query};
use crate::Strictness;
use crate::server::SERVER_INBOX_IDS_MAX;

// req: S14
#[test]
fn each_code_has_its_reason() {
    check_strict(
        |talk| {
            talk.wait(1000 * SECOND);
            let mut odd_id = talk.message(1, &query(1));
            odd_id.id.0 |= 1;
            talk.send_message(odd_id);
            let wrong_salt = talk.message(1, &query(1));
            talk.give(LINK, Salt(1), wrong_salt);
            for shift in [-301_i64, 31] {
                let mut late = talk.message(1, &query(1));
                late.id.0 = late.id.0.wrapping_add_signed(shift << 32);
                talk.send_message(late);
            }
            talk.send(1, &acks(&[]));
            talk.send(0, &query(1));
            let mut container = talk.container(0, &[]);
            talk.send_message(container.clone());
            talk.send_message(container.clone());
            container.body = container.body.slice(..4);
            talk.send_message(container);
            talk.send(3, &query(2));
            talk.send(1, &query(3));
            let mut below = talk.message(7, &query(4));
            below.id.0 -= 1 << 32;
            talk.send_message(below);
        },
        &expect![[r#"
            1000000ms > 11111111 s1 seqno=1 bytes=8
            1000000ms < bad_msg_notification s1 seqno=0 to=s1 code=18
            1000000ms > 11111111 c1 seqno=1 bytes=8
            1000000ms < bad_server_salt s2 seqno=0 to=c1 code=48 new=B
            1000000ms > 11111111 c2 seqno=1 bytes=8
            1000000ms < bad_msg_notification s3 seqno=0 to=c2 code=16
            1000000ms > 11111111 c3 seqno=1 bytes=8
            1000000ms < bad_msg_notification s4 seqno=0 to=c3 code=17
            1000000ms > msgs_ack c4 seqno=1
            1000000ms < bad_msg_notification s5 seqno=0 to=c4 code=34
            1000000ms > 11111111 c5 seqno=0 bytes=8
            1000000ms < bad_msg_notification s6 seqno=0 to=c5 code=35
            1000000ms > msg_container c6 seqno=0
            1000000ms < new_session_created s7 seqno=1 first=c6 salt=B
            1000000ms > msg_container c6 seqno=0
            1000000ms < bad_msg_notification s8 seqno=2 to=c6 code=19
            1000000ms > 73f1f8dc c6 seqno=0 bytes=4
            1000000ms < bad_msg_notification s9 seqno=2 to=c6 code=64
            1000000ms > 11111111 c7 seqno=3 bytes=8
            1000000ms ! request c7
            1000000ms > 11111111 c8 seqno=1 bytes=8
            1000000ms < bad_msg_notification s10 seqno=2 to=c8 code=32
            1000000ms > 11111111 c9 seqno=7 bytes=8
            1000000ms < bad_msg_notification s11 seqno=2 to=c9 code=33
        "#]],
    );
}

// req: S14, S98
#[test]
fn below_the_window_nothing_is_known() {
    check(
        |talk| {
            let early = talk.message(1, &query(1));
            for _ in 0..=SERVER_INBOX_IDS_MAX {
                talk.send(0, &acks(&[]));
            }
            talk.hush();
            let early = talk.send_message(early);
            talk.send(0, &types::MsgsStateReq { msg_ids: vec![early] });
        },
        &expect![[r#"
            0ms      > 11111111 c2050 seqno=1 bytes=8
            0ms      < bad_msg_notification s2 seqno=2 to=c2050 code=20
            0ms      > msgs_state_req c2051 seqno=0 c2050
            0ms      < msgs_state_info s3 seqno=2 to=c2051 states=01
        "#]],
    );
}

// Were it not known any more, its client would send it again under another id.
// req: S17, S97, S98
#[test]
fn a_query_is_known_while_it_is_carried_out_even_below_the_window() {
    check(
        |talk| {
            let slow = talk.message(1, &query(1));
            let id = talk.send_message(slow.clone());
            for _ in 0..=SERVER_INBOX_IDS_MAX {
                talk.send(0, &acks(&[]));
            }
            talk.hush();
            talk.send_message(slow.clone());
            talk.send(0, &types::MsgsStateReq { msg_ids: vec![id] });
            talk.ok(id, &[1, 2, 3, 4]);
            talk.send(0, &types::MsgsStateReq { msg_ids: vec![id] });
            talk.send_message(slow);
        },
        &expect![[r#"
            0ms      > 11111111 c1 seqno=1 bytes=8
            0ms      < msgs_ack s4 seqno=2 c1
            0ms      > msgs_state_req c2051 seqno=0 c1
            0ms      < msgs_state_info s5 seqno=2 to=c2051 states=24
            0ms      < rpc_result s6 seqno=3 to=c1 04030201 bytes=4
            0ms      > msgs_state_req c2052 seqno=0 c1
            0ms      < msgs_state_info s7 seqno=4 to=c2052 states=6c
            0ms      > 11111111 c1 seqno=1 bytes=8
            0ms      < msg_container s8 seqno=4
            0ms      <   rpc_result s6 seqno=3 to=c1 04030201 bytes=4
        "#]],
    );
}

// req: S40
#[test]
fn a_container_is_refused_as_a_whole() {
    check(
        |talk| {
            talk.send(0, &ping(0));
            talk.hush();
            let good = talk.message(1, &query(1));
            let empty = talk.container(2, &[]);
            let nested = talk.container(2, &[good.clone(), empty]);
            talk.send_message(nested);
            let mut above = talk.message(2, &ping(1));
            above.id.0 += 1 << 32;
            let above = talk.container(2, &[good.clone(), above]);
            talk.send_message(above);
            let mut odd = talk.message(2, &ping(1));
            odd.id.0 += 2;
            let odd = talk.container(2, &[good.clone(), odd]);
            talk.send_message(odd);
            let mut cut = talk.message(2, &ping(1));
            cut.body.truncate(8);
            let cut = talk.container(2, &[good.clone(), cut]);
            talk.send_message(cut);
            // Nothing of all that was applied, so the message is still a new one.
            let fine = talk.container(2, &[good]);
            talk.send_message(fine);
        },
        &expect![[r#"
            0ms      > msg_container c4 seqno=2
            0ms      >   11111111 c2 seqno=1 bytes=8
            0ms      >   73f1f8dc c3 seqno=2 bytes=8
            0ms      < bad_msg_notification s4 seqno=2 to=c4 code=64
            0ms      > msg_container c6 seqno=2
            0ms      >   11111111 c2 seqno=1 bytes=8
            0ms      >   ping c5 seqno=2 ping_id=1
            0ms      < bad_msg_notification s5 seqno=2 to=c6 code=64
            0ms      > msg_container c7 seqno=2
            0ms      >   11111111 c2 seqno=1 bytes=8
            0ms      >   ping s6 seqno=2 ping_id=1
            0ms      < bad_msg_notification s7 seqno=2 to=c7 code=18
            0ms      > msg_container c9 seqno=2
            0ms      >   11111111 c2 seqno=1 bytes=8
            0ms      >   malformed c8 seqno=2 4 bytes are missing
            0ms      < bad_msg_notification s8 seqno=2 to=c9 code=64
            0ms      > msg_container c10 seqno=2
            0ms      >   11111111 c2 seqno=1 bytes=8
            0ms      ! request c2
        "#]],
    );
}

// req: S46
#[test]
fn a_container_has_its_limit_and_some_messages_are_free() {
    let mut talk = Talk::new(Strictness::Strict);
    let filled = |talk: &mut Talk, more: usize| {
        let free = [
            talk.message(0, &acks(&[])),
            talk.message(0, &types::MsgsStateReq { msg_ids: vec![] }),
            talk.message(0, &types::MsgResendReq { msg_ids: vec![] }),
        ];
        let pings = (0..CONTAINER_MESSAGES_MAX + more).map(|_| talk.message(0, &ping(1)));
        let messages: Vec<_> = pings.collect::<Vec<_>>().into_iter().chain(free).collect();
        let container = talk.container(0, &messages);
        talk.send_message(container);
        let mut packets = std::mem::take(&mut talk.packets);
        talk.transcript.packet(&packets.pop().expect("an answer")).remove(0)
    };
    assert!(filled(&mut talk, 0).starts_with("msg_container"));
    assert!(filled(&mut talk, 1).ends_with("code=64"));
}

// req: S48
#[test]
fn an_empty_container_is_legal() {
    check_strict(
        |talk| {
            let empty = talk.container(0, &[]);
            talk.send_message(empty);
        },
        &expect![[r#"
            0ms      > msg_container c1 seqno=0
            0ms      < new_session_created s1 seqno=1 first=c1 salt=A
        "#]],
    );
}

// A message that was refused is not a duplicate when it comes again.
// req: L5, S15, S97
#[test]
fn a_refused_message_may_come_again_under_its_id() {
    check(
        |talk| {
            let message = talk.message(1, &query(1));
            talk.give(LINK, Salt(0), message.clone());
            talk.wait(SECOND / 10);
            talk.give(LINK, SALT, message);
        },
        &expect![[r#"
            0ms      > 11111111 c1 seqno=1 bytes=8
            0ms      < bad_server_salt s1 seqno=0 to=c1 code=48 new=A
            100ms    > 11111111 c1 seqno=1 bytes=8
            100ms    ! request c1
            100ms    < msg_container s4 seqno=2
            100ms    <   new_session_created s2 seqno=1 first=c1 salt=A
            100ms    <   msgs_ack s3 seqno=2 c1
        "#]],
    );
}

// req: S56
#[test]
fn a_strict_server_refuses_http_wait() {
    check_strict(
        |talk| {
            talk.send(0, &types::HttpWait { max_delay: 0, wait_after: 0, max_wait: 25000 });
        },
        &expect![[r#"
            0ms      > http_wait c1 seqno=0 0 0 25000
            0ms      < bad_msg_notification s1 seqno=0 to=c1 code=64
        "#]],
    );
}

// req: S13, S47
#[test]
fn lists_of_ids_end_at_8192() {
    check(
        |talk| {
            talk.send(0, &ping(1));
            talk.hush();
            let ids = |count| vec![MsgId(4); count];
            talk.session
                .handle_message(LINK, SALT, MessageView::of(&list(talk, ids(8192))), talk.now)
                .expect("taken");
            talk.session
                .handle_message(LINK, SALT, MessageView::of(&list(talk, ids(8193))), talk.now)
                .expect("taken");
        },
        &expect![[r#"
            0ms      < bad_msg_notification s4 seqno=2 to=c2 code=64
        "#]],
    );
}

fn list(talk: &Talk, msg_ids: Vec<MsgId>) -> Message {
    let id = MsgId::at(talk.time().after(SECOND * msg_ids.len() as u32 / 1000), Author::Client);
    Message { id, seqno: Seqno(0), body: types::MsgsAck { msg_ids }.to_bytes() }
}

// Whatever comes, the session stays and answers the next ping.
#[test]
fn cut_and_flipped_messages_do_no_harm() {
    let mut talk = Talk::new(Strictness::Lenient);
    let first = talk.message(1, &query(1));
    let second = talk.message(3, &types::MsgsStateReq { msg_ids: vec![first.id] });
    let container = talk.container(4, &[first, second]);
    for len in 0..container.body.len() {
        for flip in [0, 1, 0x80] {
            let mut body = container.body[..len].to_vec();
            if let Some(byte) = body.get_mut(len / 2) {
                *byte ^= flip;
            }
            let message = Message { body: body.into(), ..talk.message(0, &ping(1)) };
            talk.session
                .handle_message(LINK, SALT, MessageView::of(&message), talk.now)
                .expect("no fault");
            talk.drain();
        }
    }
    talk.packets.clear();
    talk.send(0, &ping(2));
    assert!(!talk.packets.is_empty());
    talk.wait(Duration::from_secs(1000));
}
