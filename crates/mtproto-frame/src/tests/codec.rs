//! The wire as a codec.

use tokio_util::codec::{Decoder, Encoder};

use super::*;

#[test]
fn a_codec_does_what_its_wire_does() {
    for case in cases() {
        let (client, server) = case.wires();
        let (mut client, mut server) = (WireCodec(client), WireCodec(server));
        let mut stream = BytesMut::new();
        client.encode(Outbound::packet(encrypted(2)), &mut stream).unwrap();
        client.encode(Outbound::packet(plain(40)), &mut stream).unwrap();
        assert_eq!(server.decode(&mut stream).unwrap(), Some(packet(&encrypted(2), false)));
        assert_eq!(server.decode_eof(&mut stream).unwrap(), Some(packet(&plain(40), false)));
        assert_eq!(server.decode_eof(&mut stream).unwrap(), None);
    }
}

#[test]
fn a_codec_names_who_is_at_fault() {
    let mut server = WireCodec(open_server());
    let mut empty = BytesMut::from(&[0xef, 0][..]);
    let refused = server.decode(&mut empty);
    assert!(matches!(refused, Err(CodecError::Fault(WireFault::Peer(PeerFault::FrameEmpty)))));
    let refused = WireCodec(open_server()).encode(Outbound::QuickAck(1), &mut empty);
    assert!(matches!(refused, Err(CodecError::Misuse(Misuse::NotRecognised))));
}
