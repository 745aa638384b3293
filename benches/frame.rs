//! Framings, with and without obfuscation; no peer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mtproto_benches::{Bench, Case, named, noise};
use mtproto_crypto::SeededRandom;
use mtproto_crypto::envelope::PREFIX_LEN;
use mtproto_frame::{Framing, Inbound, Outbound, ServerWireConfig, Wire, WireConfig};

/// How many frames a stream has. They follow each other in one stream, because a frame of the full
/// framing and one that is obfuscated each have their place in it.
const FRAMES: usize = 64;

fn main() {
    let mut bench = Bench::from_args("frame");
    let len = 1 << 10;
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded, Framing::Full] {
        stream(&mut bench, &framing.to_string(), &WireConfig::plain(framing), len);
    }
    stream(&mut bench, "padded, obfuscated", &WireConfig::obfuscated(Framing::Padded), len);
}

/// A client writes packets with `len` bytes of ciphertext, and a server reads them; what opens the
/// stream is shared by all of them.
fn stream(bench: &mut Bench, name: &str, config: &WireConfig, len: usize) {
    let payload = Bytes::from(noise(PREFIX_LEN + len, 1));
    let item = Outbound::packet(payload.clone());
    let mut written = Vec::new();
    write(config, &item, &mut written);

    let server = Arc::new(ServerWireConfig::open());
    let mut packets = Vec::new();
    read(&server, &mut BytesMut::from(&written[..]), |packet| packets.push(packet));
    assert!(packets == vec![payload; FRAMES], "{name}");

    let mut out = Vec::new();
    let encode = Case::ours("ours", || write(config, &item, &mut out)).of(FRAMES as u32);
    bench.compare(&named(&format!("{name}, out"), len), len, [encode]);
    let mut input = BytesMut::new();
    let decode = Case::ours("ours", || {
        input.extend_from_slice(&written);
        read(&server, &mut input, drop);
    });
    bench.compare(&named(&format!("{name}, in"), len), len, [decode.of(FRAMES as u32)]);
}

/// Replaces `out` by a whole stream.
fn write(config: &WireConfig, item: &Outbound, out: &mut Vec<u8>) {
    out.clear();
    let mut wire = Wire::client(config, &mut SeededRandom::new(2)).unwrap();
    for _ in 0..FRAMES {
        wire.send(item, out).unwrap();
    }
}

/// Takes a whole stream out of `input`.
fn read(config: &Arc<ServerWireConfig>, input: &mut BytesMut, mut take: impl FnMut(BytesMut)) {
    let mut wire = Wire::server(config.clone(), &mut SeededRandom::new(3));
    while let Some(item) = wire.receive(input).unwrap() {
        match item {
            Inbound::Packet { payload, .. } => take(payload),
            Inbound::Error(_) | Inbound::QuickAck(_) => unreachable!("clients send packets only"),
        }
    }
    assert!(input.is_empty());
}
