//! `invokeAfterMsg(s)`: in which order queries reach the application.

use mtproto_pack::{MessageView, RpcError};
use mtproto_tl::functions::{InvokeAfterMsg, InvokeAfterMsgs};
use mtproto_tl::{MsgId, Raw};

use super::server_talk::{LINK, SALT, Talk, check};
use super::{noise, query};
use crate::server::{AFTER_WAIT_MAX, FAILED_MAX, HELD_BYTES_MAX, HELD_MAX};
use crate::{RpcReply, Strictness};
use expect_test::expect;

fn after(msg_id: MsgId, query: Raw) -> InvokeAfterMsg<Raw> {
    InvokeAfterMsg { msg_id, query }
}

// req: S119
#[test]
fn a_query_waits_for_those_it_names() {
    check(
        |talk| {
            let first = talk.message(1, &query(1));
            let second = talk.message(3, &after(first.id, query(2)));
            let msg_ids = vec![first.id, second.id, MsgId(12)];
            let third = talk.message(5, &InvokeAfterMsgs { msg_ids, query: query(3) });
            let other = talk.message(7, &query(4));
            let ids = [first.id, second.id, third.id];
            let all = talk.container(8, &[first, second, third, other]);
            talk.send_message(all);
            talk.hush();
            for id in ids {
                talk.ok(id, &[1, 2, 3, 4]);
            }
            // What is done already need not be waited for.
            talk.send(9, &after(ids[0], query(5)));
        },
        &expect![[r#"
            0ms      ! request c2
            0ms      < rpc_result s4 seqno=3 to=c1 04030201 bytes=4
            0ms      ! request c3
            0ms      < rpc_result s5 seqno=5 to=c2 04030201 bytes=4
            0ms      < rpc_result s6 seqno=7 to=c3 04030201 bytes=4
            0ms      > cb9f372d c6 seqno=9 bytes=20
            0ms      ! request c6
        "#]],
    );
}

// req: S119
#[test]
fn a_query_fails_with_those_it_names() {
    check(
        |talk| {
            let first = talk.send(1, &query(1));
            let second = talk.send(3, &after(first, query(2)));
            talk.send(5, &after(second, query(3)));
            talk.hush();
            talk.err(first, 400, "METHOD_INVALID");
        },
        &expect![[r#"
            0ms      < rpc_result s4 seqno=3 to=c1 error=400 METHOD_INVALID
            0ms      < rpc_result s5 seqno=5 to=c2 error=400 MSG_WAIT_FAILED
            0ms      < rpc_result s6 seqno=7 to=c3 error=400 MSG_WAIT_FAILED
        "#]],
    );
}

// req: S119
#[test]
fn a_query_that_overtakes_the_one_it_names_waits_for_it() {
    check(
        |talk| {
            let first = talk.message(1, &query(1));
            talk.send(3, &after(first.id, query(2)));
            let id = first.id;
            talk.hush();
            talk.send_message(first);
            talk.ok(id, &[1, 2, 3, 4]);
        },
        &expect![[r#"
            0ms      > 11111111 c2 seqno=1 bytes=8
            0ms      ! request c2
            0ms      < msg_container s6 seqno=4
            0ms      <   new_session_created s4 seqno=3 first=c2 salt=A
            0ms      <   msgs_ack s5 seqno=4 c2
            0ms      ! request c1
            0ms      < rpc_result s7 seqno=5 to=c2 04030201 bytes=4
        "#]],
    );
}

// req: S119
#[test]
fn a_query_does_not_wait_for_ever_for_one_that_never_comes() {
    check(
        |talk| {
            let lost = talk.message(1, &query(1));
            talk.send(3, &after(lost.id, query(2)));
            talk.hush();
            talk.wait(AFTER_WAIT_MAX);
        },
        &expect![[r#"
            30000ms  < rpc_result s4 seqno=3 to=c1 error=400 MSG_WAIT_TIMEOUT
        "#]],
    );
}

// req: S119
#[test]
fn a_session_remembers_so_many_failures() {
    let mut talk = Talk::new(Strictness::Lenient);
    let mut failed = Vec::new();
    for _ in 0..=FAILED_MAX {
        let id = talk.send(1, &query(1));
        talk.err(id, 400, "METHOD_INVALID");
        failed.push(id);
    }
    talk.requests.clear();
    talk.send(1, &after(failed[1], query(2)));
    assert_eq!(talk.requests, [], "it is known to have failed");
    let ready = talk.send(1, &after(failed[0], query(2)));
    assert_eq!(talk.requests, [ready], "it is forgotten");
}

#[test]
fn queries_that_wait_are_bounded() {
    let mut talk = Talk::new(Strictness::Lenient);
    let first = talk.send(1, &query(1));
    let flood = |talk: &mut Talk, count: usize, object: &Raw| {
        for _ in 0..count {
            let message = talk.message(3, &after(first, object.clone()));
            talk.session
                .handle_message(LINK, SALT, MessageView::of(&message), talk.now)
                .expect("no fault");
        }
        talk.packets.clear();
        talk.drain();
        let lines = talk.packets.iter().flat_map(|packet| talk.transcript.packet(packet));
        lines.filter(|line| line.ends_with("error=420 FLOOD_WAIT_1")).count()
    };
    assert_eq!(flood(&mut talk, 4, &noise(HELD_BYTES_MAX / 4)), 1);
    assert_eq!(flood(&mut talk, HELD_MAX - 3, &query(2)), 0);
    assert_eq!(flood(&mut talk, 1, &query(2)), 1);
    let reply = RpcReply::Err(RpcError::new(400, "METHOD_INVALID"));
    talk.session.answer(first, reply, talk.now);
    assert_eq!(talk.session.running_requests(), 0);
    assert_eq!(talk.requests, [first]);
}
