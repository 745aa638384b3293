//! A whole MTProto client or server: links × keys × sessions of one role, without a clock, a socket
//! or a runtime.
//!
//! Both are machines of one shape. Inputs record what happened, `poll_output` says what to do next
//! and ends each drain with the moment until which there is nothing more to do. What takes a while
//! or may fail — a step of the key exchange, a look into the store — is an output too, and its
//! outcome comes back as an input, so a slow or lying store is simulated like a bad network.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod client;
pub mod server;
