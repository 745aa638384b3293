//! Messages, and `msg_container`, which holds several of them.

use std::fmt;
use std::ops::{Deref, Range};

use bytes::Bytes;
use mtproto_tl::{Constructor, DecodeError, MsgId, Reader, Seqno, types};

/// `msg_container#73f1f8dc`.
pub const CONTAINER_ID: u32 = 0x73f1_f8dc;

/// The most counted messages a container may hold when it is read. The first `msgs_ack`,
/// `msgs_state_req` and `msg_resend_req` of it and every `http_wait` are not counted.
// req: S46
pub const CONTAINER_MESSAGES_MAX: usize = 1024;

/// The most counted messages of a container that we send.
// req: S46
pub const CONTAINER_SEND_MESSAGES_MAX: usize = 1020;

/// A container of ours takes no further message once its messages have this many bytes.
// req: S46
pub const CONTAINER_SEND_BYTES_MAX: usize = 1 << 15;

/// Bytes in front of the messages of a container: its number, their count.
pub const CONTAINER_HEADER_LEN: usize = 8;

/// Bytes in front of a body inside a container: id, seqno, length.
pub const MESSAGE_HEADER_LEN: usize = 16;

/// One message: what the encryption envelope carries, and what a container holds many of.
#[derive(Clone, Eq, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MsgId,
    /// Its place among the content-related ones.
    pub seqno: Seqno,
    /// One boxed object, maybe with filler behind it.
    pub body: Bytes,
}

impl Message {
    /// Bytes that it takes inside a container.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        MESSAGE_HEADER_LEN.saturating_add(self.body.len())
    }

    /// The constructor number of its body; 0, which no object has, when the body is too short.
    #[must_use]
    pub fn object_id(&self) -> u32 {
        object_id(&self.body)
    }
}

// A body may be anybody's letter: a log gets its number and length.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, seqno, body } = self;
        let object = object_id(body);
        write!(f, "Message({id} seqno={seqno} {object:#010x} {} bytes)", body.len())
    }
}

/// The constructor number in front of a boxed object; 0, which no object has, when it is too short.
#[must_use]
pub fn object_id(object: &[u8]) -> u32 {
    Reader::new(object).u32().unwrap_or_default()
}

/// Why a container is refused, as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ContainerError {
    /// A message's length is not a positive multiple of four.
    BadLength {
        /// The length as read.
        bytes: u32,
    },
    /// The bytes end early, or the count is impossible.
    Malformed(DecodeError),
    /// More than [`CONTAINER_MESSAGES_MAX`] counted messages.
    TooMany {
        /// The count as read.
        count: usize,
    },
}

impl fmt::Display for ContainerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadLength { bytes } => write!(f, "a message in a container has {bytes} bytes"),
            Self::Malformed(error) => write!(f, "container is malformed: {error}"),
            Self::TooMany { count } => write!(f, "container of {count} messages"),
        }
    }
}

impl std::error::Error for ContainerError {}

impl From<DecodeError> for ContainerError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// A part of a packet where it lies.
#[derive(Clone, Copy)]
pub struct PacketSlice<'a> {
    bytes: &'a [u8],
    packet: &'a Bytes,
}

impl<'a> PacketSlice<'a> {
    /// All of a packet.
    #[must_use]
    pub fn whole(packet: &'a Bytes) -> Self {
        Self { bytes: packet, packet }
    }

    /// What follows the first `count` bytes.
    #[must_use]
    pub fn after(self, count: usize) -> Self {
        Self { bytes: self.bytes.get(count..).unwrap_or_default(), ..self }
    }

    /// The bytes, as long as the packet is there.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes, which share the memory of the packet.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        self.packet.slice_ref(self.bytes)
    }

    /// The bare messages of the container that this is what follows the count of, up to what is
    /// none.
    #[inline]
    pub(crate) fn messages(self) -> impl Iterator<Item = MessageView<'a>> + Clone + use<'a> {
        let mut input = Reader::new(self.bytes);
        std::iter::from_fn(move || MessageView::take(self.packet, &mut input).ok())
    }
}

impl Deref for PacketSlice<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

/// A message where it lies.
#[derive(Clone, Copy)]
pub struct MessageView<'a> {
    /// Its id.
    pub id: MsgId,
    /// Its place among the content-related ones.
    pub seqno: Seqno,
    /// One boxed object, maybe with filler behind it.
    pub body: PacketSlice<'a>,
}

impl<'a> MessageView<'a> {
    /// Takes a bare `message`; `input` reads `packet`.
    #[inline]
    pub(crate) fn take(packet: &'a Bytes, input: &mut Reader<'a>) -> Result<Self, ContainerError> {
        let mut header = Reader::new(input.slice(MESSAGE_HEADER_LEN)?);
        let (id, seqno) = (MsgId(header.u64()?), Seqno(header.u32()?));
        let len = header.u32()?;
        if len < 4 || !len.is_multiple_of(4) {
            return Err(ContainerError::BadLength { bytes: len });
        }
        let bytes = input.slice(usize::try_from(len).unwrap_or(usize::MAX))?;
        Ok(Self { id, seqno, body: PacketSlice { bytes, packet } })
    }

    /// A message whose body is a part of `packet`; an empty one if it is none.
    #[must_use]
    pub fn within(packet: &'a Bytes, id: MsgId, seqno: Seqno, body: Range<usize>) -> Self {
        let bytes = packet.get(body).unwrap_or_default();
        Self { id, seqno, body: PacketSlice { bytes, packet } }
    }

    /// The whole of a message.
    #[must_use]
    pub fn of(Message { id, seqno, body }: &'a Message) -> Self {
        Self { id: *id, seqno: *seqno, body: PacketSlice::whole(body) }
    }

    /// The constructor number of its body; 0, which no object has, when the body is too short.
    #[must_use]
    pub fn object_id(&self) -> u32 {
        object_id(&self.body)
    }

    /// The message, which shares the memory of the packet.
    #[must_use]
    pub fn to_message(&self) -> Message {
        Message { id: self.id, seqno: self.seqno, body: self.body.to_bytes() }
    }
}

/// A `msg_container` where it lies. Before it gives out a message it was walked to its end: all of
/// it is well, or there is none.
#[derive(Clone, Copy)]
pub struct Container<'a> {
    count: usize,
    messages: PacketSlice<'a>,
}

impl<'a> Container<'a> {
    /// Looks at all of a boxed container; takes no memory.
    ///
    /// # Errors
    /// The first fault found; nothing of a container that has one is to be believed.
    pub fn read(object: &'a Bytes) -> Result<Self, ContainerError> {
        Self::look(PacketSlice::whole(object), |_| ())
    }

    /// As [`Container::read`], and shows each message that it walks past. What is shown before a
    /// fault does not count.
    // req: S40, S41, S48
    #[inline]
    pub(crate) fn look(
        object: PacketSlice<'a>,
        mut show: impl FnMut(&MessageView<'a>),
    ) -> Result<Self, ContainerError> {
        let mut input = Reader::new(object.bytes);
        input.constructor(CONTAINER_ID)?;
        let count = input.count(MESSAGE_HEADER_LEN + 4)?;
        let container = Self { count, messages: object.after(CONTAINER_HEADER_LEN) };
        for _ in 0..count {
            show(&MessageView::take(object.packet, &mut input)?);
        }
        input.finish()?;
        // So few are allowed whatever they are: no body is looked into.
        if count > CONTAINER_MESSAGES_MAX && container.counted() > CONTAINER_MESSAGES_MAX {
            return Err(ContainerError::TooMany { count });
        }
        Ok(container)
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The messages, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = MessageView<'a>> + Clone + use<'a> {
        self.messages.messages()
    }

    /// How many messages there are as the limit counts them.
    // req: S46
    fn counted(&self) -> usize {
        let (mut acks, mut state_request, mut resend_request) = (false, false, false);
        let is_counted = |message: &MessageView<'_>| match message.object_id() {
            types::MsgsAck::ID => std::mem::replace(&mut acks, true),
            types::MsgsStateReq::ID => std::mem::replace(&mut state_request, true),
            types::MsgResendReq::ID => std::mem::replace(&mut resend_request, true),
            types::HttpWait::ID => false,
            _ => true,
        };
        self.iter().filter(is_counted).count()
    }
}

/// Splits a `msg_container` into its messages, which share its memory.
///
/// # Errors
/// Those of [`Container::read`].
pub fn read_container(container: &Bytes) -> Result<Vec<Message>, ContainerError> {
    let container = Container::read(container)?;
    let mut messages = Vec::with_capacity(container.len());
    messages.extend(container.iter().map(|message| message.to_message()));
    Ok(messages)
}

/// Appends a `msg_container` of `messages`.
pub fn write_container(messages: &[Message], out: &mut Vec<u8>) {
    let len: usize = messages.iter().map(Message::wire_len).sum();
    out.reserve(CONTAINER_HEADER_LEN + len);
    out.extend_from_slice(&container_header(messages.len()));
    for Message { id, seqno, body } in messages {
        debug_assert!(body.len().is_multiple_of(4), "TL objects are made of words");
        out.extend_from_slice(&message_header(*id, *seqno, body.len()));
        out.extend_from_slice(body);
    }
}

/// What stands before the `count` messages of a `msg_container`.
#[must_use]
pub fn container_header(count: usize) -> [u8; CONTAINER_HEADER_LEN] {
    let ([a, b, c, d], [e, f, g, h]) = (CONTAINER_ID.to_le_bytes(), len_word(count));
    [a, b, c, d, e, f, g, h]
}

/// What stands before a body of `len` bytes in a container.
#[must_use]
pub fn message_header(id: MsgId, seqno: Seqno, len: usize) -> [u8; MESSAGE_HEADER_LEN] {
    let id = u128::from(id.0);
    let rest = u128::from(seqno.0) | u128::from(u32::from_le_bytes(len_word(len))) << 32;
    (id | rest << 64).to_le_bytes()
}

fn len_word(len: usize) -> [u8; 4] {
    debug_assert!(i32::try_from(len).is_ok(), "frames end far below 2 GiB");
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}
