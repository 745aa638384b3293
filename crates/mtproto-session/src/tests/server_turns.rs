//! A server session over HTTP: packets that wait for their answer.

use std::time::Duration;

use expect_test::expect;
use mtproto_tl::MsgId;

use super::server_talk::{LINK, SALT, Talk, check, check_strict};
use super::{SECOND, acks, http_wait, ping, query};
use crate::LinkId;

/// Where long polls go.
pub(super) const POLL: LinkId = LINK;

/// Where the rest goes.
pub(super) const CALL: LinkId = LinkId(2);

/// A link that takes no turns.
pub(super) const TCP: LinkId = LinkId(5);

const MS: Duration = Duration::from_millis(1);

/// A session that is known, with nothing in its queue, and no packet that waits.
pub(super) fn begin(talk: &mut Talk) {
    let hello = talk.message(0, &ping(1));
    talk.turn(POLL, hello);
    settle(talk);
}

/// The client acknowledges all that was sent so far, in a packet that is answered at once.
fn settle(talk: &mut Talk) {
    let ids = (0..).map_while(|n| talk.transcript.label(&format!("s{}", n + 1)));
    let acks = talk.message(0, &acks(&ids.collect::<Vec<_>>()));
    let wait = talk.message(0, &http_wait(0, 0, 0));
    let packet = talk.container(0, &[acks, wait]);
    talk.turn(POLL, packet);
    talk.hush();
}

/// A long poll, with a `http_wait` of these times.
pub(super) fn poll(talk: &mut Talk, times: (i32, i32, i32)) -> MsgId {
    let wait = talk.message(0, &http_wait(times.0, times.1, times.2));
    talk.turn(POLL, wait)
}

/// A query in a packet of its own.
pub(super) fn call(talk: &mut Talk, seqno: u32, number: u32) -> MsgId {
    let message = talk.message(seqno, &query(number));
    talk.turn(CALL, message)
}

// req: S59, S61, S90, S93
#[test]
fn a_long_poll_ends_with_nothing_when_nothing_comes() {
    check(
        |talk| {
            begin(talk);
            poll(talk, (100, 30, 25_000));
            talk.wait(30 * SECOND);
        },
        &expect![[r#"
            0ms      > http_wait c5 seqno=0 100 30 25000
            25000ms  < msg_container s5 seqno=2
        "#]],
    );
}

// req: S57, S58, S60, S88, S91
#[test]
fn pushes_end_a_long_poll_when_its_times_say() {
    check(
        |talk| {
            begin(talk);
            poll(talk, (100, 30, 25_000));
            talk.wait(SECOND);
            for number in 0..6 {
                talk.push(&query(number));
                talk.wait(21 * MS);
            }
            talk.wait(SECOND);
        },
        &expect![[r#"
            0ms      > http_wait c5 seqno=0 100 30 25000
            1100ms   < msg_container s10 seqno=12
            1100ms   <   11111111 s5 seqno=3 bytes=8
            1100ms   <   11111111 s6 seqno=5 bytes=8
            1100ms   <   11111111 s7 seqno=7 bytes=8
            1100ms   <   11111111 s8 seqno=9 bytes=8
            1100ms   <   11111111 s9 seqno=11 bytes=8
        "#]],
    );
}

// req: S89, S93, S94
#[test]
fn what_waits_in_the_queue_is_said_at_once() {
    check(
        |talk| {
            begin(talk);
            talk.push(&query(1));
            talk.push(&query(2));
            talk.wait(SECOND);
            poll(talk, (100, 30, 25_000));
            talk.wait(SECOND);
        },
        &expect![[r#"
            1000ms   > http_wait c5 seqno=0 100 30 25000
            1000ms   < msg_container s7 seqno=6
            1000ms   <   11111111 s5 seqno=3 bytes=8
            1000ms   <   11111111 s6 seqno=5 bytes=8
        "#]],
    );
}

// req: S65, S85, S87, S88
#[test]
fn an_answer_goes_to_the_packet_that_asked_and_a_push_to_the_long_poll() {
    check(
        |talk| {
            begin(talk);
            poll(talk, (0, 0, 25_000));
            let [first, second] = [call(talk, 1, 1), call(talk, 3, 2)];
            talk.wait(SECOND);
            talk.push(&query(9));
            talk.wait(SECOND);
            talk.ok(second, &[0; 4]);
            talk.wait(SECOND);
            talk.ok(first, &[0; 4]);
            poll(talk, (0, 0, 25_000));
        },
        &expect![[r#"
            0ms      > http_wait c5 seqno=0 0 0 25000
            0ms      > [2] 11111111 c6 seqno=1 bytes=8
            0ms      ! [2] request c6
            0ms      > [2] 11111111 c7 seqno=3 bytes=8
            0ms      ! [2] request c7
            1000ms   < msg_container s7 seqno=4
            1000ms   <   11111111 s5 seqno=3 bytes=8
            1000ms   <   msgs_ack s6 seqno=4 c6 c7
            2000ms   < [2] rpc_result s8 seqno=5 to=c7 00000000 bytes=4
            3000ms   > http_wait c8 seqno=0 0 0 25000
            3000ms   < rpc_result s9 seqno=7 to=c6 00000000 bytes=4
        "#]],
    );
}

// req: S63, S87, S90
#[test]
fn a_query_without_http_wait_waits_for_its_answer_and_not_for_ever() {
    check(
        |talk| {
            begin(talk);
            let request = call(talk, 1, 1);
            talk.wait(30 * SECOND);
            talk.ok(request, &[0; 4]);
            talk.wait(SECOND);
            poll(talk, (0, 0, 25_000));
        },
        &expect![[r#"
            0ms      > [2] 11111111 c5 seqno=1 bytes=8
            0ms      ! [2] request c5
            25000ms  < [2] msgs_ack s5 seqno=2 c5
            31000ms  > http_wait c6 seqno=0 0 0 25000
            31000ms  < rpc_result s6 seqno=3 to=c5 00000000 bytes=4
        "#]],
    );
}

// Telethon sends further packets over the same connection before that is answered.
// req: L30, S87
#[test]
fn an_acknowledgement_alone_waits_for_nothing() {
    check(
        |talk| {
            begin(talk);
            let acks = talk.message(0, &acks(&[]));
            talk.turn(CALL, acks);
            let empty = talk.container(0, &[]);
            talk.turn(CALL, empty);
        },
        &expect![[r#"
            0ms      > [2] msgs_ack c5 seqno=0
            0ms      < [2] msg_container s5 seqno=2
            0ms      > [2] msg_container c6 seqno=0
            0ms      < [2] msg_container s6 seqno=2
        "#]],
    );
}

// req: S91, S92
#[test]
fn pushes_wait_a_little_for_company_where_nothing_governs() {
    check(
        |talk| {
            begin(talk);
            call(talk, 1, 1);
            talk.wait(SECOND);
            talk.push(&query(7));
            talk.wait(30 * MS);
            talk.push(&query(8));
            talk.wait(SECOND);
            let request = call(talk, 3, 2);
            talk.push(&query(9));
            talk.ok(request, &[0; 4]);
        },
        &expect![[r#"
            0ms      > [2] 11111111 c5 seqno=1 bytes=8
            0ms      ! [2] request c5
            1050ms   < [2] msg_container s8 seqno=6
            1050ms   < [2]   11111111 s5 seqno=3 bytes=8
            1050ms   < [2]   11111111 s6 seqno=5 bytes=8
            1050ms   < [2]   msgs_ack s7 seqno=6 c5
            2030ms   > [2] 11111111 c6 seqno=3 bytes=8
            2030ms   ! [2] request c6
            2030ms   < [2] msg_container s11 seqno=10
            2030ms   < [2]   rpc_result s9 seqno=9 to=c6 00000000 bytes=4
            2030ms   < [2]   11111111 s10 seqno=7 bytes=8
        "#]],
    );
}

// req: S62
#[test]
fn the_last_http_wait_of_a_packet_governs() {
    check(
        |talk| {
            begin(talk);
            let long = talk.message(0, &http_wait(0, 0, 25_000));
            let short = talk.message(0, &http_wait(0, 0, 1000));
            let packet = talk.container(0, &[long, short]);
            talk.turn(POLL, packet);
            talk.wait(2 * SECOND);
        },
        &expect![[r#"
            0ms      > msg_container c7 seqno=0
            0ms      >   http_wait c5 seqno=0 0 0 25000
            0ms      >   http_wait c6 seqno=0 0 0 1000
            1000ms   < msg_container s5 seqno=2
        "#]],
    );
}

// req: S56
#[test]
fn a_strict_server_takes_http_wait_over_http_alone() {
    check_strict(
        |talk| {
            poll(talk, (0, 0, 0));
            let wait = talk.message(0, &http_wait(0, 0, 0));
            talk.give(TCP, SALT, wait);
        },
        &expect![[r#"
            0ms      > http_wait c1 seqno=0 0 0 0
            0ms      < new_session_created s1 seqno=1 first=c1 salt=A
            0ms      > [5] http_wait c2 seqno=0 0 0 0
            0ms      < [5] bad_msg_notification s2 seqno=2 to=c2 code=64
        "#]],
    );
}

// A lenient one does not mind, and does not wait either.
// req: S56
#[test]
fn a_lenient_server_ignores_http_wait_where_there_is_no_http() {
    check(
        |talk| {
            let [ping, wait] = [talk.message(0, &ping(1)), talk.message(0, &http_wait(0, 0, 9000))];
            let packet = talk.container(0, &[ping, wait]);
            talk.send_message(packet);
        },
        &expect![[r#"
            0ms      > msg_container c3 seqno=0
            0ms      >   ping c1 seqno=0 ping_id=1
            0ms      >   http_wait c2 seqno=0 0 0 9000
            0ms      < msg_container s3 seqno=2
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   pong s2 seqno=2 to=c1 ping_id=1
        "#]],
    );
}
