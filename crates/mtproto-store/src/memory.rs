//! Everything in memory: for tests, for demonstrations, and as the reference that other stores are
//! compared with.

mod bus;
mod handshakes;
mod keys;
mod queue;
mod requests;
mod sessions;

pub use bus::{INBOX_FRAMES_MAX, MemoryBus, MemoryHub};
pub use handshakes::{HANDSHAKES_MAX, Handshakes};
pub use keys::{KEYS_MAX, MemoryKeyStore};
pub use requests::RESULT_BYTES_MAX;
pub use sessions::{MemorySessionStore, SESSIONS_MAX};
