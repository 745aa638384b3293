//! MTProto over TCP: dialling and listening, in every framing, obfuscated or not.
//!
//! [`TcpConnect`] opens connections, through a proxy if it is told so, and [`TcpDial`] makes links
//! of them. [`TcpListen`] takes what comes and finds out by the first bytes which framing it is.
//! [`detach`] and [`attach`] carry a connection from one runtime to another.

mod connect;
mod dial;
mod listen;
mod proxy;
mod race;
mod socket;

#[cfg(test)]
mod tests;

pub use connect::{CONNECT_LIMIT, FAILURE_MEMORY, FAILURES_MAX, PORTS, TcpConnect};
pub use dial::{FAKE_TLS_LIMIT, TcpDial};
pub use listen::{ACCEPT_PAUSE, BACKLOG, BindError, TcpListen};
pub use proxy::{PROXY_HEAD_LEN_MAX, PROXY_HEADERS_MAX, Proxy, ProxyError};
pub use race::ATTEMPT_DELAY;
pub use socket::{KEEPALIVE_AFTER, KEEPALIVE_EVERY, KEEPALIVE_PROBES, attach, detach};

/// A link over a TCP connection.
pub type TcpLink = mtproto_transport::StreamLink<tokio::net::TcpStream>;
