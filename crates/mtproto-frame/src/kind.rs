//! What a stream turned out to be.

use std::fmt;

use crate::Framing;

/// What a stream turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recognised {
    /// Another protocol of the same port.
    Foreign(Foreign),
    /// MTProto in a byte stream.
    Stream(StreamKind),
}

/// A protocol that is told apart here and spoken elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Foreign {
    /// HTTP/1.1, or an upgrade to WebSocket.
    Http,
    /// TLS, real or fake.
    Tls,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Tls => "tls",
        })
    }
}

/// The layers of a byte stream that carries MTProto.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StreamKind {
    /// The framing.
    pub framing: Framing,
    /// The obfuscation's parameters, if there is one.
    pub obfuscation: Option<ObfuscationKind>,
}

/// What is known of an obfuscated stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ObfuscationKind {
    /// Which of the configured secrets opened it; of a client, 0 if it has one.
    pub secret: Option<u32>,
    /// The DC that the client named. It is for proxies; a server does not refuse any.
    pub dc: i16,
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.framing.fmt(f)?;
        match self.obfuscation {
            None => Ok(()),
            Some(ObfuscationKind { secret: None, .. }) => f.write_str("+obfuscated"),
            Some(ObfuscationKind { secret: Some(index), .. }) => write!(f, "+secret{index}"),
        }
    }
}
