//! The byte streams that carry MTProto: recognition, obfuscation and framing, for both roles.
//!
//! [`Wire`] is the whole of one side of a stream and all a driver needs; it knows no socket. Bytes
//! go in as they arrive and come out as packets, quick acks and transport errors, and back. The
//! rest are the nouns it speaks: [`Framing`], [`Secret`], [`TransportError`], [`Address`],
//! [`ProxyLink`], [`Payload`].
//!
//! Peer bytes are hostile: a length never allocates, every refusal is a typed [`WireFault`].

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod address;
#[cfg(feature = "codec")]
mod codec;
mod config;
mod encoding;
pub mod fake_tls;
mod fault;
mod framing;
mod item;
mod kind;
mod obfuscation;
mod padding;
mod payload;
mod proxy_link;
mod reader;
mod secret;
mod sniffer;
mod transport_error;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub use address::{
    Address, AddressError, AddressReason, ApiPath, DataCenter, Host, Scheme, UnknownDataCenter,
    WebAddress, WebFault,
};
#[cfg(feature = "codec")]
pub use codec::{CodecError, WireCodec};
pub use config::{Obfuscation, ServerWireConfig, WireConfig};
pub use fault::{Misuse, PeerFault, WireFault};
pub use framing::{Framing, UnknownFraming};
pub use item::{Inbound, Outbound};
pub use kind::{Foreign, ObfuscationKind, Recognised, StreamKind};
pub use obfuscation::OBFUSCATED_HEADER_LEN;
pub use padding::{CLIENT_PADDING_MAX, SERVER_PADDING_MAX};
pub use payload::{Payload, SPARE_LEN_MAX, SPARE_MAX, SPARE_SHORT_LEN_MAX, Spare};
pub use proxy_link::{PROXY_LINK_LEN_MAX, ProxyLink, ProxyLinkError};
pub use secret::{SECRET_DOMAIN_LEN_MAX, Secret, SecretError, SecretKey};
pub use sniffer::{SNIFF_LEN_MAX, Sniff, Sniffer};
pub use transport_error::TransportError;
pub use wire::{OutputBuffer, Wire};

/// Longest payload of one frame that a server takes, in bytes. Living clients send up to 1 MiB and
/// an envelope of up to 8 KiB.
// req: L4
pub const FRAME_LEN_MAX_SERVER: usize = (1 << 20) + (8 << 10);

/// Longest payload of one frame that a client takes and that either side sends, in bytes.
pub const FRAME_LEN_MAX_CLIENT: usize = 1 << 24;
