//! What every transport is to those above it: a [`Link`] that carries packets, and ways to get one.
//!
//! [`StreamLink`] makes a link of any byte stream; [`memory`] joins two of them without a socket. A
//! link is polled, not awaited: one task owns it through `&mut` and sends and receives at once, and
//! nothing is lost when a future over it is dropped. [`LinkExt`] has the `async` forms.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

#[cfg(feature = "conformance")]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a suite says no by panicking"
)]
pub mod conformance;
mod connect;
mod fake_tls;
mod link;
pub mod memory;
mod rewound;
mod stream;

#[cfg(test)]
mod tests;

pub use connect::{Connect, Connected, Dial, DialError, Listen, Stream};
pub use fake_tls::{Admission, FAKE_TLS_WRITE_LEN_MAX, FakeTlsStream};
pub use link::{Carrier, Link, LinkError, LinkExt, Origin, Peer};
pub use rewound::Rewound;
pub use stream::{READ_LEN_MAX, READ_LEN_MIN, StreamLink, StreamState, UNSENT_MAX};
