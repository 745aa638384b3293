//! Rust from TL schemas: a parser for the whole of TL in real use, and an emitter of code that
//! reads as if written by hand.
//!
//! What is generated depends on the crate `mtproto-tl` and nothing else. A constructor becomes a
//! struct in `types`, a type with several constructors an enum in `enums`, a function a struct in
//! `functions`; a namespace becomes a module in each. Constructors that [`Generator::views`] names
//! get a struct in `views` too, which borrows. The workspace's own schemas go through
//! `cargo xtask codegen`; so can yours (`--schema FILE --out DIR`), or a `build.rs` calls
//! [`Generator`].

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod crc;
mod emit;
mod error;
mod generator;
mod graph;
mod items;
mod layout;
mod lexer;
mod model;
mod names;
mod parser;
mod resolve;
mod schema;
mod views;

pub use crc::constructor_id;
pub use error::{Error, ErrorKind, Position};
pub use generator::{File, Generator};
pub use schema::{Body, Declaration, Field, Flag, Schema, Section, Type, TypeKind};
