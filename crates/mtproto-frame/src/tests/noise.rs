//! Bytes that nobody meant.

use proptest::prelude::*;

use super::*;

/// Feeds `bytes` in pieces; whatever comes of it, nothing is panicked and nothing grows.
fn survive(wire: &mut Wire, bytes: &[u8], piece: usize) {
    let mut input = BytesMut::new();
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        while let Ok(Some(item)) = wire.receive(&mut input) {
            if let Inbound::Packet { payload, .. } = item {
                assert!(payload.len() <= bytes.len());
            }
        }
        assert!(input.len() <= bytes.len());
    }
}

proptest! {
    #[test]
    fn noise_is_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        piece in 1_usize..100,
    ) {
        survive(&mut open_server(), &bytes, piece);
        for case in cases() {
            let (mut client, mut server) = case.wires();
            survive(&mut client, &bytes, piece);
            survive(&mut server, &bytes, piece);
        }
    }

    #[test]
    fn noise_behind_an_opening_is_survived(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0x7f)], 0..300),
        piece in 1_usize..100,
    ) {
        for framing in Framing::ALL {
            let stream = [framing.opening(), &bytes].concat();
            survive(&mut open_server(), &stream, piece);
            survive(&mut client(framing), &bytes, piece);
        }
    }

    #[test]
    fn flipped_streams_are_survived(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        piece in 1_usize..100,
    ) {
        for case in cases() {
            let (mut client, mut server) = case.wires();
            let packets = [encrypted(2), plain(20), encrypted(40)].map(Outbound::packet);
            let mut stream = send(&mut client, &packets);
            for (at, flip) in &flips {
                let at = at.index(stream.len());
                stream[at] ^= flip;
            }
            survive(&mut server, &stream, piece);
        }
    }

    #[test]
    fn texts_are_survived(text in "\\PC{0,60}") {
        let _ = text.parse::<Secret>();
        let _ = text.parse::<Address>();
        let _ = text.parse::<ProxyLink>();
        let _ = format!("tcp://{text}").parse::<Address>();
        let _ = format!("https://{text}").parse::<Address>();
        let _ = format!("tg://proxy?{text}").parse::<ProxyLink>();
        let _ = text.parse::<Framing>();
    }
    // req: S110
    #[test]
    fn what_was_written_is_read_as_it_was(
        scheme in 0..5_usize, host in "[a-z][a-z0-9.-]{0,20}|[1-9][0-9]?(\\.[1-9][0-9]?){3}",
        port: u16, cors: bool, test: bool,
    ) {
        let scheme =
            [Scheme::Http, Scheme::Https, Scheme::Tcp, Scheme::Ws, Scheme::Wss][scheme];
        let path = if scheme == Scheme::Tcp { ApiPath::default() } else { ApiPath { cors, test } };
        let host: Host = match host.parse() {
            Ok(ip) => Host::Ip(ip),
            Err(_) => Host::Name(host),
        };
        let address = Address { scheme, host, port, path };
        prop_assert_eq!(address.to_string().parse(), Ok(address.clone()));
        prop_assert_eq!(address.http_form().parse(), Ok(address));
    }
}
