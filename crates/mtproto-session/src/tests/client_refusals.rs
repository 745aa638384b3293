//! How a client takes a refusal.

use expect_test::expect;
use mtproto_tl::{Author, Encode, MsgId, Salt, Seqno, SessionId, types};

use super::client_talk::{LINK, Talk, check};
use super::{SECOND, noon, ping, query, start};
use crate::client::{
    CLIENT_INBOX_IDS_MAX, CLIENT_LINKS_MAX, DESTROY_MAX, REFUSALS_MAX, SENT_PACKETS_MAX,
};
use crate::{ClientEvent, ClientOutput, Fault, LinkId, Salts, ServerClock};

fn bad_salt(talk: &mut Talk, label: &str, salt: u64) {
    let notice = types::BadServerSalt {
        bad_msg_id: talk.id(label),
        bad_msg_seqno: Seqno(1),
        error_code: 48,
        new_server_salt: Salt(salt),
    };
    talk.receive(0, &notice);
}

// req: S15
#[test]
fn a_stale_salt_is_adopted_and_the_request_repeated() {
    check(
        |talk| {
            talk.request(&query(1));
            talk.wait(SECOND / 25);
            bad_salt(talk, "c2", 9);
            talk.wait(SECOND / 25);
            talk.answer("c2", &query(9));
        },
        &expect![[r#"
            0ms      > 11111111 c2 seqno=1 bytes=8 salt=A
            40ms     < bad_server_salt s1 seqno=0 to=c2 code=48 new=B
            40ms     ! SaltsChanged
            40ms     > msg_container c4 seqno=2 salt=B
            40ms     >   11111111 c2 seqno=1 bytes=8
            40ms     >   get_future_salts c3 seqno=2 num=64
            80ms     < rpc_result s2 seqno=1 to=c2 11111111 bytes=8
            80ms     ! answer 1 8 bytes
        "#]],
    );
}

// What a container held is sent again as a whole, acknowledgements included.
// req: S15, S40
#[test]
fn a_refused_container_is_sent_again_whatever_was_in_it() {
    check(
        |talk| {
            talk.receive(1, &query(5));
            talk.session.ping(talk.now);
            talk.session.destroy_session(SessionId(5), talk.now);
            talk.request(&query(1));
            bad_salt(talk, "c6", 9);
        },
        &expect![[r#"
            0ms      < 11111111 s1 seqno=1 bytes=8
            0ms      ! push 8 bytes
            0ms      > msg_container c6 seqno=2 salt=A
            0ms      >   11111111 c2 seqno=1 bytes=8
            0ms      >   destroy_session c3 seqno=2 0500000000000000
            0ms      >   ping c4 seqno=2 ping_id=2
            0ms      >   msgs_ack c5 seqno=2 s1
            0ms      < bad_server_salt s2 seqno=0 to=c6 code=48 new=B
            0ms      ! SaltsChanged
            0ms      > msg_container c11 seqno=2 salt=B
            0ms      >   11111111 c2 seqno=1 bytes=8
            0ms      >   destroy_session c7 seqno=2 0500000000000000
            0ms      >   ping c8 seqno=2 ping_id=2
            0ms      >   get_future_salts c9 seqno=2 num=64
            0ms      >   msgs_ack c10 seqno=2 s1
        "#]],
    );
}

#[test]
fn a_notice_about_something_never_sent_is_not_believed() {
    check(
        |talk| {
            let notice = types::BadServerSalt {
                bad_msg_id: MsgId(4),
                bad_msg_seqno: Seqno(1),
                error_code: 48,
                new_server_salt: Salt(9),
            };
            talk.receive(0, &notice);
            talk.receive(
                0,
                &types::BadMsgNotification {
                    bad_msg_id: MsgId(4),
                    bad_msg_seqno: Seqno(1),
                    error_code: 17,
                },
            );
        },
        &expect![[r#"
            0ms      < bad_server_salt s1 seqno=0 to=c2 code=48 new=B
            0ms      < bad_msg_notification s2 seqno=0 to=c2 code=17
        "#]],
    );
}

// req: S14, S118
#[test]
fn a_clock_that_is_behind_is_corrected() {
    let behind = ServerClock::new(start(), noon().before(3600 * SECOND));
    let mut talk = Talk::with(Salts::default(), behind);
    talk.request(&query(1));
    talk.attach(LINK);
    talk.transcript.packet(&talk.packets[0].message.to_message());
    talk.refuse("c4", 16);
    let sent = talk.packets.last().expect("it is sent again").message.id.time();
    assert!(sent >= noon() && sent < noon().after(SECOND));
}

// req: S14, S118
#[test]
fn a_clock_that_is_ahead_is_corrected_in_another_session() {
    let ahead = ServerClock::new(start(), noon().after(3600 * SECOND));
    let mut talk = Talk::with(Salts::default(), ahead);
    let before = talk.session.session_id();
    talk.request(&query(1));
    talk.attach(LINK);
    talk.transcript.packet(&talk.packets[0].message.to_message());
    talk.refuse("c4", 17);
    let again = talk.packets.last().expect("it is sent again");
    assert_ne!(again.session_id, before);
    assert_eq!(again.session_id, talk.session.session_id());
    let sent = again.message.id.time();
    assert!(sent >= noon() && sent < noon().after(SECOND));
    assert_eq!(talk.session.pending_requests(), 1);
}

// A server asks for the salt before it asks for the time, and one answer tells both. With the right
// salt and the wrong time, somebody could record the packet and deliver it when its time has come.
// req: S14, S15, S118
#[test]
fn a_wrong_salt_tells_the_time_too() {
    let ahead = ServerClock::new(start(), noon().after(60 * SECOND));
    let mut talk = Talk::with(Salts::default(), ahead);
    let before = talk.session.session_id();
    talk.request(&query(1));
    talk.attach(LINK);
    talk.transcript.packet(&talk.packets[0].message.to_message());
    bad_salt(&mut talk, "c4", 9);
    let again = talk.packets.last().expect("it is sent again");
    assert_eq!((again.session_id != before, again.salt), (true, Salt(9)));
    let sent = again.message.id.time();
    assert!(sent >= noon() && sent < noon().after(SECOND));
}

// req: S14
#[test]
fn each_code_has_its_reaction() {
    for code in [16, 17, 18, 19, 20, 32, 33, 34, 35, 48, 64, 999] {
        let mut talk = Talk::new();
        talk.attach(LINK);
        talk.request(&query(1));
        let session_id = talk.session.session_id();
        let sent = talk.packets.len();
        talk.refuse("c2", code);
        let is_repeated = talk.packets.len() > sent;
        let is_failed = talk.session.pending_requests() == 0;
        let is_restarted = talk.session.session_id() != session_id;
        // What is our own fault is shown, the rest never.
        let is_ours = [18, 34, 35, 999].contains(&code);
        // A container whose id was used is there already.
        let is_there = code == 19;
        assert_eq!((is_repeated, is_failed), (!is_ours && !is_there, is_ours), "{code}");
        assert_eq!(is_restarted, [17, 32, 33].contains(&code), "{code}");
    }
}

// req: S14
#[test]
fn requests_of_an_invalid_container_go_one_by_one() {
    check(
        |talk| {
            talk.detach(LINK);
            talk.request(&query(1));
            talk.request(&query(2));
            talk.hush();
            talk.attach(LINK);
            talk.refuse("c5", 64);
            talk.refuse("c6", 64);
        },
        &expect![[r#"
            0ms      + link open
            0ms      > msg_container c5 seqno=4 salt=A
            0ms      >   11111111 c2 seqno=1 bytes=8
            0ms      >   11111111 c3 seqno=3 bytes=8
            0ms      >   ping_delay_disconnect c4 seqno=4 ping_id=2 delay=75
            0ms      < bad_msg_notification s1 seqno=0 to=c5 code=64
            0ms      > 11111111 c6 seqno=5 bytes=8 salt=A
            0ms      > 11111111 c7 seqno=7 bytes=8 salt=A
            0ms      > ping_delay_disconnect c8 seqno=8 ping_id=3 delay=75 salt=A
            0ms      < bad_msg_notification s2 seqno=0 to=c6 code=64
            0ms      ! answer 1 server refused the message: invalid container (64)
        "#]],
    );
}

// req: S14
#[test]
fn endless_refusals_cost_the_link_and_not_the_request() {
    let mut talk = Talk::new();
    talk.attach(LINK);
    talk.request(&query(1));
    let mut refusals = 0;
    let reason = loop {
        let id = talk.packets.last().expect("it is sent again").message.id;
        let notice =
            types::BadMsgNotification { bad_msg_id: id, bad_msg_seqno: Seqno(1), error_code: 20 };
        let message = talk.message(0, &notice);
        let session_id = talk.session.session_id();
        talk.session.handle_message(LINK, session_id, message, talk.now).expect("no fault");
        refusals += 1;
        match talk.session.poll_output() {
            ClientOutput::Close { reason, .. } => break reason,
            ClientOutput::Send(outgoing) => talk.packets.push(outgoing),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason, crate::ClientCloseReason::Refusals);
    assert_eq!((refusals, talk.session.pending_requests()), (REFUSALS_MAX, 1));
}

#[test]
fn an_old_message_is_a_recording_unless_it_is_a_refusal() {
    check(
        |talk| {
            talk.request(&query(1));
            let push = talk.message(1, &query(5));
            let notice = types::BadServerSalt {
                bad_msg_id: talk.id("c2"),
                bad_msg_seqno: Seqno(1),
                error_code: 48,
                new_server_salt: Salt(9),
            };
            let notice = talk.message(0, &notice);
            talk.now += 301 * SECOND;
            talk.receive(0, &ping(1));
            talk.hush();
            talk.receive_message(push);
            talk.receive_message(notice);
        },
        &expect![[r#"
            301000ms < 11111111 s2 seqno=1 bytes=8
            301000ms < bad_server_salt s3 seqno=0 to=c2 code=48 new=B
            301000ms ! SaltsChanged
            301000ms > msg_container c7 seqno=2 salt=B
            301000ms >   11111111 c2 seqno=1 bytes=8
            301000ms >   get_future_salts c6 seqno=2 num=64
        "#]],
    );
}

#[test]
fn the_servers_ids_move_the_clock_on() {
    let mut talk = Talk::new();
    talk.attach(LINK);
    // The machine slept, and its monotonic clock with it.
    talk.clock.correct(talk.now, noon().after(7200 * SECOND));
    let message = talk.message(0, &ping(1));
    let session_id = talk.session.session_id();
    talk.session.handle_message(LINK, session_id, message, talk.now).expect("no fault");
    let told = ClientOutput::Event(ClientEvent::TimeCorrected);
    assert_eq!(talk.session.poll_output(), told);
    assert!(talk.session.clock().now(talk.now) >= noon().after(7199 * SECOND));
}

#[test]
fn what_no_server_would_send_is_a_fault_and_changes_nothing() {
    let mut talk = Talk::new();
    talk.attach(LINK);
    let session_id = talk.session.session_id();
    let mut from_client = talk.message(1, &query(1));
    from_client.id = MsgId::at(noon(), Author::Client);
    let fault = talk.session.handle_message(LINK, session_id, from_client.clone(), talk.now);
    assert_eq!(fault, Err(Fault::NotFromServer { id: from_client.id }));
    let good = talk.message(1, &query(1));
    let mut cut = talk.message(0, &types::Pong { msg_id: MsgId(4), ping_id: 1 });
    cut.body.truncate(8);
    let cut_id = cut.id;
    let mut body = Vec::new();
    mtproto_pack::write_container(&[good, cut], &mut body);
    let container = talk.message(0, &mtproto_tl::Raw(body.into()));
    let fault = talk.session.handle_message(LINK, session_id, container, talk.now);
    assert!(matches!(fault, Err(Fault::Malformed { id, .. }) if id == cut_id));
    let mut torn = talk.message(0, &ping(1));
    torn.body = 0x73f1_f8dc_u32.to_bytes();
    let fault = talk.session.handle_message(LINK, session_id, torn, talk.now);
    assert!(matches!(fault, Err(Fault::Packet { .. })));
    assert_eq!(talk.drain(), Some(talk.now + 15 * SECOND));
}

// The request was refused, and the session with it; the ping stood in another packet.
// req: S28
#[test]
fn a_ping_under_way_goes_out_again_in_the_next_session() {
    check(
        |talk| {
            talk.request(&query(1));
            talk.session.ping(talk.now);
            talk.drain();
            talk.refuse("c2", 17);
        },
        &expect![[r#"
            0ms      > 11111111 c2 seqno=1 bytes=8 salt=A
            0ms      > ping c3 seqno=2 ping_id=2 salt=A
            0ms      < bad_msg_notification s1 seqno=0 to=c2 code=17
            0ms      ! Gap(SessionReplaced { session_id: SessionId(87443377ebe15323) })
            0ms      > msg_container c5 seqno=2 salt=A
            0ms      >   11111111 c1 seqno=1 bytes=8
            0ms      >   destroy_session c2 seqno=2 4d00000000000000
            0ms      >   ping_delay_disconnect c3 seqno=2 ping_id=3 delay=75
            0ms      >   ping c4 seqno=2 ping_id=2
        "#]],
    );
}

// Somebody delivers a container again: it is there, and what is in it is not carried out twice.
// req: S14, S97
#[test]
fn a_container_delivered_twice_is_not_sent_again() {
    check(
        |talk| {
            talk.session.ping(talk.now);
            talk.request(&query(1));
            talk.refuse("c4", 19);
            talk.wait(SECOND);
        },
        &expect![[r#"
            0ms      > msg_container c4 seqno=2 salt=A
            0ms      >   11111111 c2 seqno=1 bytes=8
            0ms      >   ping c3 seqno=2 ping_id=2
            0ms      < bad_msg_notification s1 seqno=0 to=c4 code=19
        "#]],
    );
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut talk = Talk::new();
    talk.attach(LINK);
    for _ in 0..SENT_PACKETS_MAX {
        talk.session.ping(talk.now);
        talk.drain();
    }
    talk.packets.clear();
    // The first packet is forgotten, the second is not.
    talk.refuse("c1", 20);
    assert_eq!(talk.packets.len(), 0);
    talk.refuse("c2", 20);
    for _ in 0..=CLIENT_INBOX_IDS_MAX {
        talk.receive(0, &types::MsgsAck { msg_ids: vec![] });
    }
    for session_id in 0..2 * DESTROY_MAX as u64 {
        talk.session.destroy_session(SessionId(session_id), talk.now);
    }
    talk.packets.clear();
    talk.drain();
    assert_eq!(
        talk.transcript.packet(&talk.packets[0].message.to_message()).len(),
        1 + DESTROY_MAX
    );
    for link in 0..2 * CLIENT_LINKS_MAX as u64 {
        talk.attach(LinkId(100 + link));
    }
    assert_eq!(talk.session.link_count(), CLIENT_LINKS_MAX);
}
