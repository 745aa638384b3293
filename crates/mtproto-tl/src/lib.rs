//! TL, the binary language of MTProto: how values look on the wire, and every service message.
//!
//! Hand-written here are the reader, the traits and the identifiers; `generated` is written by
//! `cargo xtask codegen` from `schema/mtproto.tl`. A decoder is total: whatever a peer sends ends in
//! a value or a [`DecodeError`], and nothing is allocated for more than the bytes that are there.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod codec;
mod ids;
mod reader;

pub use codec::{Constructor, Decode, Encode, Function, Raw, VECTOR_ID};
pub use ids::{AuthKeyId, Author, MsgId, Salt, Seqno, ServerTime, SessionId};
pub use reader::{DEPTH_MAX, DecodeError, Reader};

// What generated code needs and its users already have; it keeps their manifests short.
#[doc(hidden)]
pub use bytes;
