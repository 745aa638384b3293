//! An MTProto client that keeps its requests over reconnects.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mtproto_client::Client;
//!
//! let client = Client::builder()
//!     .address("tcp://127.0.0.1:4430")
//!     .server_keys(&std::fs::read_to_string("public.pem")?)
//!     .connect()
//!     .await?;
//! println!("{:?} to the server and back", client.ping().await?);
//! # Ok(())
//! # }
//! ```
//!
//! The address says which transport: `tcp`, and with the feature `web` also `ws` and `http`, with
//! `tls` those over TLS, `wss` and `https`.
//!
//! This is a thin shell: one task owns the links and a
//! [`ClientEndpoint`](mtproto_endpoint::client::ClientEndpoint), which makes every decision of the
//! protocol. Every channel between a caller and that task is bounded, so a fast caller waits for
//! the server, and a slow one slows it down.

mod actor;
mod builder;
mod call;
mod cancel;
mod client;
mod clock;
mod error;
mod events;
mod links;
mod route;
#[cfg(test)]
mod tests;

pub use builder::{CONNECT_TIMEOUT, ClientBuilder};
pub use call::{Call, CallOptions};
pub use client::{Client, ConnectInfo, SHUTDOWN_MAX};
pub use error::{CallError, ConnectError, InvokeError, LogOutError};
pub use events::{EVENTS_MAX, EVENTS_PAUSE_MAX, Event, Events};
pub use mtproto_auth::Fault as ExchangeFault;
pub use mtproto_endpoint::client::{
    Closed, Gap, KeyLoss, KeyMade, LOG_OUT_MAX, LinkEnd, Misuse, ReconnectPolicy, State,
};
pub use mtproto_session::PingConfig;
pub use mtproto_tcp::{Proxy, ProxyError};
#[cfg(feature = "tls")]
pub use mtproto_tls::{Fingerprint, FingerprintError, TlsClient, TlsError, Trust};
