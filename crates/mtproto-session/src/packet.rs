//! One packet in the making: a message, or a container of several, written where it will be sealed.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use mtproto_crypto::SecureRandom;
use mtproto_crypto::envelope::{self, Header, PADDING_CHOSEN_MAX, Padding, ROOM_LEN};
use mtproto_pack::{
    CONTAINER_HEADER_LEN, CONTAINER_SEND_BYTES_MAX, CONTAINER_SEND_MESSAGES_MAX,
    MESSAGE_HEADER_LEN, Message, container_header, message_header, object_id,
};
use mtproto_tl::{Author, Encode, MsgId, Salt, Seqno, ServerTime, SessionId};

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
    pub message: OutMessage,
    /// Whether the transport shall ask for a quick acknowledgement.
    pub quick_ack: bool,
}

impl Outgoing {
    /// The packet as [`envelope::seal`] takes it; the body is not copied.
    #[must_use]
    pub fn lay_out(self, padding: Padding, random: &mut dyn SecureRandom) -> Vec<u8> {
        let Self { salt, session_id, message: OutMessage { id, seqno, mut packet }, .. } = self;
        let header =
            Header { salt: salt.0, session_id: session_id.0, msg_id: id.0, seqno: seqno.0 };
        envelope::lay_around(&mut packet, &header, padding, random);
        packet
    }
}

/// A message in the memory in which it will be sealed.
#[derive(Clone, Eq, PartialEq)]
pub struct OutMessage {
    /// Its id.
    pub id: MsgId,
    /// Its place among the content-related ones.
    pub seqno: Seqno,
    /// Room for the envelope, then the body.
    packet: Vec<u8>,
}

impl OutMessage {
    /// One boxed object.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.packet.get(ROOM_LEN..).unwrap_or_default()
    }

    /// A copy, to be looked at.
    #[must_use]
    pub fn to_message(&self) -> Message {
        Message { id: self.id, seqno: self.seqno, body: Bytes::copy_from_slice(self.body()) }
    }
}

// As for any message, a log gets its number and length.
impl fmt::Debug for OutMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self { id, seqno, .. }, body) = (self, self.body());
        let object = object_id(body);
        write!(f, "OutMessage({id} seqno={seqno} {object:#010x} {} bytes)", body.len())
    }
}

/// Gathers what leaves together.
#[derive(Debug, Default)]
pub(crate) struct Packet {
    /// Room for the envelope, then the body of the only message, or a container.
    out: Vec<u8>,
    /// Bytes that the first message makes room for.
    expected: usize,
    count: usize,
    /// The only message, while it stands there without a container.
    alone: Option<(MsgId, Seqno)>,
    is_container: bool,
    has_reply: bool,
    is_closed: bool,
}

impl Packet {
    /// An empty packet that is to get messages of about `len` bytes in all.
    pub(crate) fn expecting(len: usize) -> Self {
        Self { expected: len.min(CONTAINER_SEND_BYTES_MAX), ..Self::default() }
    }

    /// An empty packet in memory that was another's.
    pub(crate) fn within(memory: Vec<u8>) -> Self {
        debug_assert!(memory.is_empty(), "nothing of the other is left");
        Self { out: memory, ..Self::default() }
    }

    /// Whether a message with a body of `len` bytes may still join. The first always may, whatever
    /// its size.
    // req: S46
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.is_empty()
            || !self.is_closed
                && self.count < CONTAINER_SEND_MESSAGES_MAX
                && self.messages_len() + MESSAGE_HEADER_LEN + len <= CONTAINER_SEND_BYTES_MAX
    }

    /// Adds a message that has its id and seqno.
    pub(crate) fn push(&mut self, id: MsgId, seqno: Seqno, body: &[u8]) {
        if self.is_empty() {
            self.reserve(MESSAGE_HEADER_LEN + body.len());
        }
        if self.begin(id, seqno) {
            self.out.extend_from_slice(&message_header(id, seqno, body.len()));
        }
        self.out.extend_from_slice(body);
    }

    /// Adds a message that is not content-related, and gives it the next id.
    pub(crate) fn push_service(
        &mut self,
        object: &impl Encode,
        author: Author,
        ids: &mut MsgIds,
        seqnos: Seqnos,
        time: ServerTime,
    ) -> MsgId {
        if self.is_empty() {
            self.reserve(MESSAGE_HEADER_LEN + SERVICE_LEN);
        }
        let (id, seqno) = (ids.issue(time, author), seqnos.service());
        let in_container = self.begin(id, seqno);
        let header_at = self.out.len();
        if in_container {
            self.out.extend_from_slice(&[0; MESSAGE_HEADER_LEN]);
        }
        object.encode(&mut self.out);
        if in_container {
            let body_len = self.out.len() - header_at - MESSAGE_HEADER_LEN;
            put(&mut self.out, header_at, message_header(id, seqno, body_len));
        }
        id
    }

    /// As [`Packet::push_service`], of an object that is serialized already.
    pub(crate) fn push_notice(
        &mut self,
        body: &[u8],
        author: Author,
        ids: &mut MsgIds,
        seqnos: Seqnos,
        time: ServerTime,
    ) -> MsgId {
        let id = ids.issue(time, author);
        self.push(id, seqnos.service(), body);
        id
    }

    /// Makes it a container even of one: a message that was sent before, or is old, gets an id that
    /// is fresh around it. Without a message it is one that says nothing.
    pub(crate) fn wrap(&mut self) {
        if self.is_container {
            return;
        }
        self.is_container = true;
        self.reserve(0);
        let body_len = self.out.len() - ROOM_LEN;
        let Some((id, seqno)) = self.alone.take() else {
            return self.out.extend_from_slice(&container_header(0));
        };
        let (body_at, end) = (ROOM_LEN + CONTAINER_HEADER_LEN + MESSAGE_HEADER_LEN, self.out.len());
        self.out.resize(body_at + body_len, 0);
        self.out.copy_within(ROOM_LEN..end, body_at);
        put(&mut self.out, ROOM_LEN, container_header(0));
        let header = message_header(id, seqno, body_len);
        put(&mut self.out, ROOM_LEN + CONTAINER_HEADER_LEN, header);
    }

    /// Lets nothing follow what is in it.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
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
    ) -> Option<OutMessage> {
        if let Some((id, seqno)) = self.alone {
            return Some(OutMessage { id, seqno, packet: self.out });
        }
        if !self.is_container {
            return None;
        }
        let author = match author {
            Author::ServerNotice if self.has_reply => Author::ServerReply,
            Author::Client | Author::ServerReply | Author::ServerNotice => author,
        };
        put(&mut self.out, ROOM_LEN, container_header(self.count));
        Some(OutMessage { id: ids.issue(time, author), seqno, packet: self.out })
    }

    /// A message begins. Returns whether it does with its header, in a container.
    fn begin(&mut self, id: MsgId, seqno: Seqno) -> bool {
        self.has_reply |= id.0 & 3 == Author::ServerReply as u64;
        self.count += 1;
        if self.count == 1 && !self.is_container {
            self.alone = Some((id, seqno));
            return false;
        }
        if !self.is_container {
            self.wrap();
        }
        true
    }

    /// Bytes that its messages take in a container.
    fn messages_len(&self) -> usize {
        match self.alone {
            Some(_) => self.out.len() - ROOM_LEN + MESSAGE_HEADER_LEN,
            None => self.out.len().saturating_sub(ROOM_LEN + CONTAINER_HEADER_LEN),
        }
    }

    /// Makes room for messages of `len` bytes and for all that will stand around them.
    fn reserve(&mut self, len: usize) {
        let len = len.max(self.expected);
        self.out.reserve(ROOM_LEN + CONTAINER_HEADER_LEN + len + PADDING_CHOSEN_MAX);
        if self.out.is_empty() {
            self.out.resize(ROOM_LEN, 0);
        }
    }
}

/// Room that is made for a message of the protocol's own. Few are longer.
const SERVICE_LEN: usize = 32;

fn put<const N: usize>(out: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = bytes;
    }
}
