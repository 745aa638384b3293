//! Conversations with the server endpoint, in virtual time.

mod binding;
mod destroyed;
mod destroying;
mod exchanges;
mod keys;
mod listing;
mod mutation;
mod peer;
mod sessions;
mod talk;
mod turns;
mod world;

use std::time::Instant;

/// A moment to begin at. It is the only one that a test takes from outside.
#[allow(clippy::disallowed_methods, reason = "virtual time needs a beginning")]
fn start() -> Instant {
    Instant::now()
}
