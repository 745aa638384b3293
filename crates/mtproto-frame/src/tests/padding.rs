//! The padded framing.

use std::collections::BTreeSet;

use super::*;

fn frame(payload: &[u8], padding: usize) -> Vec<u8> {
    let len = u32::try_from(payload.len() + padding).unwrap();
    [&len.to_le_bytes()[..], payload, &vec![0x5a; padding]].concat()
}

// req: L27
#[test]
fn up_to_fifteen_bytes_are_cut_off() {
    for padding in 0..=15 {
        for blocks in 1..5 {
            let received = receive_frame(Framing::Padded, &frame(&encrypted(blocks), padding));
            assert_eq!(received, Ok(vec![packet(&encrypted(blocks), false)]));
        }
        for len in (0..64).step_by(4) {
            let received = receive_frame(Framing::Padded, &frame(&plain(len), padding));
            assert_eq!(received, Ok(vec![packet(&plain(len), false)]));
        }
    }
}

#[test]
fn a_plain_message_that_lies_about_its_length_is_left_to_others() {
    let mut message = plain(40).to_vec();
    message[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    let received = receive_frame(Framing::Padded, &frame(&message, 3));
    assert_eq!(received, Ok(vec![packet(&message, false)]));
}

fn padding_lens(wire: &mut Wire, payload: &Bytes) -> BTreeSet<usize> {
    let padding = |_| {
        let stream = send(wire, &[Outbound::packet(payload.clone())]);
        stream.len() - payload.len() - 4
    };
    (0..500).map(padding).collect()
}

// req: L27
#[test]
fn a_client_writes_up_to_fifteen_and_a_server_up_to_three() {
    let mut client = client(Framing::Padded);
    // The tag.
    send(&mut client, &[Outbound::packet(encrypted(2))]);
    let all: BTreeSet<_> = (0..=usize::from(CLIENT_PADDING_MAX)).collect();
    assert_eq!(padding_lens(&mut client, &encrypted(2)), all);

    let few: BTreeSet<_> = (0..=usize::from(SERVER_PADDING_MAX)).collect();
    assert_eq!(few.len(), 4);
    assert_eq!(padding_lens(&mut server_of(Framing::Padded), &encrypted(2)), few);
}

#[test]
fn paddings_of_two_streams_differ() {
    let stream = |seed| {
        let config = WireConfig::plain(Framing::Padded);
        let mut wire = Wire::client(&config, &mut SeededRandom::new(seed)).unwrap();
        send(&mut wire, &vec![Outbound::packet(encrypted(2)); 10])
    };
    assert_eq!(stream(1), stream(1));
    assert_ne!(stream(1), stream(2));
}
