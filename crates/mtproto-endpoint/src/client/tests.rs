//! Conversations of the client endpoint with the server endpoint, in virtual time.

mod chaos;
mod connections;
mod keys;
mod leaving;
mod links;
mod names;
mod requests;
mod turns;
mod waking;
mod world;

use std::time::Instant;

/// A moment to begin at. It is the only one that a test takes from outside.
#[allow(clippy::disallowed_methods, reason = "virtual time needs a beginning")]
pub(super) fn start() -> Instant {
    Instant::now()
}
