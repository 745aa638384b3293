//! MTProto 2.0, the protocol under Telegram, for both sides of the wire.
//!
//! This crate is a table of contents: it re-exports the others, each under its own name, and holds
//! no logic. Take it for everything, or a single crate for a part.
//!
//! | module | what it is | feature |
//! |---|---|---|
//! | [`tl`] | TL values, ids, the service messages | |
//! | [`crypto`] | IGE, the message envelope, RSA, Diffie-Hellman, pq | |
//! | [`pack`] | containers, gzip, RPC results | |
//! | [`frame`] | framings, obfuscation, recognition of streams, addresses, secrets | |
//! | [`auth`] | the key exchange | |
//! | [`session`] | ids, acknowledgements, salts, duplicates, re-sending | |
//! | [`store`] | storage traits, in memory and as a session file | |
//! | [`endpoint`] | a whole client or server without clock, socket or runtime | |
//! | `transport`, `tcp` | links, and TCP | `tcp` |
//! | `http`, `ws` | HTTP with long polls, WebSocket | `web` |
//! | `tls` | certificates, and whom to believe: `https`, `wss` | `tls` |
//! | `client` | a client that keeps its requests over reconnects | `client` |
//! | `server` | a server for any TL schema | `server` |
//! | `store_redb` | auth keys in one redb file | `redb` |
//! | `tl_gen` | the generator of Rust code from a TL schema | `codegen` |
//!
//! Features of the crates themselves go by the same names here: `codec` adds the tokio-util codecs
//! to [`frame`], `session-file` the client's file and `files` its tools to [`store`], `conformance`
//! the suites of [`store`] and `transport`, `os-random` and, for tests, `seeded-random` the
//! generators to [`crypto`].

pub use mtproto_auth as auth;
#[cfg(feature = "client")]
pub use mtproto_client as client;
pub use mtproto_crypto as crypto;
pub use mtproto_endpoint as endpoint;
pub use mtproto_frame as frame;
#[cfg(feature = "web")]
pub use mtproto_http as http;
pub use mtproto_pack as pack;
#[cfg(feature = "server")]
pub use mtproto_server as server;
pub use mtproto_session as session;
pub use mtproto_store as store;
#[cfg(feature = "redb")]
pub use mtproto_store_redb as store_redb;
#[cfg(feature = "tcp")]
pub use mtproto_tcp as tcp;
pub use mtproto_tl as tl;
#[cfg(feature = "codegen")]
pub use mtproto_tl_gen as tl_gen;
#[cfg(feature = "tls")]
pub use mtproto_tls as tls;
#[cfg(any(feature = "client", feature = "server", feature = "tcp", feature = "web"))]
pub use mtproto_transport as transport;
#[cfg(feature = "web")]
pub use mtproto_ws as ws;
