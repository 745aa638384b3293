//! MTProto over HTTP/1.1, for both roles: a packet is the body of a POST, its answer that of the
//! response.
//!
//! [`HttpServerLink`] is one connection of a client. Each POST opens a turn, which ends with the
//! one packet or error that is sent for it, at once or after a long poll. [`HttpDial`] makes the
//! client's link, which spreads its packets over a few connections, so that a query need not wait
//! for a long poll.
//!
//! hyper reads what peers send. A server link has it only while a request arrives: a turn that is
//! held costs no buffer.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod answer;
mod channel;
mod client;
mod config;
mod deadline;
mod dial;
mod exchange;
mod fault;
mod intake;
mod route;
mod server;

#[cfg(test)]
mod tests;

pub use client::{CONNECTIONS_MAX, HttpClientLink};
pub use config::{BODY_LIMIT, HEAD_LIMIT, HttpConfig, IDLE_LIMIT, Page, Pages, Upgrade};
pub use dial::HttpDial;
pub use exchange::ANSWER_LIMIT;
/// What [`Upgrade`] speaks of.
pub use hyper::{Request, Response};
pub use intake::HEAD_LEN_MAX;
pub use route::URI_LEN_MAX;
pub use server::{HttpServerLink, LEAVE_LEN_MAX, LEAVE_LIMIT};
