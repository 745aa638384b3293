//! What an endpoint keeps, as three narrow traits: [`KeyStore`] (the durable half, which must not
//! lose an auth key), [`SessionStore`] (the forgetful half) and [`Bus`] (how nodes reach each
//! other); and [`ClientStore`], what a client keeps between two runs.
//!
//! Each has an implementation in memory, and a suite in `conformance` that every other
//! implementation runs. Nothing here reads a clock: a method whose answer depends on the time takes
//! `now`, the caller's server time. The parts that touch the disk belong to drivers and are behind
//! features: `files`, and with `session-file` the client's `SessionFile`.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod bus;
mod client;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
#[cfg(feature = "files")]
pub mod files;
mod keys;
mod memory;
#[cfg(feature = "session-file")]
mod session_file;
mod sessions;

pub use bus::{Bus, Delivered, FRAME_LEN_MAX, Members, NodeId, NodeRef};
pub use client::{
    ClientKey, ClientRecord, ClientStore, DCS_MAX, DcRecord, MemoryClientStore, SALTS_MAX,
    SaltPeriod, TemporaryKey,
};
pub use error::StoreError;
pub use keys::{
    Bound, HANDSHAKE_STATE_LEN_MAX, Inserted, KeyKind, KeyRecord, KeyStore, ServerNonce,
    ServerSecret,
};
pub use memory::{
    HANDSHAKES_MAX, Handshakes, INBOX_FRAMES_MAX, KEYS_MAX, MemoryBus, MemoryHub, MemoryKeyStore,
    MemorySessionStore, RESULT_BYTES_MAX, SESSIONS_MAX,
};
#[cfg(feature = "session-file")]
pub use session_file::{SESSION_FILE_LEN_MAX, SessionFile, SessionFileError, Unreadable};
pub use sessions::{
    Accept, Attach, Fenced, Lease, Producer, Pushed, QUEUE_BYTES_MAX, QUEUE_LIFE_MAX,
    QUEUE_MESSAGES_MAX, QueueLimits, Queued, REQUEST_LIFE_MAX, REQUESTS_MAX, SESSION_IDLE_MAX,
    SNAPSHOT_LEN_MAX, SessionRef, SessionStore, Token,
};
