//! What stands inside an encrypted message: containers, gzip, `rpc_result`, and the API's wrappers.
//!
//! One way in, [`Unpacked`]: it opens containers, copies and gzip in a loop, all of a packet or
//! nothing of it, within [`Limits`]. One way out, [`write_container`] and [`gzip::pack`]. Nothing
//! here keeps state; bodies share the memory of the packet they came in.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod container;
mod flatten;
pub mod gzip;
mod inflate;
mod rpc;
#[cfg(test)]
mod tests;
pub mod wrappers;

pub use container::{
    CONTAINER_HEADER_LEN, CONTAINER_ID, CONTAINER_MESSAGES_MAX, CONTAINER_SEND_BYTES_MAX,
    CONTAINER_SEND_MESSAGES_MAX, Container, ContainerError, MESSAGE_HEADER_LEN, Message,
    MessageView, PacketSlice, container_header, message_header, object_id, read_container,
    write_container,
};
pub use flatten::{
    Flat, Found, INFLATED_MAX, Item, Limits, MSG_COPY_ID, PackError, Unpacked, flatten,
};
pub use gzip::{GZIP_PACKED_ID, GzipError};
pub use rpc::{
    DropAnswer, RPC_ERROR_ID, RPC_RESULT_ID, RpcAnswer, RpcError, RpcResult, RpcResultView,
};
