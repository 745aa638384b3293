//! What is inside the records.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::obfuscation::seal;
use crate::{
    Framing, Inbound, Outbound, Recognised, ServerWireConfig, StreamKind, Wire, WireConfig,
    WireFault,
};

fn config() -> Arc<ServerWireConfig> {
    let secrets = vec![Secret::Plain([1; 16].into()), Secret::Padded([1; 16].into()), secret()];
    Arc::new(ServerWireConfig { secrets, ..ServerWireConfig::open() })
}

fn inside(secret: usize) -> Wire {
    Wire::inside_fake_tls(config(), secret, &mut SeededRandom::new(1))
}

/// A header of the obfuscated stream that begins with `prefix`.
fn header(prefix: &[u8], framing: Framing, key: [u8; 16]) -> BytesMut {
    let mut header = [7; 64];
    header[..prefix.len()].copy_from_slice(prefix);
    let (header, _) = seal(header, framing.tag().unwrap(), 2, Some(&key.into()));
    BytesMut::from(&header[..])
}

// req: S116
#[test]
fn packets_pass_in_both_directions() {
    let mut client = Wire::client(
        &WireConfig::with_secret(Framing::Padded, secret()),
        &mut SeededRandom::new(2),
    )
    .unwrap();
    let mut server = inside(2);
    let payload = Bytes::from(vec![7; 40]);
    let mut bytes = BytesMut::new();
    client.send(&Outbound::packet(payload.clone()), &mut bytes).unwrap();
    let received = server.receive(&mut bytes).unwrap().unwrap();
    assert!(matches!(received, Inbound::Packet { payload: p, .. } if p == payload));
    server.send(&Outbound::packet(payload.clone()), &mut bytes).unwrap();
    let received = client.receive(&mut bytes).unwrap().unwrap();
    assert!(matches!(received, Inbound::Packet { payload: p, .. } if p == payload));
}

#[test]
fn a_header_may_begin_like_anything() {
    for prefix in
        [&b"\xef"[..], b"GET ", b"\xdd\xdd\xdd\xdd", b"\x16\x03\x01", b"1234\0\0\0\0", b"random.."]
    {
        let mut server = inside(2);
        let mut bytes = header(prefix, Framing::Padded, KEY);
        for len in 0..64 {
            assert_eq!(server.receive(&mut BytesMut::from(&bytes[..len])), Ok(None), "{prefix:?}");
            assert_eq!(server.recognised(), None);
        }
        assert_eq!(server.receive(&mut bytes), Ok(None));
        let kind = server.recognised();
        let Some(Recognised::Stream(StreamKind { framing, obfuscation: Some(found) })) = kind
        else {
            panic!("{kind:?}");
        };
        assert_eq!((framing, found.secret, found.dc), (Framing::Padded, Some(2), 2));
    }
}

#[test]
fn only_the_secret_of_the_records_opens_what_is_inside() {
    for (secret, framing, key) in [
        (2, Framing::Padded, [1; 16]),
        (2, Framing::Intermediate, KEY),
        (2, Framing::Abridged, KEY),
        (0, Framing::Padded, KEY),
        (9, Framing::Padded, KEY),
    ] {
        let received = inside(secret).receive(&mut header(b"r", framing, key));
        assert_eq!(received, Err(WireFault::Unrecognised), "{secret} {framing} {key:?}");
    }
    let mut plain = BytesMut::from(&[&[0xef][..], &[0; 80]].concat()[..]);
    assert_eq!(inside(2).receive(&mut plain), Err(WireFault::Unrecognised));
}
