//! What a stream carries, above its framing.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::{Payload, TransportError};

/// One thing that arrived.
#[derive(Eq, PartialEq)]
pub enum Inbound {
    /// The server is in trouble with what we sent. Only a client receives this.
    Error(TransportError),
    /// An encrypted or plain message; padding of the padded framing is cut off.
    Packet {
        /// From the auth key id on; it may be decrypted in place.
        payload: BytesMut,
        /// The client asked for a quick ack of it. Only a server sees this set.
        quick_ack: bool,
    },
    /// The server has accepted the packet with this token (bit 31 set). Only a client receives
    /// this.
    QuickAck(u32),
}

/// One thing to send.
#[derive(Clone, Eq, PartialEq)]
pub enum Outbound {
    /// Tells the client what is wrong. Only a server sends this.
    Error(TransportError),
    /// An encrypted or plain message.
    Packet {
        /// From the auth key id on; a multiple of four bytes.
        payload: Payload,
        /// Asks the server for a quick ack. The full framing has none and sends the packet without
        /// asking.
        quick_ack: bool,
    },
    /// Acknowledges the packet with this token (bit 31 set). Only a server sends this, and only
    /// when it was asked.
    QuickAck(u32),
}

impl Outbound {
    /// A packet without a wish for a quick ack.
    #[must_use]
    pub fn packet(payload: impl Into<Bytes>) -> Self {
        Self::Packet { payload: Payload::Shared(payload.into()), quick_ack: false }
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => f.debug_tuple("Error").field(error).finish(),
            Self::Packet { payload, quick_ack } => debug_packet(payload, *quick_ack, f),
            Self::QuickAck(token) => write!(f, "QuickAck({token:#010x})"),
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => f.debug_tuple("Error").field(error).finish(),
            Self::Packet { payload, quick_ack } => debug_packet(payload, *quick_ack, f),
            Self::QuickAck(token) => write!(f, "QuickAck({token:#010x})"),
        }
    }
}

/// Shows no payload: a plain one holds nonces.
fn debug_packet(payload: &[u8], quick_ack: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct("Packet").field("len", &payload.len()).field("quick_ack", &quick_ack).finish()
}

/// Which end of the stream this is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// Bit 31 of a length asks for a quick ack, and in its place marks a quick ack's token.
pub(crate) const QUICK_ACK_BIT: u32 = 1 << 31;
