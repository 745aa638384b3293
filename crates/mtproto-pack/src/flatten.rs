//! From what the envelope carried to the messages that are meant.

use std::fmt;

use bytes::Bytes;
use mtproto_tl::{DecodeError, MsgId, Reader, Seqno};
use smallvec::SmallVec;

use crate::container::{CONTAINER_ID, Container, ContainerError, Message, MessageView};
use crate::gzip::{self, GZIP_PACKED_ID, GzipError};

/// `msg_copy#e06046b2`, which is read but never written.
// req: S52
pub const MSG_COPY_ID: u32 = 0xe060_46b2;

/// `message#5bb8e511`, the boxed form that only `msg_copy` uses.
const MESSAGE_ID: u32 = 0x5bb8_e511;

/// How much may come out of all the gzip of one packet unless [`Limits`] say otherwise, in bytes.
pub const INFLATED_MAX: usize = 10 << 20;

/// What reading one packet may cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes that may come out of all of its gzip together.
    pub inflated_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { inflated_max: INFLATED_MAX }
    }
}

/// Everything that one packet held, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flat {
    /// Whether it was a container; its id and seqno are then the packet's own.
    pub is_container: bool,
    /// The messages, none of them a container, a copy or packed. One alone takes no memory apart.
    pub items: SmallVec<[Item; 1]>,
}

/// A message as it is meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// The message, for a copy the original.
    pub message: Message,
    /// Id and seqno of the `msg_copy` around it.
    pub copied_by: Option<(MsgId, Seqno)>,
}

/// Why a packet is refused, as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PackError {
    /// The container itself is wrong.
    Container(ContainerError),
    /// A message inside a container or copy does not have a lower id than what is around it.
    IdNotBelow {
        /// The message inside.
        id: MsgId,
        /// The container or copy.
        around: MsgId,
    },
    /// Something packed cannot be opened.
    Gzip(GzipError),
    /// A container inside a container or copy, maybe through gzip.
    NestedContainer,
    /// A copy inside a copy.
    NestedCopy,
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(error) => error.fmt(f),
            Self::IdNotBelow { id, around } => write!(f, "message {id} is not below {around}"),
            Self::Gzip(error) => error.fmt(f),
            Self::NestedContainer => f.write_str("container inside a container or copy"),
            Self::NestedCopy => f.write_str("copy inside a copy"),
        }
    }
}

impl std::error::Error for PackError {}

impl From<ContainerError> for PackError {
    fn from(error: ContainerError) -> Self {
        Self::Container(error)
    }
}

impl From<DecodeError> for PackError {
    fn from(error: DecodeError) -> Self {
        Self::Container(error.into())
    }
}

impl From<GzipError> for PackError {
    fn from(error: GzipError) -> Self {
        Self::Gzip(error)
    }
}

/// A message as it is meant, where it lies.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    /// The message, for a copy the original.
    pub message: MessageView<'a>,
    /// Id and seqno of the `msg_copy` around it.
    pub copied_by: Option<(MsgId, Seqno)>,
    /// How many messages follow in the packet.
    pub followers: usize,
}

/// Opens the container, the copies and the gzip of one packet: all of it, or nothing.
///
/// # Errors
/// The first fault found.
pub fn flatten(outer: Message, limits: Limits) -> Result<Flat, PackError> {
    let mut items = SmallVec::new();
    let is_container = walk(MessageView::of(&outer), limits, |found| {
        let Found { message, copied_by, followers } = found;
        items.reserve(1 + followers);
        items.push(Item { message: message.to_message(), copied_by });
    })?;
    Ok(Flat { is_container, items })
}

/// As [`flatten`], but shows each message to `visit` where it lies, in order; tells whether the
/// packet is a container. If there is a fault, what was shown before does not count.
///
/// # Errors
/// The first fault found.
// req: S40, S42, S44, S49, S51
pub fn walk(
    outer: MessageView<'_>,
    limits: Limits,
    mut visit: impl FnMut(Found<'_>),
) -> Result<bool, PackError> {
    let mut inflated_left = limits.inflated_max;
    let inflated = match outer.object_id() {
        GZIP_PACKED_ID => Some(inflate(outer.to_message(), &mut inflated_left)?),
        _ => None,
    };
    let outer = inflated.as_ref().map_or(outer, MessageView::of);
    if outer.object_id() != CONTAINER_ID {
        show(outer, 0, &mut inflated_left, &mut visit)?;
        return Ok(false);
    }
    let container = Container::of(outer)?;
    for (message, followers) in container.iter().zip((0..container.len()).rev()) {
        check_below(message.id, outer.id)?;
        show(message, followers, &mut inflated_left, &mut visit)?;
    }
    Ok(true)
}

/// Shows one message as it is meant. Nearly all are meant as they stand, and take longer to hand on
/// than to look at.
#[inline(always)]
fn show(
    message: MessageView<'_>,
    followers: usize,
    inflated_left: &mut usize,
    visit: &mut impl FnMut(Found<'_>),
) -> Result<(), PackError> {
    match message.object_id() {
        CONTAINER_ID | GZIP_PACKED_ID | MSG_COPY_ID => {
            let Item { message, copied_by } = open(message.to_message(), inflated_left)?;
            visit(Found { message: MessageView::of(&message), copied_by, followers });
        }
        _ => visit(Found { message, copied_by: None, followers }),
    }
    Ok(())
}

/// Unwraps one message. The loop ends: a copy is opened once, and gzip never holds gzip.
fn open(mut message: Message, inflated_left: &mut usize) -> Result<Item, PackError> {
    let mut copied_by = None;
    loop {
        message = inflate(message, inflated_left)?;
        match message.object_id() {
            CONTAINER_ID => return Err(PackError::NestedContainer),
            MSG_COPY_ID if copied_by.is_some() => return Err(PackError::NestedCopy),
            MSG_COPY_ID => {
                let original = read_copy(&message.body)?;
                check_below(original.id, message.id)?;
                copied_by = Some((message.id, message.seqno));
                message = original;
            }
            _ => return Ok(Item { message, copied_by }),
        }
    }
}

fn inflate(message: Message, inflated_left: &mut usize) -> Result<Message, PackError> {
    if message.object_id() != GZIP_PACKED_ID {
        return Ok(message);
    }
    let body = gzip::unpack(&message.body, *inflated_left)?;
    *inflated_left -= body.len();
    Ok(Message { body, ..message })
}

fn read_copy(object: &Bytes) -> Result<Message, PackError> {
    let mut input = Reader::new(object);
    input.constructor(MSG_COPY_ID)?;
    input.constructor(MESSAGE_ID)?;
    Ok(MessageView::take(object, &mut input)?.to_message())
}

fn check_below(id: MsgId, around: MsgId) -> Result<(), PackError> {
    if id < around { Ok(()) } else { Err(PackError::IdNotBelow { id, around }) }
}
