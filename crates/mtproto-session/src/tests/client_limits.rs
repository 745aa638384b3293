//! What a client holds is bounded, and what it is told of it is believed within bounds.

use expect_test::expect;
use mtproto_pack::{CONTAINER_SEND_MESSAGES_MAX, MSG_COPY_ID, Message, read_container};
use mtproto_tl::{Encode, MsgId, Raw, types};

use super::client_talk::{LINK, Talk, check};
use super::{SECOND, query};
use crate::client::{DROPS_MAX, IN_FLIGHT_MAX, QUICK_ACKS_MAX, REQUEST_MSG_IDS_MAX};
use crate::{ClientEvent, ClientOutput, IDS_MAX, LinkId, RequestOptions};

const OTHER: LinkId = LinkId(2);

/// The names of all messages sent since the last time.
fn sent(talk: &mut Talk) -> Vec<String> {
    let packets = std::mem::take(&mut talk.packets);
    let lines =
        packets.iter().flat_map(|packet| talk.transcript.packet(&packet.message.to_message()));
    lines.collect()
}

fn count(lines: &[String], name: &str) -> usize {
    lines.iter().filter(|line| line.trim_start().starts_with(name)).count()
}

/// Makes requests and lets them leave.
fn fill(talk: &mut Talk, count: usize) -> Vec<crate::RequestId> {
    let requests = (0..count).map(|_| {
        let request = talk.session.request(query(1).0, RequestOptions::default(), talk.now);
        request.expect("there is room")
    });
    let requests = requests.collect();
    talk.drain();
    requests
}

// req: S46
#[test]
fn a_container_has_at_most_1020_messages() {
    let mut talk = Talk::new();
    let word = Raw(7_u32.to_bytes());
    for _ in 0..IN_FLIGHT_MAX {
        talk.request(&word);
    }
    talk.attach(LINK);
    let counts: Vec<_> = (talk.packets.iter())
        .map(|packet| {
            read_container(&packet.message.to_message().body).map_or(1, |inside| inside.len())
        })
        .collect();
    assert_eq!(counts[0], CONTAINER_SEND_MESSAGES_MAX);
    assert!(counts.iter().sum::<usize>() >= IN_FLIGHT_MAX);
}

// req: S47
#[test]
fn lists_of_ids_end_at_8192() {
    let mut talk = Talk::new();
    talk.attach(LINK);
    talk.packets.clear();
    for number in 0..IDS_MAX as u64 + 10 {
        let answer_msg_id = MsgId(1 << 40 | number << 2 | 1);
        let info = types::MsgNewDetailedInfo { answer_msg_id, bytes: 5000, status: 0 };
        let message = talk.message(0, &info);
        let session_id = talk.session.session_id();
        talk.session.handle_message(LINK, session_id, message, talk.now).expect("no fault");
    }
    talk.drain();
    let [packet] = &talk.packets[..] else { panic!("one packet") };
    assert_eq!(packet.message.body().len(), 12 + 8 * IDS_MAX);
    assert_eq!(count(&sent(&mut talk), "msg_resend_req"), 1);
}

// req: S18
#[test]
fn an_unasked_state_spares_the_repetition() {
    check(
        |talk| {
            talk.request(&query(1));
            let info =
                types::MsgsAllInfo { msg_ids: vec![talk.id("c2")], info: vec![4 | 32].into() };
            talk.receive(0, &info);
            talk.detach(LINK);
            talk.attach(OTHER);
            let info = types::MsgsAllInfo { info: vec![4 | 32 | 64].into(), ..info };
            talk.receive(0, &info);
        },
        &expect![[r#"
            0ms      > 11111111 c2 seqno=1 bytes=8 salt=A
            0ms      < msgs_all_info s1 seqno=0 c2 24
            0ms      - link lost
            0ms      + [2] link open
            0ms      > [2] msg_container c5 seqno=2 salt=A
            0ms      > [2]   msgs_state_req c3 seqno=2 c2
            0ms      > [2]   ping_delay_disconnect c4 seqno=2 ping_id=2 delay=75
            0ms      < msgs_all_info s2 seqno=0 c2 64
            0ms      > [2] msg_container c6 seqno=2 salt=A
            0ms      > [2]   11111111 c2 seqno=1 bytes=8
        "#]],
    );
}

// req: S49, S50
#[test]
fn a_copy_is_its_original_unless_that_was_received() {
    check(
        |talk| {
            let original = talk.message(1, &query(5));
            for _ in 0..2 {
                let copy = copy(talk, &original);
                talk.receive_message(copy);
            }
            talk.wait(11 * SECOND);
        },
        &expect![[r#"
            0ms      < e06046b2 s1 seqno=0 bytes=32
            0ms      ! push 8 bytes
            0ms      < e06046b2 s2 seqno=0 bytes=32
            10000ms  > msgs_ack c2 seqno=0 s3 s3 s2 salt=A
        "#]],
    );
}

#[test]
fn cancelled_requests_are_told_of_within_a_limit() {
    let mut talk = Talk::new();
    talk.attach(LINK);
    for is_told in [true, false] {
        for request in fill(&mut talk, DROPS_MAX.min(IN_FLIGHT_MAX)) {
            talk.session.cancel(request, talk.now);
        }
        if is_told {
            talk.drain();
        }
    }
    // What was told over the link that is lost is to be told again, beside what is new.
    talk.detach(LINK);
    sent(&mut talk);
    talk.attach(OTHER);
    assert_eq!(count(&sent(&mut talk), "rpc_drop_answer"), DROPS_MAX);
}

#[test]
fn quick_acknowledgements_are_awaited_for_the_last_packets() {
    let mut talk = Talk::new();
    talk.attach(LINK);
    for token in 0..=QUICK_ACKS_MAX as u32 {
        talk.request_with(&query(1), RequestOptions { quick_ack: true });
        let packet = talk.packets.last().expect("the request").message.id;
        talk.session.packet_sealed(packet, token);
    }
    let told = |talk: &mut Talk, token| {
        talk.session.handle_quick_ack(token, talk.now);
        let output = talk.session.poll_output();
        matches!(output, ClientOutput::Event(ClientEvent::QuickAck { .. }))
    };
    assert!(!told(&mut talk, 0), "the first packet is forgotten");
    assert!(told(&mut talk, 1));
}

#[test]
fn an_answer_is_known_by_the_last_ids_of_its_request() {
    let mut talk = Talk::new();
    talk.attach(LINK);
    talk.request(&query(1));
    let mut labels = Vec::new();
    for _ in 0..=REQUEST_MSG_IDS_MAX {
        let id = talk.packets.last().expect("it is sent again").message.id;
        labels.push(talk.transcript.id(id));
        talk.refuse(labels.last().expect("one"), 20);
    }
    // The id it has now is the last of those remembered.
    talk.answer(&labels[0], &query(9));
    talk.answer(&labels[1], &query(9));
    assert_eq!(talk.session.pending_requests(), 1);
    talk.answer(&labels[2], &query(9));
    assert_eq!(talk.session.pending_requests(), 0);
}

fn copy(talk: &mut Talk, original: &Message) -> Message {
    let mut body = MSG_COPY_ID.to_le_bytes().to_vec();
    body.extend_from_slice(&0x5bb8_e511_u32.to_le_bytes());
    original.id.encode(&mut body);
    original.seqno.encode(&mut body);
    (original.body.len() as u32).encode(&mut body);
    body.extend_from_slice(&original.body);
    talk.message(0, &Raw(body.into()))
}
