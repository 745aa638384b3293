//! MTProto over WebSocket, for both roles.
//!
//! [`WsDial`] opens a WebSocket over any byte stream, [`WsListen`] takes them on a port of its own;
//! a server with one port for everything asks [`answer`] what to say to an upgrade and makes a
//! [`WsLink`] of the stream. Over TLS it is the same: the address says `wss`, and the stream below
//! is a TLS one.
//!
//! Handshakes and frame headers are tungstenite's. Its messages are not used: here the messages of
//! a WebSocket are one byte stream, so [`WsStream`] passes their contents through as they come, and
//! an idle one holds no buffer, however long its messages were.
//!
//! Pages in a browser should be given `wss` addresses rather than HTTP ones: one connection then
//! carries everything both ways, and no page that was itself loaded over HTTPS may use another.
// req: S80

mod dial;
mod frames;
mod handshake;
mod link;
mod listen;
mod stream;

#[cfg(test)]
mod tests;

pub use dial::WsDial;
pub use frames::{CloseReason, WsFault};
pub use handshake::{
    AcceptError, HANDSHAKE_LIMIT, HEAD_LEN_MAX, Refusal, SUBPROTOCOL, accept, answer,
};
pub use link::{WsLink, WsServerConfig};
pub use listen::{ACCEPT_PAUSE, HANDSHAKES_MAX, WsListen};
pub use stream::{FRAME_PAYLOAD_MAX, MESSAGE_HEADROOM, UNWRITTEN_MAX, WsStream};
