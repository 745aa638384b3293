//! Session bookkeeping of MTProto: message ids, acknowledgements, salts, duplicates, sending again.
//!
//! [`ClientSession`] and [`ServerSession`] are two machines over the same parts. Inputs record facts,
//! `poll_output` computes what follows from them, and its `Wait` ends the drain; any number of inputs
//! may come before one drain, and whatever is then ready for a link leaves in one packet. A machine
//! gets decrypted messages and gives messages to be encrypted; it knows no clock, no socket and no key.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod acks;
mod bad_msg;
pub mod client;
mod clock;
mod fault;
mod ids;
mod inbox;
mod notices;
mod packet;
mod salts;
pub mod server;
#[cfg(test)]
mod tests;
pub mod transcript;

pub use acks::{ACK_QUEUE_MAX, AckQueue, IDS_MAX};
pub use bad_msg::BadMsg;
pub use client::{
    ClientCloseReason, ClientEvent, ClientOutput, ClientSession, ClientSessionConfig, Gap,
    MakeBody, PingConfig, PingId, RequestError, RequestId, RequestOptions,
};
pub use clock::ServerClock;
pub use fault::{Fault, Misuse};
pub use ids::{MsgIds, Seqnos};
pub use inbox::{Arrival, Inbox, MsgState};
pub use packet::{LinkId, Outgoing};
pub use salts::{
    FUTURE_SALTS_MAX, FirstSalt, SALT_PERIOD, SALTS_MAX, SaltSchedule, SaltSecret, Salts,
};
pub use server::{
    Control, KeyDestroyed, Request, RpcReply, ServerCloseReason, ServerOutput, ServerSession,
    ServerSessionConfig, Strictness, Ticket, Verdict,
};
