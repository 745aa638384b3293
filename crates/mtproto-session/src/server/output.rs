//! What a server session wants done, as plain data.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_pack::RpcError;
use mtproto_tl::{MsgId, SessionId, functions};

use crate::{LinkId, Outgoing};

/// What the session wants next. `Wait` ends the drain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServerOutput {
    /// Close this link when so much time has passed, then say `link_detached`. What any session of
    /// the link asks later takes the place of this.
    // req: S29
    CloseAfter {
        /// The link.
        link: LinkId,
        /// How long it may stay.
        delay: Duration,
    },
    /// Something only the caller can do. Requests and controls come before what is sent, so an
    /// answer given at once leaves in the same packet.
    Control(Control),
    /// Carry out this query and give its outcome to `answer`.
    Request(Request),
    /// Seal this and write it to its link.
    Send(Outgoing),
    /// Nothing more until input arrives or this moment passes.
    Wait(Option<Instant>),
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Every message of it is received, now or before.
    Accepted,
    /// None is. The client is told why.
    Refused,
}

/// A query to be carried out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The message that brought it; names it when it is answered.
    pub id: MsgId,
    /// The link that it came over.
    pub link: LinkId,
    /// The innermost query: without `invokeWithLayer` and its like, unpacked. If the wrappers
    /// cannot be opened it is the same as `wrapped`.
    pub query: Bytes,
    /// The query as it came, wrappers included; unpacked if all of it was packed.
    pub wrapped: Bytes,
    /// What `invokeAfterMsg(s)` named. Those of this session that were still being carried out are
    /// done by now.
    pub after: Vec<MsgId>,
    /// What `invokeWithLayer` named.
    pub layer: Option<i32>,
    /// Whether `invokeWithoutUpdates` was among the wrappers.
    pub without_updates: bool,
}

/// The outcome of a query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RpcReply {
    /// The answer, one boxed object.
    Ok(Bytes),
    /// `rpc_error`.
    Err(RpcError),
}

/// What a session cannot do by itself, because it concerns its auth key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Control {
    /// Bind the temporary key that this session uses, then `answer(request, …)` with `boolTrue` or
    /// an error.
    // req: S113
    BindTempAuthKey {
        /// The message whose id the binding is about; names it when it is answered.
        request: MsgId,
        /// The link that it came over.
        link: LinkId,
        /// The query.
        query: functions::auth::BindTempAuthKey,
    },
    /// Destroy the auth key, then `auth_key_destroyed(ticket, …)`, and send that before links
    /// close.
    // req: S66
    DestroyAuthKey(Ticket),
    /// Forget another session of the same auth key, then `session_destroyed(ticket, …)`.
    // req: S31
    DestroySession {
        /// Where the answer goes.
        ticket: Ticket,
        /// The session to forget.
        session_id: SessionId,
    },
}

/// Remembers for the caller who asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ticket {
    /// The message that asked.
    pub request: MsgId,
    /// The link that it came over.
    pub link: LinkId,
}

/// What became of an auth key that was to be destroyed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyDestroyed {
    /// It could not be destroyed.
    Fail,
    /// There was no such key.
    None,
    /// It is gone.
    Ok,
}
