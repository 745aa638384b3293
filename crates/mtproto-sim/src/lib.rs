//! Clients, a server of several shards, the links between them and a store, under one seed and in
//! virtual time.
//!
//! A [`Scenario`] is a seed and how long it is busy. Everything else follows from the seed: how
//! many clients there are and what they ask for, and all that goes wrong ([`faults`]). After the
//! busy time comes a quiet one, in which nothing goes wrong any more and everything must come to
//! its end. [`invariants`] says what must hold, and a [`Report`] what was seen.
//!
//! What is simulated is real down to the bytes of a stream: packets are sealed, framed and
//! obfuscated, and keys are exchanged with RSA and Diffie-Hellman.

mod agenda;
mod client;
mod dice;
mod env;
pub mod faults;
pub mod invariants;
mod net;
mod objects;
mod report;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod trace;
mod work;
mod world;

pub use invariants::Violation;
pub use report::Report;
pub use world::{QUIET, Scenario, run};
