//! What the server endpoint wants done, as plain data.

use std::fmt;
use std::time::Instant;

use mtproto_frame::{Outbound, TransportError};
use mtproto_session::LinkId;
use mtproto_tl::{AuthKeyId, MsgId, SessionId};

use super::{Job, StoreRequest};

/// What the endpoint wants next. `Wait` ends the drain.
#[derive(Debug)]
pub enum Output {
    /// Send what is queued for the link, then close it. Later inputs that name it are ignored.
    Close {
        /// The link.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
    /// Run this off the loop and give the result to `computed`, or, for want of room, to `refused`.
    Compute(Box<Job>),
    /// Something an operator or the application may want to know.
    Event(Event),
    /// Call the application, and give its outcome to `answer`. An answer given before the next
    /// `poll_output` rides in the same packet as every other one of this drain.
    Request(Request),
    /// Write this to the link.
    Send {
        /// The link.
        link: LinkId,
        /// What to write.
        item: Outbound,
    },
    /// Ask the store, and give the outcome to `stored`, also when it fails.
    Store(StoreRequest),
    /// Nothing more until input arrives or this moment passes.
    Wait(Option<Instant>),
}

/// Names a session on this server.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionRef {
    /// The auth key that its messages are encrypted with.
    pub key: AuthKeyId,
    /// The session of that key.
    pub session: SessionId,
}

/// Names a query of a session.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RequestRef {
    /// The session it came in.
    pub session: SessionRef,
    /// The message that brought it.
    pub msg_id: MsgId,
}

/// A query for the application.
#[derive(Clone, Debug)]
pub struct Request {
    /// Names it when the answer is given.
    pub id: RequestRef,
    /// The permanent key on whose behalf it came: the session's own, or the one its temporary key
    /// is bound to. `None` while a temporary key is not bound.
    pub identity: Option<AuthKeyId>,
    /// What is asked.
    pub content: mtproto_session::Request,
}

/// Why the endpoint closes a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The key it used was destroyed.
    KeyDestroyed,
    /// The temporary key it used, and no other, has expired.
    KeyExpired,
    /// The delay of its last `ping_delay_disconnect` has passed.
    PingDelay,
    /// The peer broke a rule that costs it the link, and has been told this.
    Refused(TransportError),
}

/// Something worth knowing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An exchange made a key.
    KeyCreated(AuthKeyId),
    /// A key is gone, and with it all of its sessions. Other shards must forget it too.
    KeyDestroyed(AuthKeyId),
    /// Another key was bound in place of this temporary one. Other shards must learn it too.
    KeyUnbound(AuthKeyId),
    /// A session wants its link closed at this moment. Other shards know nothing of that: if one of
    /// them closes the link sooner with [`CloseReason::PingDelay`], what it goes by is out of date;
    /// leave the connection open, and tell that shard so with `link_opened`.
    // req: S29
    LinkTimer(LinkId, Instant),
    /// A session was forgotten.
    SessionClosed(SessionRef),
    /// Memory is short: the oldest of what waited to be acknowledged was forgotten.
    Shed {
        /// How much of it.
        bytes: usize,
    },
    /// A message created a session.
    SessionOpened(SessionRef),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyDestroyed => f.write_str("its key was destroyed"),
            Self::KeyExpired => f.write_str("its key has expired"),
            Self::PingDelay => f.write_str("its last ping was long ago"),
            Self::Refused(error) => write!(f, "refused with {error}"),
        }
    }
}
