//! Messages, and `msg_container`, which holds several of them.

use std::fmt;

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

/// Splits a `msg_container` into its messages, which share its memory.
///
/// # Errors
/// The first fault found; nothing of a container that has one is to be believed.
pub fn read_container(container: &Bytes) -> Result<Vec<Message>, ContainerError> {
    let mut inside = Inside::new(container)?;
    let mut messages = Vec::with_capacity(inside.left());
    while let Some(message) = inside.take()? {
        messages.push(message.to_message());
    }
    Ok(messages)
}

/// A message where it lies.
#[derive(Clone, Copy)]
pub struct MessageView<'a> {
    /// Its id.
    pub id: MsgId,
    /// Its place among the content-related ones.
    pub seqno: Seqno,
    /// One boxed object, maybe with filler behind it.
    pub body: &'a [u8],
    owner: &'a Bytes,
}

impl<'a> MessageView<'a> {
    /// The whole of a message.
    #[must_use]
    pub fn of(Message { id, seqno, body }: &'a Message) -> Self {
        Self { id: *id, seqno: *seqno, body, owner: body }
    }

    /// The constructor number of its body; 0, which no object has, when the body is too short.
    #[must_use]
    pub fn object_id(&self) -> u32 {
        object_id(self.body)
    }

    /// Its body, which shares the memory of the packet.
    #[must_use]
    pub fn body_bytes(&self) -> Bytes {
        self.owner.slice_ref(self.body)
    }

    /// The message, which shares the memory of the packet.
    #[must_use]
    pub fn to_message(&self) -> Message {
        Message { id: self.id, seqno: self.seqno, body: self.body_bytes() }
    }
}

/// What is left to read of a `msg_container`.
pub(crate) struct Inside<'a> {
    owner: &'a Bytes,
    input: Reader<'a>,
    count: usize,
    left: usize,
    counted: CountedMessages,
}

impl<'a> Inside<'a> {
    pub(crate) fn new(owner: &'a Bytes) -> Result<Self, ContainerError> {
        let mut input = Reader::shared(owner);
        match input.u32()? {
            CONTAINER_ID => (),
            id => return Err(DecodeError::UnknownConstructor { id }.into()),
        }
        let count = input.count(MESSAGE_HEADER_LEN + 4)?;
        Ok(Self { owner, input, count, left: count, counted: CountedMessages::default() })
    }

    /// How many messages have not been taken.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Takes the next message; there is `None` once all were taken and nothing stands behind them.
    // req: S40, S41, S48
    pub(crate) fn take(&mut self) -> Result<Option<MessageView<'a>>, ContainerError> {
        let Some(left) = self.left.checked_sub(1) else {
            self.input.clone().finish()?;
            return Ok(None);
        };
        self.left = left;
        let message = read_message(self.owner, &mut self.input)?;
        self.counted.add(message.object_id());
        if self.counted.count > CONTAINER_MESSAGES_MAX {
            return Err(ContainerError::TooMany { count: self.count });
        }
        Ok(Some(message))
    }
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

/// Takes the bare `message` at the cursor of `input`, which reads `owner`.
pub(crate) fn read_message<'a>(
    owner: &'a Bytes,
    input: &mut Reader<'a>,
) -> Result<MessageView<'a>, ContainerError> {
    let id = MsgId(input.u64()?);
    let seqno = Seqno(input.u32()?);
    let bytes = input.u32()?;
    if bytes < 4 || !bytes.is_multiple_of(4) {
        return Err(ContainerError::BadLength { bytes });
    }
    let body = input.slice(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    Ok(MessageView { id, seqno, body, owner })
}

/// Counts messages as the limit of a container does.
#[derive(Default)]
struct CountedMessages {
    count: usize,
    acks: bool,
    state_request: bool,
    resend_request: bool,
}

impl CountedMessages {
    fn add(&mut self, object_id: u32) {
        let free = match object_id {
            types::MsgsAck::ID => !std::mem::replace(&mut self.acks, true),
            types::MsgsStateReq::ID => !std::mem::replace(&mut self.state_request, true),
            types::MsgResendReq::ID => !std::mem::replace(&mut self.resend_request, true),
            types::HttpWait::ID => true,
            _ => false,
        };
        self.count += usize::from(!free);
    }
}

fn len_word(len: usize) -> [u8; 4] {
    debug_assert!(i32::try_from(len).is_ok(), "frames end far below 2 GiB");
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}
