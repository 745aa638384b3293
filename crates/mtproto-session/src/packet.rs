//! One packet in the making: a message, or a container of several.

use std::time::Duration;

use bytes::Bytes;
use mtproto_pack::{
    CONTAINER_SEND_BYTES_MAX, CONTAINER_SEND_MESSAGES_MAX, MESSAGE_HEADER_LEN, Message,
    write_container,
};
use mtproto_tl::{Author, Salt, Seqno, ServerTime, SessionId};
use smallvec::SmallVec;

use crate::{MsgIds, Seqnos};

/// A message older than this goes into a container, whose id is fresh.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(150);

/// Names a link of a session. The caller chooses; it must not use a number again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkId(pub u64);

/// A packet to be sealed and written. It is made once: what is sent again stands in a new one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// The link to write it to.
    pub link: LinkId,
    /// For the envelope's header.
    pub salt: Salt,
    /// For the envelope's header.
    pub session_id: SessionId,
    /// One message, or a container of several.
    pub message: Message,
    /// Whether the transport shall ask for a quick acknowledgement.
    pub quick_ack: bool,
}

/// Gathers what leaves together.
#[derive(Debug, Default)]
pub(crate) struct Packet {
    messages: SmallVec<[Message; 1]>,
    bytes: usize,
    wrap: bool,
    has_reply: bool,
    is_closed: bool,
}

impl Packet {
    /// Whether a message with a body of `len` bytes may still join. The first always may, whatever
    /// its size.
    // req: S46
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.messages.is_empty()
            || !self.is_closed
                && self.messages.len() < CONTAINER_SEND_MESSAGES_MAX
                && self.bytes + MESSAGE_HEADER_LEN + len <= CONTAINER_SEND_BYTES_MAX
    }

    /// Adds a message that has its id and seqno.
    pub(crate) fn push(&mut self, message: Message) {
        self.has_reply |= message.id.0 & 3 == Author::ServerReply as u64;
        self.bytes += message.wire_len();
        self.messages.push(message);
    }

    /// Adds a message that is not content-related, and gives it the next id.
    pub(crate) fn push_service(
        &mut self,
        body: Bytes,
        author: Author,
        ids: &mut MsgIds,
        seqnos: Seqnos,
        time: ServerTime,
    ) -> Message {
        let message = Message { id: ids.issue(time, author), seqno: seqnos.service(), body };
        self.push(message.clone());
        message
    }

    /// Makes it a container even of one: a message that was sent before, or is old, gets an id that
    /// is fresh around it. Without a message it is one that says nothing.
    pub(crate) fn wrap(&mut self) {
        self.wrap = true;
    }

    /// Lets nothing follow what is in it.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// What goes into the envelope; `None` if there is nothing in it and nothing around it. The
    /// container is the last to get an id, so its content is below it.
    // req: S42, S43
    pub(crate) fn finish(
        mut self,
        author: Author,
        ids: &mut MsgIds,
        seqno: Seqno,
        time: ServerTime,
    ) -> Option<Message> {
        if self.messages.len() == 1 && !self.wrap {
            return self.messages.pop();
        }
        if self.messages.is_empty() && !self.wrap {
            return None;
        }
        let author = match author {
            Author::ServerNotice if self.has_reply => Author::ServerReply,
            Author::Client | Author::ServerReply | Author::ServerNotice => author,
        };
        let mut body = Vec::new();
        write_container(&self.messages, &mut body);
        Some(Message { id: ids.issue(time, author), seqno, body: body.into() })
    }
}
