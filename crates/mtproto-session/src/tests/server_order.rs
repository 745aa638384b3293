//! `invokeAfterMsg(s)`: in which order queries reach the application.

use mtproto_pack::RpcError;
use mtproto_tl::functions::{InvokeAfterMsg, InvokeAfterMsgs};
use mtproto_tl::{MsgId, Raw};

use super::server_talk::{LINK, SALT, Talk, check};
use super::{noise, query};
use crate::server::{HELD_BYTES_MAX, HELD_MAX};
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

#[test]
fn queries_that_wait_are_bounded() {
    let mut talk = Talk::new(Strictness::Lenient);
    let first = talk.send(1, &query(1));
    let flood = |talk: &mut Talk, count: usize, object: &Raw| {
        for _ in 0..count {
            let message = talk.message(3, &after(first, object.clone()));
            talk.session.handle_message(LINK, SALT, message, talk.now).expect("no fault");
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
