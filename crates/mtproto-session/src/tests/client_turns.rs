//! A client session over HTTP: one packet is always open.

use std::time::Duration;

use expect_test::{Expect, expect};
use mtproto_tl::types;

use super::client_talk::{LINK, Talk};
use super::{SECOND, http_wait, noise, noon, ping, query, start};
use crate::client::{
    CLIENT_TURNS_MAX, POLL_DELAY_MAX, POLL_INTERVAL_MIN, POLL_WAIT, SALTS_ASK_INTERVAL,
};
use crate::{LinkId, RequestOptions, Salts, ServerClock};

const MS: Duration = Duration::from_millis(1);

/// Runs a script with a client over a link that takes turns, from when its ping is answered on.
fn check(script: impl FnOnce(&mut Talk), expected: &Expect) {
    let mut talk = begin(20 * MS);
    script(&mut talk);
    talk.drain();
    expected.assert_eq(&talk.text);
}

/// A client whose ping took so long, with a long poll open.
fn begin(round_trip: Duration) -> Talk {
    begin_with(Talk::new(), round_trip)
}

fn begin_with(mut talk: Talk, round_trip: Duration) -> Talk {
    talk.attach_turns(LINK);
    talk.wait(round_trip);
    pong(&mut talk);
    talk.hush();
    talk
}

fn pong(talk: &mut Talk) {
    let msg_id = talk.id("c1");
    talk.receive(0, &types::Pong { msg_id, ping_id: 1 });
}

/// The server says that it has nothing to say.
fn nothing(talk: &mut Talk) {
    talk.receive_all(&[]);
}

/// How many packets have left.
fn count(talk: &Talk) -> usize {
    talk.packets.len()
}

// req: S28, S56
#[test]
fn a_client_measures_the_way_and_then_keeps_a_long_poll_open() {
    let mut talk = Talk::new();
    talk.attach_turns(LINK);
    talk.wait(20 * MS);
    pong(&mut talk);
    talk.wait(POLL_WAIT);
    nothing(&mut talk);
    talk.wait(SECOND);
    expect![[r#"
        0ms      + link open, in turns
        0ms      > ping c1 seqno=0 ping_id=1 salt=A
        20ms     < pong s1 seqno=0 to=c1 ping_id=1
        20ms     ! Pong { ping: PingId(1), link: LinkId(1), round_trip: 20ms }
        20ms     > http_wait c2 seqno=0 30 10 25000 salt=A
        25020ms  < msg_container s2 seqno=0
        25020ms  > http_wait c3 seqno=0 30 10 25000 salt=A
    "#]]
    .assert_eq(&talk.text);
}

// req: S56, S87, S88, S95
#[test]
fn a_query_is_open_beside_the_long_poll_and_what_follows_acknowledges() {
    check(
        |talk| {
            talk.request(&query(1));
            talk.answer("c3", &query(1));
            talk.wait(SECOND);
            talk.receive(3, &query(9));
            talk.wait(12 * SECOND);
        },
        &expect![[r#"
            20ms     > 11111111 c3 seqno=1 bytes=8 salt=A
            20ms     < rpc_result s2 seqno=1 to=c3 11111111 bytes=8
            20ms     ! answer 1 8 bytes
            1020ms   < 11111111 s3 seqno=3 bytes=8
            1020ms   ! push 8 bytes
            1020ms   > msg_container c6 seqno=2 salt=A
            1020ms   >   http_wait c4 seqno=2 30 10 25000
            1020ms   >   msgs_ack c5 seqno=2 s2 s3
        "#]],
    );
}

// The answer may come in answer to the long poll; then the query's own packet is the one that is
// open.
// req: S91
#[test]
fn one_packet_is_always_open_whichever_it_is() {
    check(
        |talk| {
            talk.request(&query(1));
            talk.answer("c3", &query(1));
            talk.wait(SECOND);
            talk.hush();
            nothing(talk);
        },
        &expect![[r#"
            1020ms   < msg_container s3 seqno=0
            1020ms   > msg_container c6 seqno=2 salt=A
            1020ms   >   http_wait c4 seqno=2 30 10 25000
            1020ms   >   msgs_ack c5 seqno=2 s2
        "#]],
    );
}

// req: S64
#[test]
fn the_server_gathers_longer_the_longer_the_way_is() {
    for (round_trip, wait) in [
        (MS, http_wait(30, 10, 25_000)),
        (30 * MS, http_wait(30, 10, 25_000)),
        (300 * MS, http_wait(300, 100, 25_000)),
        (900 * MS, http_wait(900, 300, 25_000)),
        (POLL_DELAY_MAX, http_wait(1000, 333, 25_000)),
        (5 * POLL_DELAY_MAX, http_wait(1000, 333, 25_000)),
    ] {
        let talk = begin(round_trip);
        let poll = talk.packets.last().expect("a long poll");
        assert_eq!(poll.message.body(), mtproto_tl::Encode::to_bytes(&wait), "{round_trip:?}");
    }
}

// req: S56
#[test]
fn what_asks_nothing_is_answered_at_once() {
    check(
        |talk| {
            talk.request(&query(1));
            talk.answer("c3", &query(1));
            talk.wait(11 * SECOND);
            talk.receive(2, &ping(5));
        },
        &expect![[r#"
            20ms     > 11111111 c3 seqno=1 bytes=8 salt=A
            20ms     < rpc_result s2 seqno=1 to=c3 11111111 bytes=8
            20ms     ! answer 1 8 bytes
            10020ms  > msg_container c6 seqno=2 salt=A
            10020ms  >   http_wait c4 seqno=2 0 0 0
            10020ms  >   msgs_ack c5 seqno=2 s2
            11020ms  < ping s3 seqno=2 ping_id=5
            11020ms  > msg_container c9 seqno=2 salt=A
            11020ms  >   pong c7 seqno=2 to=s3 ping_id=5
            11020ms  >   http_wait c8 seqno=2 0 0 0
        "#]],
    );
}

// Beside the long poll.
#[test]
fn there_is_room_for_another_query_while_many_take_long() {
    check(
        |talk| {
            for number in 0..CLIENT_TURNS_MAX as u32 {
                talk.request(&query(number));
            }
            talk.note('!', LINK, "the last is answered");
            nothing(talk);
            talk.note('!', LINK, "and so is every further one");
            nothing(talk);
        },
        &expect![[r#"
            20ms     > 11111111 c3 seqno=1 bytes=8 salt=A
            20ms     > 11111111 c4 seqno=3 bytes=8 salt=A
            20ms     > 11111111 c5 seqno=5 bytes=8 salt=A
            20ms     > msg_container c8 seqno=8 salt=A
            20ms     >   11111111 c6 seqno=7 bytes=8
            20ms     >   http_wait c7 seqno=8 0 0 0
            20ms     ! the last is answered
            20ms     < msg_container s2 seqno=0
            20ms     > msg_container c11 seqno=10 salt=A
            20ms     >   11111111 c9 seqno=9 bytes=8
            20ms     >   http_wait c10 seqno=10 0 0 0
            20ms     ! and so is every further one
            20ms     < msg_container s3 seqno=0
        "#]],
    );
}

#[test]
fn what_is_due_while_there_is_no_room_waits() {
    // One that never gets the salts that it asks for.
    let talk = Talk::with(Salts::default(), ServerClock::new(start(), noon()));
    let mut talk = begin_with(talk, 20 * MS);
    for number in 0..CLIENT_TURNS_MAX as u32 - 1 {
        talk.request(&query(number));
    }
    // So long that nothing goes with it.
    talk.request(&noise(40_000));
    let before = count(&talk);
    // Acknowledgements, salts, a ping and questions about what is not answered.
    talk.receive(1, &query(9));
    talk.session.ping(talk.now);
    let full = count(&talk);
    assert_eq!(full, before + 1, "one came, one left");
    talk.wait(2 * SALTS_ASK_INTERVAL);
    assert_eq!(count(&talk), full);
    nothing(&mut talk);
    assert_eq!(count(&talk), full + 1);
}

// A server may be about to stop, or be none of ours.
#[test]
fn a_server_that_answers_with_nothing_at_once_is_not_asked_without_a_pause() {
    let mut talk = begin(20 * MS);
    let (first, before) = (talk.now, count(&talk));
    for _ in 0..10 {
        nothing(&mut talk);
        talk.wait(POLL_INTERVAL_MIN);
    }
    assert_eq!(count(&talk) - before, 10);
    assert!(talk.now >= first + 10 * POLL_INTERVAL_MIN);
    talk.session.turn_ended(LINK, talk.now);
    talk.wait(POLL_INTERVAL_MIN);
    assert_eq!(count(&talk) - before, 11, "an item without a byte is one, too");
}

// req: S29
#[test]
fn no_server_is_asked_to_close_a_link_that_takes_turns() {
    check(
        |talk| {
            for _ in 0..2 {
                talk.wait(POLL_WAIT);
                nothing(talk);
            }
            for last in talk.session.last_words(true, talk.now) {
                talk.send(last);
            }
        },
        &expect![[r#"
            25020ms  < msg_container s2 seqno=0
            25020ms  > http_wait c3 seqno=0 30 10 25000 salt=A
            50020ms  < msg_container s3 seqno=0
            50020ms  > http_wait c4 seqno=0 30 10 25000 salt=A
        "#]],
    );
}

// req: S95
#[test]
fn the_last_words_are_answered_at_once() {
    check(
        |talk| {
            talk.receive(1, &query(9));
            talk.hush();
            talk.receive(3, &query(10));
            talk.request(&query(1));
            talk.receive(5, &query(11));
            for last in talk.session.last_words(false, talk.now) {
                talk.send(last);
            }
        },
        &expect![[r#"
            20ms     < 11111111 s3 seqno=3 bytes=8
            20ms     ! push 8 bytes
            20ms     > msg_container c8 seqno=0 salt=A
            20ms     >   http_wait c6 seqno=0 30 10 25000
            20ms     >   msgs_ack c7 seqno=0 s3
            20ms     > 11111111 c9 seqno=1 bytes=8 salt=A
            20ms     < 11111111 s4 seqno=5 bytes=8
            20ms     ! push 8 bytes
            20ms     > msg_container c12 seqno=2 salt=A
            20ms     >   http_wait c10 seqno=2 0 0 0
            20ms     >   msgs_ack c11 seqno=2 s4
        "#]],
    );
}

// req: S5, S118
#[test]
fn a_link_that_is_lost_takes_its_packets_with_it() {
    check(
        |talk| {
            talk.request(&query(1));
            talk.detach(LINK);
            talk.wait(SECOND);
            talk.attach_turns(LinkId(2));
            talk.wait(SECOND);
        },
        &expect![[r#"
            20ms     > 11111111 c3 seqno=1 bytes=8 salt=A
            20ms     - link lost
            1020ms   + [2] link open, in turns
            1020ms   > [2] msg_container c4 seqno=2 salt=A
            1020ms   > [2]   11111111 c3 seqno=1 bytes=8
            1020ms   > [2] ping c5 seqno=2 ping_id=2 salt=A
        "#]],
    );
}

// req: S115
#[test]
fn no_quick_acknowledgement_is_asked_for() {
    let mut talk = begin(20 * MS);
    talk.request_with(&query(1), RequestOptions { quick_ack: true });
    assert!(talk.packets.last().is_some_and(|packet| !packet.quick_ack));
}
