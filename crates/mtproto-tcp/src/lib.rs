//! MTProto over TCP: dialling and listening, in every framing, obfuscated or not.
//!
//! [`TcpDial`] tries all addresses of a name until one answers. [`TcpListen`] takes what comes and
//! finds out by the first bytes which framing it is. [`detach`] and [`attach`] carry a connection
//! from one runtime to another.

mod dial;
mod listen;
mod socket;

#[cfg(test)]
mod tests;

pub use dial::{ATTEMPT_DELAY, CONNECT_LIMIT, TcpDial};
pub use listen::{ACCEPT_PAUSE, BACKLOG, BindError, TcpListen};
pub use socket::{KEEPALIVE_AFTER, KEEPALIVE_EVERY, KEEPALIVE_PROBES, attach, detach};

/// A link over a TCP connection.
pub type TcpLink = mtproto_transport::StreamLink<tokio::net::TcpStream>;
