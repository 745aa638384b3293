//! What one side sends, the other receives, however it is cut.

use super::*;

/// Short, long enough for abridged's long form, plain, and with a quick ack where there are any.
fn packets(framing: Framing) -> Vec<Outbound> {
    let payloads = [encrypted(2), encrypted(33), plain(20), encrypted(3)];
    let quick_ack = framing.has_quick_acks();
    let mut packets: Vec<_> = payloads.into_iter().map(Outbound::packet).collect();
    packets.push(Outbound::Packet { payload: encrypted(4).into(), quick_ack });
    packets
}

fn answers(framing: Framing) -> Vec<Outbound> {
    let mut answers: Vec<_> =
        [plain(64), encrypted(2), encrypted(40)].into_iter().map(Outbound::packet).collect();
    if framing.has_quick_acks() {
        answers.push(Outbound::QuickAck(0x8765_4321));
    }
    answers.push(Outbound::Error(TransportError::Flood));
    answers.push(Outbound::packet(encrypted(1)));
    answers
}

fn as_received(items: &[Outbound]) -> Vec<Inbound> {
    let item = |item: &Outbound| match item {
        Outbound::Error(error) => Inbound::Error(*error),
        Outbound::Packet { payload, quick_ack } => packet(payload, *quick_ack),
        Outbound::QuickAck(token) => Inbound::QuickAck(*token),
    };
    items.iter().map(item).collect()
}

// req: S71, S115, S117
#[test]
fn a_server_understands_every_client_cut_anywhere() {
    for case in cases() {
        let sent = packets(case.client.framing);
        let stream = send(&mut case.wires().0, &sent);
        for cut in 0..=stream.len() {
            let (before, after) = stream.split_at(cut);
            let received = receive(&mut case.wires().1, &[before, after]);
            assert_eq!(received, Ok(as_received(&sent)), "{:?} cut at {cut}", case.client);
        }
    }
}

// req: S71, S114, S115
#[test]
fn a_client_understands_every_server_cut_anywhere() {
    for case in cases() {
        let (mut client, mut server) = case.wires();
        let hello = send(&mut client, &packets(case.client.framing));
        receive(&mut server, &[&hello]).unwrap();
        let sent = answers(case.client.framing);
        let stream = send(&mut server, &sent);
        for cut in 0..=stream.len() {
            let (before, after) = stream.split_at(cut);
            let received = receive(&mut case.wires().0, &[before, after]);
            assert_eq!(received, Ok(as_received(&sent)), "{:?} cut at {cut}", case.client);
        }
    }
}

// req: S117
#[test]
fn bytes_may_come_one_by_one() {
    for case in cases() {
        let (mut client, mut server) = case.wires();
        let sent = packets(case.client.framing);
        let stream = send(&mut client, &sent);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(receive(&mut server, &bytes), Ok(as_received(&sent)), "{:?}", case.client);
        let sent = answers(case.client.framing);
        let stream = send(&mut server, &sent);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(receive(&mut client, &bytes), Ok(as_received(&sent)), "{:?}", case.client);
    }
}

#[test]
fn a_server_knows_what_it_recognised() {
    for case in cases() {
        let (mut client, mut server) = case.wires();
        assert_eq!(server.recognised(), None);
        let stream = send(&mut client, &[Outbound::packet(encrypted(2))]);
        receive(&mut server, &[&stream]).unwrap();
        assert_eq!(server.recognised(), client.recognised(), "{:?}", case.client);
    }
}

// req: L4
#[test]
fn the_longest_packets_pass() {
    for framing in Framing::ALL {
        let longest = Bytes::from(vec![1; FRAME_LEN_MAX_SERVER - 16]);
        let stream = send(&mut client(framing), &[Outbound::packet(longest.clone())]);
        let received = receive(&mut open_server(), &[&stream]).unwrap();
        let [Inbound::Packet { payload, .. }] = received.as_slice() else { panic!("{framing}") };
        assert!(longest.starts_with(payload) && payload.len() + 16 > longest.len(), "{framing}");

        let longest = Bytes::from(vec![1; FRAME_LEN_MAX_CLIENT - 8]);
        let stream = send(&mut server_of(framing), &[Outbound::packet(longest.clone())]);
        let received = receive(&mut client(framing), &[&stream]).unwrap();
        let [Inbound::Packet { payload, .. }] = received.as_slice() else { panic!("{framing}") };
        assert_eq!(payload, &longest, "{framing}");
    }
}

#[test]
fn a_payload_is_where_it_arrived() {
    let stream = send(&mut client(Framing::Intermediate), &[Outbound::packet(encrypted(2))]);
    let mut input = BytesMut::from(&*stream);
    let arrived = input.as_ptr() as usize;
    let received = open_server().receive(&mut input).unwrap();
    let Some(Inbound::Packet { payload, .. }) = received else { panic!("no packet") };
    assert_eq!(payload.as_ptr() as usize - arrived, 8, "tag and length stand before it");
}
