//! Session bookkeeping of MTProto: message ids, acknowledgements, salts, duplicates, sending again.
//!
//! [`ClientSession`] and [`ServerSession`] are two machines over the same parts. Inputs record
//! facts, `poll_output` computes what follows from them, and its `Wait` ends the drain; any number
//! of inputs may come before one drain, and whatever is then ready for a link leaves in one packet.
//! A machine gets decrypted messages and gives messages to be encrypted; it knows no clock, no
//! socket and no key.
//!
//! Who drives one keeps to this:
//!
//! - Every verb and input takes `now`, which never runs back. After any of them, poll until `Wait`.
//!   The
//!   moment that `Wait` names is good until the next input; when it comes, call `handle_timeout`.
//! - An `Outgoing` is sealed under its own `salt` and `session_id` and written to its own link, in
//!   the
//!   order in which it came. If that link is gone, throw it away: `link_detached` makes another.
//! - A link that has ended, or that the machine wanted closed, is reported by `link_detached`, once
//!   its
//!   last message was handed in. `LinkId`s are never used twice.
//! - Packets of a link that takes turns, as over HTTP, are given to the server's session by
//!   `handle_turn`, and it sends one `Outgoing` for each. The client's learns by `link_attached`
//!   that a link is such a one, and by `turn_ended` that a packet was answered without a byte.
//! - On the server a link attaches itself, by its first message that is not a duplicate. On the
//!   client
//!   `link_attached` says that it is open.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod acks;
mod ascending;
mod bad_msg;
pub mod client;
mod clock;
mod fault;
mod ids;
mod inbox;
mod long_poll;
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
pub use long_poll::{COMPANY_WAIT, HTTP_WAIT_MAX, LongPoll, News, UNGOVERNED_WAIT};
pub use packet::{LinkId, OutMessage, Outgoing};
pub use salts::{
    FUTURE_SALTS_MAX, FirstSalt, SALT_PERIOD, SALTS_MAX, SaltSchedule, SaltSecret, Salts,
};
pub use server::{
    Control, KeyDestroyed, Request, RpcReply, ServerOutput, ServerSession, ServerSessionConfig,
    Strictness, Ticket, Verdict,
};
