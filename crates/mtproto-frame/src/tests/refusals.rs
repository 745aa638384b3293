//! Frames that are not taken, and calls that are not.

use super::*;

fn check(framing: Framing, frame: &[u8], fault: PeerFault) {
    let mut server = open_server();
    let expected = Err(WireFault::Peer(fault));
    assert_eq!(receive(&mut server, &[framing.opening(), frame]), expected, "{framing}");
    assert_eq!(receive(&mut server, &[frame]), expected, "{framing}: a fault stands");
}

const GIB: usize = 1 << 30;

#[test]
fn a_length_allocates_nothing() {
    for (framing, prefix) in [
        (Framing::Abridged, &b"\x7f\xff\xff\xff"[..]),
        (Framing::Intermediate, b"\x00\x00\x00\x40"),
        (Framing::Padded, b"\x00\x00\x00\x40"),
        (Framing::Full, b"\x00\x00\x00\x40\x00\x00\x00\x00"),
    ] {
        let mut input = BytesMut::from(&[framing.opening(), prefix].concat()[..]);
        let capacity = input.capacity();
        let refused = open_server().receive(&mut input);
        assert!(matches!(refused, Err(WireFault::Peer(PeerFault::FrameTooLong { .. }))));
        assert!(input.capacity() <= capacity, "{framing}");
    }
}

#[test]
fn lengths_have_a_limit_and_a_floor() {
    let max = FRAME_LEN_MAX_SERVER;
    let too_long = |len| PeerFault::FrameTooLong { len, max };
    let word = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    check(Framing::Intermediate, &word(GIB), too_long(GIB));
    check(Framing::Intermediate, &word(max + 4), too_long(max + 4));
    check(Framing::Padded, &word(max + 1), too_long(max + 1));
    check(Framing::Full, &[word(max + 16), [0; 4]].concat(), too_long(max + 4));
    check(Framing::Abridged, b"\x7f\xff\xff\xff", too_long((1 << 26) - 4));
    check(Framing::Abridged, b"\xff\xff\xff\xff", too_long((1 << 26) - 4));

    check(Framing::Abridged, b"\x00", PeerFault::FrameEmpty);
    check(Framing::Abridged, b"\x80", PeerFault::FrameEmpty);
    check(Framing::Intermediate, &word(0), PeerFault::FrameEmpty);
    check(Framing::Padded, &word(0), PeerFault::FrameEmpty);
    check(Framing::Full, &[word(12), [0; 4]].concat(), PeerFault::FrameEmpty);
    for len in 0..12 {
        let frame = [word(len), [0; 4]].concat();
        check(Framing::Full, &frame, PeerFault::FrameTooShort { len });
    }
    for len in 1..4 {
        check(Framing::Padded, &word(len), PeerFault::FrameTooShort { len });
    }
}

#[test]
fn lengths_are_aligned_and_short() {
    let unaligned = PeerFault::FrameUnaligned { len: 41 };
    check(Framing::Intermediate, b"\x29\x00\x00\x00", unaligned);
    check(Framing::Full, b"\x35\x00\x00\x00\x00\x00\x00\x00", unaligned);
    let overlong = PeerFault::FrameLenOverlong { len: 126 * 4 };
    check(Framing::Abridged, b"\x7f\x7e\x00\x00", overlong);
    check(Framing::Abridged, b"\xff\x7e\x00\x00", overlong);
}

#[test]
fn a_full_frame_has_the_next_seqno_and_the_right_sum() {
    let packets = [Outbound::packet(encrypted(2)), Outbound::packet(encrypted(3))];
    let good = send(&mut client(Framing::Full), &packets);
    let first_len = 24 + 16 * 2 + 12;
    for at in 0..first_len {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            let refused = receive(&mut open_server(), &[&bad]);
            // A changed first seqno or length may look like another transport, or ask for more.
            assert_ne!(refused.unwrap_or_default().len(), 2, "bit {bit} of byte {at}");
        }
    }
    let mut repeated = good[..first_len].to_vec();
    repeated.extend(&good[..first_len]);
    let fault = PeerFault::BadSeqno { expected: 1, received: 0 };
    assert_eq!(receive(&mut open_server(), &[&repeated]), Err(fault.into()));

    let mut flipped = good;
    flipped[first_len - 1] ^= 1;
    let refused = receive(&mut open_server(), &[&flipped]);
    assert!(matches!(refused, Err(WireFault::Peer(PeerFault::BadCrc { .. }))));
}

#[test]
fn an_error_can_still_be_sent_after_a_fault() {
    let mut server = server_of(Framing::Intermediate);
    assert!(receive(&mut server, &[&[0; 4]]).is_err());
    let stream = send(&mut server, &[Outbound::Error(TransportError::NotFound)]);
    let received = receive(&mut client(Framing::Intermediate), &[&stream]);
    assert_eq!(received, Ok(vec![Inbound::Error(TransportError::NotFound)]));
}

#[test]
fn misuse_writes_nothing() {
    let check = |wire: &mut Wire, item: Outbound, misuse| {
        let mut out = Vec::new();
        assert_eq!(wire.send(&item, &mut out), Err(misuse));
        assert!(out.is_empty(), "{misuse}");
    };
    let of_len = |len| Outbound::packet(vec![0; len]);
    let refused = |len| Misuse::PayloadRefused { len };
    let asking = Outbound::Packet { payload: encrypted(2).into(), quick_ack: true };
    for framing in Framing::ALL {
        let mut client = client(framing);
        check(&mut client, of_len(0), refused(0));
        check(&mut client, of_len(41), refused(41));
        check(&mut client, of_len(FRAME_LEN_MAX_CLIENT + 4), refused(FRAME_LEN_MAX_CLIENT + 4));
        check(&mut client, Outbound::QuickAck(1), Misuse::ServerOnly);
        check(&mut client, Outbound::Error(TransportError::Flood), Misuse::ServerOnly);
        check(&mut server_of(framing), asking.clone(), Misuse::ClientOnly);
        let received = receive(&mut open_server(), &[&send(&mut client, &[of_len(56)])]);
        assert_eq!(received.unwrap().len(), 1, "the client goes on");
    }
    check(&mut server_of(Framing::Full), Outbound::QuickAck(1), Misuse::NoQuickAcks);
    check(&mut open_server(), of_len(56), Misuse::NotRecognised);
    check(&mut open_server(), Outbound::Error(TransportError::Flood), Misuse::NotRecognised);
}

#[test]
fn a_wish_that_full_cannot_grant_is_left_out() {
    let asking = Outbound::Packet { payload: encrypted(2).into(), quick_ack: true };
    let stream = send(&mut client(Framing::Full), &[asking]);
    let received = receive(&mut open_server(), &[&stream]);
    assert_eq!(received, Ok(vec![packet(&encrypted(2), false)]));
}
