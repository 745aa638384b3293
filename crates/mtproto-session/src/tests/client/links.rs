//! A client session's links when they are doubted, and when it leaves them.

use std::time::Duration;

use expect_test::expect;
use mtproto_tl::types;

use crate::LinkId;
use crate::tests::client_talk::{LINK, check};
use crate::tests::query;

const SECOND: Duration = Duration::from_secs(1);

// req: S118
#[test]
fn a_doubtful_link_is_pinged_at_once_and_has_little_time() {
    check(
        |talk| {
            talk.attach(LinkId(2));
            talk.wait(SECOND);
            talk.session.probe_links(5 * SECOND, talk.now);
            talk.drain();
            // The first link answers, the second is dead.
            let pong = types::Pong { msg_id: talk.id("c3"), ping_id: 3 };
            talk.receive(0, &pong);
            talk.wait(10 * SECOND);
        },
        &expect![[r#"
            0ms      + [2] link open
            0ms      > [2] ping_delay_disconnect c2 seqno=0 ping_id=2 delay=75 salt=A
            1000ms   > [2] ping_delay_disconnect c3 seqno=0 ping_id=3 delay=75 salt=A
            1000ms   > ping_delay_disconnect c4 seqno=0 ping_id=4 delay=75 salt=A
            1000ms   < pong s1 seqno=0 to=c3 ping_id=3
            1000ms   ! Pong { ping: PingId(3), link: LinkId(2), round_trip: 0ns }
            6000ms   ! close PongTimeout
        "#]],
    );
}

// req: S30
#[test]
fn every_link_is_kept_alive() {
    check(
        |talk| {
            talk.attach(LinkId(2));
            for (label, ping_id) in [("c1", 1), ("c2", 2)] {
                let pong = types::Pong { msg_id: talk.id(label), ping_id };
                talk.receive(0, &pong);
            }
            talk.hush();
            talk.wait(61 * SECOND);
        },
        &expect![[r#"
            60000ms  > [2] ping_delay_disconnect c3 seqno=0 ping_id=3 delay=75 salt=A
            60000ms  > ping_delay_disconnect c4 seqno=0 ping_id=4 delay=75 salt=A
        "#]],
    );
}

// req: S95
#[test]
fn what_is_owed_is_acknowledged_before_links_close() {
    check(
        |talk| {
            talk.attach(LinkId(2));
            talk.receive(1, &query(1));
            talk.receive(1, &query(2));
            let packets = talk.session.last_words(false, talk.now);
            packets.into_iter().for_each(|packet| talk.send(packet));
            let packets = talk.session.last_words(false, talk.now);
            assert_eq!(packets, []);
        },
        &expect![[r#"
            0ms      + [2] link open
            0ms      > [2] ping_delay_disconnect c2 seqno=0 ping_id=2 delay=75 salt=A
            0ms      < 11111111 s1 seqno=1 bytes=8
            0ms      ! push 8 bytes
            0ms      < 11111111 s2 seqno=1 bytes=8
            0ms      ! push 8 bytes
            0ms      > [2] msgs_ack c3 seqno=0 s1 s2 salt=A
        "#]],
    );
}

// req: S29
#[test]
fn links_that_stay_are_rid_of_the_end_that_the_session_asked_for() {
    check(
        |talk| {
            talk.attach(LinkId(2));
            let pong = types::Pong { msg_id: talk.id("c2"), ping_id: 2 };
            talk.receive(0, &pong);
            talk.receive(1, &query(1));
            let packets = talk.session.last_words(true, talk.now);
            packets.into_iter().for_each(|packet| talk.send(packet));
            // No pong is waited for.
            talk.detach(LINK);
            talk.wait(59 * SECOND);
        },
        &expect![[r#"
            0ms      + [2] link open
            0ms      > [2] ping_delay_disconnect c2 seqno=0 ping_id=2 delay=75 salt=A
            0ms      < pong s1 seqno=0 to=c2 ping_id=2
            0ms      ! Pong { ping: PingId(2), link: LinkId(2), round_trip: 0ns }
            0ms      < 11111111 s2 seqno=1 bytes=8
            0ms      ! push 8 bytes
            0ms      > ping_delay_disconnect c3 seqno=0 ping_id=3 delay=604800 salt=A
            0ms      > [2] msg_container c6 seqno=0 salt=A
            0ms      > [2]   ping_delay_disconnect c4 seqno=0 ping_id=4 delay=604800
            0ms      > [2]   msgs_ack c5 seqno=0 s2
            0ms      - link lost
        "#]],
    );
}
