//! TL, the binary language of MTProto: how values look on the wire, and every service message.
//!
//! Hand-written here are the reader, the traits and the identifiers; `generated` is written by
//! `cargo xtask codegen` from `schema/mtproto.tl`. A decoder is total: whatever a peer sends ends
//! in a value or a [`DecodeError`], and nothing is allocated for more than the bytes that are
//! there.
//!
//! A [`View`] reads a value where it lies and takes no memory; messages that are lists of ids have
//! one in [`views`]:
//!
//! ```
//! use mtproto_tl::{Encode, MsgId, View, types, views};
//!
//! let packet = types::MsgsAck { msg_ids: vec![MsgId(4), MsgId(8)] }.to_bytes();
//! let acks = views::MsgsAck::of(&packet)?;
//! assert!(acks.msg_ids.iter().all(MsgId::is_from_client));
//! # Ok::<(), mtproto_tl::DecodeError>(())
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

// Generated code names this crate as its users do.
extern crate self as mtproto_tl;

mod codec;
mod fixed;
mod ids;
mod reader;
mod view;
#[rustfmt::skip]
mod generated {
    pub mod service;
    pub mod wrappers;
}

pub use codec::{
    Constructor, Decode, Encode, Function, Raw, VECTOR_ID, encode_byte_string, encode_items,
    encode_vector,
};
pub use fixed::{Fixed, Wire};
pub use generated::service::{enums, functions, types, views};
pub use generated::wrappers;
pub use ids::{AuthKeyId, Author, MsgId, Salt, Seqno, ServerTime, SessionId};
pub use reader::{DEPTH_MAX, DecodeError, Reader};
pub use view::{Items, View};

// What generated code needs and its users may not have; it keeps their manifests short.
#[doc(hidden)]
pub use bytes;
