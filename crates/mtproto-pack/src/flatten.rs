//! From what the envelope carried to the messages that are meant.

use std::fmt;

use bytes::Bytes;
use mtproto_tl::{DecodeError, MsgId, Reader, Seqno};
use smallvec::SmallVec;

use crate::container::{
    CONTAINER_HEADER_LEN, CONTAINER_ID, Container, ContainerError, Message, MessageView,
};
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
}

/// One packet with its container, copies and gzip opened: all of it is well, or there is none.
pub struct Unpacked<'a> {
    packet: MessageView<'a>,
    /// The packet, if it came packed.
    inflated: Option<Message>,
    is_container: bool,
    count: usize,
    /// The messages that are not meant as they stand, with their places. Few packets have any.
    opened: Vec<(usize, Item)>,
}

impl<'a> Unpacked<'a> {
    /// Opens a packet. Takes no memory unless there is something to open.
    ///
    /// # Errors
    /// A fault in any part of it.
    // req: S40, S42, S44, S49, S51
    pub fn read(packet: MessageView<'a>, limits: Limits) -> Result<Self, PackError> {
        let mut inflated_left = limits.inflated_max;
        let inflated = match packet.object_id() {
            GZIP_PACKED_ID => Some(inflate(packet.to_message(), &mut inflated_left)?),
            _ => None,
        };
        let whole = inflated.as_ref().map_or(packet, MessageView::of);
        let (mut is_plain, mut highest) = (true, MsgId::default());
        let is_container = whole.object_id() == CONTAINER_ID;
        let count = if is_container {
            let container = Container::look(whole.body, |message| {
                is_plain &= !is_wrapped(message);
                highest = highest.max(message.id);
            })?;
            check_below(highest, whole.id)?;
            container.len()
        } else {
            is_plain = !is_wrapped(&whole);
            1
        };
        let mut opened = Vec::new();
        if !is_plain {
            for (place, message) in messages(whole, is_container).enumerate() {
                if is_wrapped(&message) {
                    opened.push((place, open(message.to_message(), &mut inflated_left)?));
                }
            }
        }
        Ok(Self { packet, inflated, is_container, count, opened })
    }

    /// Whether it is a container; its id and seqno are then the packet's own.
    #[must_use]
    pub fn is_container(&self) -> bool {
        self.is_container
    }

    /// How many messages there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The messages, in order, none of them a container, a copy or packed.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Found<'_>> {
        let whole = self.inflated.as_ref().map_or(self.packet, MessageView::of);
        let (mut opened, mut place) = (self.opened.as_slice(), 0);
        messages(whole, self.is_container).map(move |message| {
            let found = match opened {
                [(first, item), rest @ ..] if *first == place => {
                    opened = rest;
                    let message = MessageView::of(&item.message);
                    Found { message, copied_by: item.copied_by }
                }
                _ => Found { message, copied_by: None },
            };
            place += 1;
            found
        })
    }
}

/// Opens the container, the copies and the gzip of one packet: all of it, or nothing.
///
/// # Errors
/// A fault in any part of it.
pub fn flatten(outer: Message, limits: Limits) -> Result<Flat, PackError> {
    let unpacked = Unpacked::read(MessageView::of(&outer), limits)?;
    let item =
        |Found { message, copied_by }: Found<'_>| Item { message: message.to_message(), copied_by };
    let mut items = SmallVec::with_capacity(unpacked.count());
    items.extend(unpacked.iter().map(item));
    Ok(Flat { is_container: unpacked.is_container(), items })
}

/// The messages of a packet as they came: those in the container that it is, or itself alone.
#[inline]
fn messages(whole: MessageView<'_>, is_container: bool) -> impl Iterator<Item = MessageView<'_>> {
    let (alone, inside) = if is_container {
        (None, whole.body.after(CONTAINER_HEADER_LEN))
    } else {
        (Some(whole), whole.body.after(usize::MAX))
    };
    alone.into_iter().chain(inside.messages())
}

/// Whether a message is not meant as it stands.
#[inline]
fn is_wrapped(message: &MessageView<'_>) -> bool {
    matches!(message.object_id(), CONTAINER_ID | GZIP_PACKED_ID | MSG_COPY_ID)
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
