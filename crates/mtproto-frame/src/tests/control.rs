//! Quick acks, errors and filler, in every form a server may write them.

use super::*;

const TOKEN: u32 = 0x9234_5678;

fn check(framing: Framing, stream: &[u8], expected: &[Inbound]) {
    let mut client = client(framing);
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(receive(&mut client, &bytes).as_deref(), Ok(expected), "{framing}: {stream:02x?}");
}

fn framed(words: &[u32], padding: usize) -> Vec<u8> {
    let len = u32::try_from(words.len() * 4 + padding).unwrap();
    let mut frame: Vec<u8> =
        [&[len], words].concat().iter().flat_map(|word| word.to_le_bytes()).collect();
    frame.extend(vec![0xaa; padding]);
    frame
}

// req: S115
#[test]
fn a_client_knows_every_form_of_a_quick_ack() {
    let ack = || Inbound::QuickAck(TOKEN);
    check(Framing::Abridged, &TOKEN.to_be_bytes(), &[ack()]);
    check(Framing::Intermediate, &TOKEN.to_le_bytes(), &[ack()]);
    check(Framing::Padded, &TOKEN.to_le_bytes(), &[ack()]);
    for padding in 0..=8 {
        check(Framing::Padded, &framed(&[u32::MAX, TOKEN], padding), &[ack()]);
    }
    check(Framing::Padded, &framed(&[u32::MAX, TOKEN, 1], 3), &[ack()]);
    // As one relay writes it: with a frame of filler behind.
    let with_filler = [framed(&[u32::MAX, TOKEN], 2), framed(&[0], 1)].concat();
    check(Framing::Padded, &with_filler, &[ack()]);
}

// req: S114
#[test]
fn errors_may_be_padded() {
    let code = |error: TransportError| u32::from_le_bytes(error.to_payload());
    for error in [
        TransportError::Forbidden,
        TransportError::NotFound,
        TransportError::Flood,
        TransportError::WrongDc,
        TransportError::Other(-500),
    ] {
        for padding in 0..12 {
            let frame = framed(&[code(error)], padding);
            check(Framing::Padded, &frame, &[Inbound::Error(error)]);
        }
        check(Framing::Intermediate, &framed(&[code(error)], 0), &[Inbound::Error(error)]);
        assert_eq!(TransportError::from_payload(&error.to_payload()), Some(error));
    }
    assert_eq!(TransportError::from_payload(&[1, 0, 0, 0]), None);
    assert_eq!(TransportError::from_payload(&[0xff; 5]), None);
}

#[test]
fn filler_means_nothing() {
    for padding in 0..12 {
        check(Framing::Padded, &framed(&[0], padding), &[]);
    }
    let stream: Vec<u8> = (0..100_000).flat_map(|_| framed(&[0], 0)).collect();
    let mut client = client(Framing::Intermediate);
    assert_eq!(receive(&mut client, &[&stream]), Ok(Vec::new()));
}

#[test]
fn a_short_payload_that_says_nothing_is_a_fault() {
    let fault = |len| Err(WireFault::Peer(PeerFault::FrameTooShort { len }));
    let mut client = client(Framing::Intermediate);
    assert_eq!(receive(&mut client, &[&framed(&[7, 7], 0)]), fault(8));
}

#[test]
fn a_server_takes_short_payloads_for_what_they_are() {
    // It is not for a client to send errors; what is above answers that it knows no such key.
    let received = receive_frame(Framing::Intermediate, &framed(&[0xffff_fe6c], 0));
    assert_eq!(received, Ok(vec![packet(&0xffff_fe6c_u32.to_le_bytes(), false)]));
}

// req: S115
#[test]
fn a_server_writes_tokens_that_cannot_be_lengths() {
    let without_bit = TOKEN & !(1 << 31);
    for framing in Framing::ALL.into_iter().filter(|framing| framing.has_quick_acks()) {
        let stream = send(&mut server_of(framing), &[Outbound::QuickAck(without_bit)]);
        check(framing, &stream, &[Inbound::QuickAck(TOKEN)]);
    }
    let stream = send(&mut server_of(Framing::Abridged), &[Outbound::QuickAck(TOKEN)]);
    assert_eq!(stream, TOKEN.to_be_bytes());
    let stream = send(&mut server_of(Framing::Intermediate), &[Outbound::QuickAck(TOKEN)]);
    assert_eq!(stream, TOKEN.to_le_bytes());
}
