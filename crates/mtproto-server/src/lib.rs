//! An MTProto server for any TL schema.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use mtproto_server::{Request, Server, handler_fn, method_invalid};
//!
//! let pem = std::fs::read_to_string("private.pem")?;
//! let server = Server::builder()
//!     .listen("127.0.0.1:0")
//!     .key(mtproto_crypto::rsa::RsaPrivateKey::from_pem(&pem)?)
//!     .serve(handler_fn(|request: Request| async move {
//!         let _ = request.query; // one boxed object of your schema
//!         Err(method_invalid())
//!     }))
//!     .await?;
//! println!("listening on {:?}", server.addresses());
//! # Ok(())
//! # }
//! ```
//!
//! One port takes every transport: TCP in all framings, obfuscated or not, and what looks like TLS;
//! with the feature `web` HTTP and WebSocket, and with `tls` both over TLS.
//!
//! A server runs one shard per core: a thread that owns every auth key that hashes to it, with all
//! of its sessions, so nothing of a session is ever locked. Connections are dealt to the shards in
//! turn and hand each packet to its owner.

mod accept;
mod builder;
mod clock;
mod connection;
mod door;
mod home;
mod listing;
mod outbox;
mod pool;
mod quota;
mod server;
mod service;
mod shard;
mod watch;

pub use builder::{Limits, ServeError, ServerBuilder};
pub use listing::{SESSIONS_PAGE_MAX, SessionInfo, Sessions};
#[cfg(feature = "web")]
pub use mtproto_http::{Page, Pages};
pub use mtproto_pack::RpcError;
pub use mtproto_session::Strictness;
#[cfg(feature = "tls")]
pub use mtproto_tls::{TlsError, TlsServer};
pub use server::{PushError, Server, SessionHandle};
pub use service::{HandlerFn, Request, handler_fn, method_invalid};
