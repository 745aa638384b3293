//! A server session over HTTP: what becomes of the packets that wait when links come, go and repeat
//! themselves, and where it ends.

use expect_test::expect;
use mtproto_pack::{Message, MessageView};
use mtproto_tl::{Salt, SessionId, functions};

use super::server_talk::{LINK, SALT, Talk, check};
use super::server_turns::{CALL, POLL, TCP, begin, call, poll};
use super::{SECOND, http_wait, noise, ping, query};
use crate::server::{LINKS_MAX, TURN_SENDS_MAX, TURNS_MAX};
use crate::{Control, Fault, KeyDestroyed, LinkId, Strictness, UNGOVERNED_WAIT};

// req: S5, S93, S94
#[test]
fn a_session_moves_between_tcp_and_http_and_gets_its_queue() {
    check(
        |talk| {
            begin(talk);
            talk.push(&query(1));
            talk.note('!', TCP, "on to TCP");
            let hello = talk.message(0, &ping(2));
            talk.give(TCP, SALT, hello);
            talk.push(&query(2));
            talk.note('!', POLL, "back to HTTP");
            poll(talk, (0, 0, 25_000));
            talk.push(&query(3));
            talk.push(&query(4));
            talk.note('!', TCP, "back to the TCP connection, which is still there");
            let hello = talk.message(0, &ping(3));
            talk.give(TCP, SALT, hello);
            talk.push(&query(5));
            talk.note('!', POLL, "HTTP again, and the TCP connection breaks");
            poll(talk, (0, 0, 25_000));
            talk.detach(TCP);
            talk.push(&query(6));
        },
        &expect![[r#"
            0ms      ! [5] on to TCP
            0ms      > [5] ping c5 seqno=0 ping_id=2
            0ms      < [5] msg_container s7 seqno=4
            0ms      < [5]   11111111 s5 seqno=3 bytes=8
            0ms      < [5]   pong s6 seqno=4 to=c5 ping_id=2
            0ms      < [5] 11111111 s8 seqno=5 bytes=8
            0ms      ! back to HTTP
            0ms      > http_wait c6 seqno=0 0 0 25000
            0ms      < 11111111 s9 seqno=7 bytes=8
            0ms      ! [5] back to the TCP connection, which is still there
            0ms      > [5] ping c7 seqno=0 ping_id=3
            0ms      < [5] msg_container s12 seqno=10
            0ms      < [5]   11111111 s10 seqno=9 bytes=8
            0ms      < [5]   pong s11 seqno=10 to=c7 ping_id=3
            0ms      < [5] 11111111 s13 seqno=11 bytes=8
            0ms      ! HTTP again, and the TCP connection breaks
            0ms      > http_wait c8 seqno=0 0 0 25000
            0ms      - [5] link lost
            0ms      < msg_container s14 seqno=12
            0ms      <   11111111 s5 seqno=3 bytes=8
            0ms      <   11111111 s8 seqno=5 bytes=8
            0ms      <   11111111 s10 seqno=9 bytes=8
            0ms      <   11111111 s13 seqno=11 bytes=8
        "#]],
    );
}

// Some clients acknowledge late, and proxies open a connection for every packet.
// req: S5, S96
#[test]
fn a_client_that_does_not_acknowledge_is_not_answered_without_a_pause() {
    let mut talk = Talk::new(Strictness::Lenient);
    begin(&mut talk);
    talk.push(&query(1));
    let is_in = |packet: &Message| packet.body.windows(8).any(|part| part == &query(1).0[..]);
    for number in 10..10 + u64::from(TURN_SENDS_MAX) + 3 {
        let (link, before) = (LinkId(number), talk.now);
        let wait = talk.message(0, &http_wait(0, 0, 25_000));
        talk.turn(link, wait);
        let held = number >= 10 + u64::from(TURN_SENDS_MAX);
        if held {
            talk.wait(UNGOVERNED_WAIT);
        }
        assert!(talk.packets.last().is_some_and(is_in), "it goes along, at the latest");
        assert_eq!(talk.now > before, held, "packet {number}");
        talk.detach(link);
    }
}

// req: S5
#[test]
fn what_waited_for_a_link_that_is_lost_goes_to_the_next_packet() {
    check(
        |talk| {
            begin(talk);
            poll(talk, (5000, 5000, 25_000));
            let request = call(talk, 1, 1);
            talk.push(&query(9));
            talk.detach(POLL);
            talk.detach(CALL);
            talk.ok(request, &[0; 4]);
            talk.wait(SECOND);
            poll(talk, (0, 0, 25_000));
        },
        &expect![[r#"
            0ms      > http_wait c5 seqno=0 5000 5000 25000
            0ms      > [2] 11111111 c6 seqno=1 bytes=8
            0ms      ! [2] request c6
            0ms      - link lost
            0ms      - [2] link lost
            1000ms   > http_wait c7 seqno=0 0 0 25000
            1000ms   < msg_container s7 seqno=6
            1000ms   <   11111111 s5 seqno=3 bytes=8
            1000ms   <   rpc_result s6 seqno=5 to=c6 00000000 bytes=4
        "#]],
    );
}

// Whoever recorded a packet can send it again, and gets none of what is for the client.
// req: S85, S97
#[test]
fn a_recorded_packet_is_answered_with_nothing() {
    check(
        |talk| {
            begin(talk);
            let wait = talk.message(0, &http_wait(5000, 5000, 25_000));
            talk.turn(POLL, wait.clone());
            talk.push(&query(9));
            talk.turn(LinkId(66), wait);
            talk.wait(6 * SECOND);
        },
        &expect![[r#"
            0ms      > http_wait c5 seqno=0 5000 5000 25000
            0ms      > [66] http_wait c5 seqno=0 5000 5000 25000
            0ms      < [66] msg_container s5 seqno=4
            5000ms   < 11111111 s6 seqno=3 bytes=8
        "#]],
    );
}

#[test]
fn a_refusal_does_not_wait() {
    check(
        |talk| {
            begin(talk);
            let wait = talk.message(0, &http_wait(5000, 5000, 25_000));
            for line in talk.transcript.packet(&wait) {
                talk.note('>', POLL, &line);
            }
            talk.session
                .handle_turn(POLL, Salt(1), MessageView::of(&wait), talk.now)
                .expect("no fault");
        },
        &expect![[r#"
            0ms      > http_wait c5 seqno=0 5000 5000 25000
            0ms      < bad_server_salt s5 seqno=2 to=c5 code=48 new=A
        "#]],
    );
}

// req: S90
#[test]
fn a_server_that_is_about_to_stop_lets_go_of_what_it_holds() {
    check(
        |talk| {
            begin(talk);
            poll(talk, (0, 0, 25_000));
            let request = call(talk, 1, 1);
            talk.wait(SECOND);
            talk.session.release_turns(talk.now);
            talk.wait(SECOND);
            talk.ok(request, &[0; 4]);
            talk.note('!', LINK, "and when the session is forgotten");
            poll(talk, (0, 0, 25_000));
            call(talk, 3, 2);
            for last in talk.session.end_turns(talk.now) {
                for line in talk.transcript.packet(&last.message.to_message()) {
                    talk.note('<', last.link, &line);
                }
            }
        },
        &expect![[r#"
            0ms      > http_wait c5 seqno=0 0 0 25000
            0ms      > [2] 11111111 c6 seqno=1 bytes=8
            0ms      ! [2] request c6
            1000ms   < msgs_ack s5 seqno=2 c6
            2000ms   < [2] rpc_result s6 seqno=3 to=c6 00000000 bytes=4
            2000ms   ! and when the session is forgotten
            2000ms   > http_wait c7 seqno=0 0 0 25000
            2000ms   > [2] 11111111 c8 seqno=3 bytes=8
            2000ms   ! [2] request c8
            2000ms   < msgs_ack s7 seqno=4 c8
            2000ms   < [2] msg_container s8 seqno=4
        "#]],
    );
}

// The links close as soon as the key is gone.
// req: S66
#[test]
fn a_destroyed_key_is_no_reason_to_wait() {
    check(
        |talk| {
            begin(talk);
            poll(talk, (0, 0, 25_000));
            let destroy = talk.message(1, &functions::DestroyAuthKey);
            let wait = talk.message(2, &http_wait(5000, 5000, 25_000));
            let packet = talk.container(2, &[destroy, wait]);
            talk.turn(CALL, packet);
            talk.wait(SECOND);
            let Some(Control::DestroyAuthKey(ticket)) = talk.controls.pop() else { panic!() };
            talk.session.auth_key_destroyed(ticket, KeyDestroyed::Ok, talk.now);
        },
        &expect![[r#"
            0ms      > http_wait c5 seqno=0 0 0 25000
            0ms      > [2] msg_container c8 seqno=2
            0ms      > [2]   destroy_auth_key c6 seqno=1
            0ms      > [2]   http_wait c7 seqno=2 5000 5000 25000
            0ms      ! destroy_auth_key
            1000ms   < msg_container s5 seqno=2
            1000ms   < [2] destroy_auth_key_ok s6 seqno=2
        "#]],
    );
}

// req: S88, S93
#[test]
fn what_does_not_fit_waits_for_the_next_packet() {
    check(
        |talk| {
            begin(talk);
            let request = call(talk, 1, 1);
            talk.push(&noise(20_000));
            talk.push(&noise(20_004));
            talk.ok(request, &noise(5000).0);
            poll(talk, (5000, 5000, 25_000));
        },
        &expect![[r#"
            0ms      > [2] 11111111 c5 seqno=1 bytes=8
            0ms      ! [2] request c5
            0ms      < [2] msg_container s7 seqno=8
            0ms      < [2]   rpc_result s5 seqno=7 to=c5 00042021 bytes=5000
            0ms      < [2]   00042021 s6 seqno=3 bytes=20000
            0ms      > http_wait c6 seqno=0 5000 5000 25000
            0ms      < 00042021 s8 seqno=5 bytes=20004
        "#]],
    );
}

// The answer comes when the packet that asked has been answered long since.
// req: S31, S91
#[test]
fn a_late_reply_goes_to_another_packet() {
    check(
        |talk| {
            begin(talk);
            let session_id = SessionId(5);
            let destroy = talk.message(1, &functions::DestroySession { session_id });
            let wait = talk.message(2, &http_wait(0, 0, 0));
            let packet = talk.container(2, &[destroy, wait]);
            talk.turn(CALL, packet);
            poll(talk, (0, 0, 25_000));
            let Some(Control::DestroySession { ticket, .. }) = talk.controls.pop() else {
                panic!()
            };
            talk.session.session_destroyed(ticket, session_id, true, talk.now);
        },
        &expect![[r#"
            0ms      > [2] msg_container c7 seqno=2
            0ms      > [2]   destroy_session c5 seqno=1 0500000000000000
            0ms      > [2]   http_wait c6 seqno=2 0 0 0
            0ms      ! destroy_session 0500000000000000
            0ms      < [2] msg_container s5 seqno=2
            0ms      > http_wait c8 seqno=0 0 0 25000
            0ms      < destroy_session_ok s6 seqno=2 0500000000000000
        "#]],
    );
}

// req: S85
#[test]
fn a_link_too_many_is_answered_and_one_packet_too_many_refused() {
    let mut talk = Talk::new(Strictness::Lenient);
    begin(&mut talk);
    talk.packets.clear();
    let links = 100..100 + LINKS_MAX as u64;
    for link in links.clone() {
        let wait = talk.message(0, &http_wait(0, 0, 25_000));
        talk.turn(LinkId(link), wait);
    }
    assert_eq!(talk.packets.len(), 0, "all of them wait");
    let wait = talk.message(0, &http_wait(0, 0, 25_000));
    talk.turn(LinkId(99), wait);
    assert_eq!(talk.packets.len(), 1, "the oldest does not any more");

    for number in 0..=TURNS_MAX as u64 {
        let ping = talk.message(0, &ping(7));
        let taken =
            talk.session.handle_turn(LinkId(1000 + number), SALT, MessageView::of(&ping), talk.now);
        let waiting = LINKS_MAX as u64 + number;
        let expected = if waiting < TURNS_MAX as u64 { None } else { Some(Fault::TooManyTurns) };
        assert_eq!(taken.err(), expected, "packet {number}");
    }
}

// A message that the client asks for again is no company, it is what is waited for.
// req: S19, S97
#[test]
fn a_repeated_query_gets_its_answer_again() {
    check(
        |talk| {
            begin(talk);
            let message = talk.message(1, &query(1));
            talk.turn(CALL, message.clone());
            talk.ok(message.id, &[0; 4]);
            let again = talk.container(2, &[message]);
            talk.turn(CALL, again);
            let long = talk.message(3, &query(2));
            talk.turn(CALL, long.clone());
            talk.ok(long.id, &noise(5000).0);
            let again = talk.container(4, &[long]);
            talk.turn(CALL, again);
        },
        &expect![[r#"
            0ms      > [2] 11111111 c5 seqno=1 bytes=8
            0ms      ! [2] request c5
            0ms      < [2] rpc_result s5 seqno=3 to=c5 00000000 bytes=4
            0ms      > [2] msg_container c6 seqno=2
            0ms      > [2]   11111111 c5 seqno=1 bytes=8
            0ms      < [2] msg_container s6 seqno=4
            0ms      < [2]   rpc_result s5 seqno=3 to=c5 00000000 bytes=4
            0ms      > [2] 11111111 c7 seqno=3 bytes=8
            0ms      ! [2] request c7
            0ms      < [2] rpc_result s7 seqno=5 to=c7 00042021 bytes=5000
            0ms      > [2] msg_container c8 seqno=4
            0ms      > [2]   11111111 c7 seqno=3 bytes=8
            0ms      < [2] msg_detailed_info s8 seqno=6 to=c7 answer=s7 bytes=5012
        "#]],
    );
}
