//! What the tests of promises that span crates share: a server in this process, and a peer that is
//! driven by hand, byte by byte if need be.
//!
//! Nothing here retries, acknowledges or repairs anything: what a test does not send is not sent.

mod app;
mod http;
pub mod malformed;
mod mutator;
mod peer;
mod session;
mod world;

pub use app::{Clock, address, echo, now, object, public_key, server, server_at};
pub use http::{HttpPeer, Response};
pub use mutator::Mutator;
pub use peer::{PATIENCE, Peer, Received, plain_packet};
pub use session::{HandSession, Sealed, answer_in, layout, seal};
pub use world::{Act, BLOB, COUNT, ECHO, PANIC, PUSHED, SLEEP_MS, World, play};
