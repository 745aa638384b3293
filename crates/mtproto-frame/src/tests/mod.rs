//! Both sides of a wire talk to each other, and to bytes written by hand.

mod addresses;
#[cfg(feature = "codec")]
mod codec;
mod control;
mod noise;
mod obfuscation;
mod padding;
mod refusals;
mod round_trips;
mod seam;
mod secrets;
mod sniffer;
mod vectors;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mtproto_crypto::SeededRandom;

use crate::*;

const KEY: [u8; 16] = *b"sixteen letters!";

/// A client's setting and a server that takes it.
struct Case {
    client: WireConfig,
    server: ServerWireConfig,
}

impl Case {
    fn open(client: WireConfig) -> Self {
        Self { client, server: ServerWireConfig::open() }
    }

    fn secret(framing: Framing, secret: Secret, accepted: Secret) -> Self {
        Self {
            client: WireConfig::with_secret(framing, secret),
            server: ServerWireConfig::with_secrets(vec![accepted]),
        }
    }

    /// The same client and server at every call.
    fn wires(&self) -> (Wire, Wire) {
        let client = Wire::client(&self.client, &mut SeededRandom::new(1)).unwrap();
        (client, server(&self.server))
    }
}

/// Every framing with every obfuscation and secret it goes with.
fn cases() -> Vec<Case> {
    let plain = || Secret::Plain(KEY.into());
    let padded = || Secret::Padded(KEY.into());
    let fake_tls = Secret::FakeTls { key: KEY.into(), domain: "example.org".to_owned() };
    let tagged = Framing::ALL.into_iter().filter(|framing| framing.tag().is_some());
    let mut cases: Vec<Case> =
        Framing::ALL.into_iter().map(|framing| Case::open(WireConfig::plain(framing))).collect();
    for framing in tagged {
        cases.push(Case::open(WireConfig::obfuscated(framing)));
        cases.push(Case::secret(framing, plain(), plain()));
    }
    cases.push(Case::secret(Framing::Padded, padded(), padded()));
    cases.push(Case::secret(Framing::Padded, padded(), plain()));
    // What a fake TLS stream carries in its records.
    cases.push(Case::secret(Framing::Padded, fake_tls, padded()));
    cases
}

fn server(config: &ServerWireConfig) -> Wire {
    Wire::server(Arc::new(config.clone()), &mut SeededRandom::new(2))
}

fn open_server() -> Wire {
    server(&ServerWireConfig::open())
}

fn client(framing: Framing) -> Wire {
    Wire::client(&WireConfig::plain(framing), &mut SeededRandom::new(1)).unwrap()
}

/// A server that has taken one packet of a client that speaks `framing`.
fn server_of(framing: Framing) -> Wire {
    let mut server = open_server();
    let hello = send(&mut client(framing), &[Outbound::packet(encrypted(2))]);
    receive(&mut server, &[&hello]).unwrap();
    server
}

/// What looks like an encrypted message of so many cipher blocks.
fn encrypted(blocks: usize) -> Bytes {
    (0..24 + 16 * blocks).map(|at| (at % 251) as u8 + 1).collect()
}

/// What looks like a plain message with a body of `len` bytes.
fn plain(len: u32) -> Bytes {
    let mut message = vec![0; 8];
    message.extend([7; 8]);
    message.extend(len.to_le_bytes());
    message.extend((0..len).map(|at| at as u8));
    message.into()
}

fn send(wire: &mut Wire, items: &[Outbound]) -> Vec<u8> {
    let mut out = Vec::new();
    items.iter().for_each(|item| wire.send(item, &mut out).unwrap());
    out
}

/// Gives the pieces one after the other to `wire`, and all that came of them.
fn receive(wire: &mut Wire, pieces: &[&[u8]]) -> Result<Vec<Inbound>, WireFault> {
    let mut input = BytesMut::new();
    let mut items = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(item) = wire.receive(&mut input)? {
            items.push(item);
        }
    }
    Ok(items)
}

/// What a frame of a client, behind its opening, is to a server.
fn receive_frame(framing: Framing, frame: &[u8]) -> Result<Vec<Inbound>, WireFault> {
    receive(&mut open_server(), &[framing.opening(), frame])
}

fn packet(payload: &[u8], quick_ack: bool) -> Inbound {
    Inbound::Packet { payload: payload.into(), quick_ack }
}
