//! From deciphered bytes to packets: one framing, one direction.

use bytes::{Buf, BytesMut};

use crate::item::{QUICK_ACK_BIT, Role};
use crate::{Framing, Inbound, PeerFault, TransportError};

/// Takes frames off the front of a buffer. Nothing is allocated or copied: a payload is the part of
/// the buffer it arrived in.
#[derive(Debug)]
pub(crate) struct FrameReader {
    framing: Framing,
    role: Role,
    len_max: usize,
    /// Of the next frame; the full framing only.
    seqno: u32,
}

impl FrameReader {
    pub(crate) fn new(framing: Framing, role: Role, len_max: usize) -> Self {
        Self { framing, role, len_max, seqno: 0 }
    }

    /// Takes the next packet, quick ack or error; `None` when more bytes are needed.
    pub(crate) fn read(&mut self, input: &mut BytesMut) -> Result<Option<Inbound>, PeerFault> {
        loop {
            let frame = match self.head(input)? {
                Head::Partial => return Ok(None),
                Head::Token(token) => {
                    input.advance(TOKEN_LEN);
                    return Ok(Some(Inbound::QuickAck(token)));
                }
                Head::Frame(frame) => frame,
            };
            if input.len() < frame.whole_len() {
                return Ok(None);
            }
            let payload = self.take(input, &frame)?;
            match self.interpret(payload, frame.quick_ack)? {
                Some(item) => return Ok(Some(item)),
                None => continue,
            }
        }
    }

    /// Reads the prefix of the next frame and judges it, whether or not the rest is there.
    fn head(&self, input: &[u8]) -> Result<Head, PeerFault> {
        match self.framing {
            Framing::Abridged => self.abridged_head(input),
            Framing::Intermediate | Framing::Padded => self.intermediate_head(input),
            Framing::Full => self.full_head(input),
        }
    }

    // req: L28
    fn abridged_head(&self, input: &[u8]) -> Result<Head, PeerFault> {
        let Some(&first) = input.first() else { return Ok(Head::Partial) };
        let quick_ack = first & ABRIDGED_QUICK_ACK != 0;
        if quick_ack && self.role == Role::Client {
            // The token is the other way round here, so that its bit 31 comes first.
            return Ok(input
                .first_chunk()
                .map_or(Head::Partial, |token| Head::Token(u32::from_be_bytes(*token))));
        }
        let words = first & !ABRIDGED_QUICK_ACK;
        if words < ABRIDGED_LONG {
            return self.frame(1, usize::from(words) * 4, 0, quick_ack);
        }
        let Some(&[_, a, b, c]) = input.first_chunk() else { return Ok(Head::Partial) };
        let len = length(u32::from_le_bytes([a, b, c, 0]) * 4);
        if len < usize::from(ABRIDGED_LONG) * 4 {
            return Err(PeerFault::FrameLenOverlong { len });
        }
        self.frame(4, len, 0, quick_ack)
    }

    // req: L28
    fn intermediate_head(&self, input: &[u8]) -> Result<Head, PeerFault> {
        let Some(prefix) = input.first_chunk() else { return Ok(Head::Partial) };
        let word = u32::from_le_bytes(*prefix);
        let quick_ack = word & QUICK_ACK_BIT != 0;
        if quick_ack && self.role == Role::Client {
            return Ok(Head::Token(word));
        }
        self.frame(4, length(word & !QUICK_ACK_BIT), 0, quick_ack)
    }

    fn full_head(&self, input: &[u8]) -> Result<Head, PeerFault> {
        let Some(prefix) = input.first_chunk() else { return Ok(Head::Partial) };
        let whole = length(u32::from_le_bytes(*prefix));
        let len = whole
            .checked_sub(length(FULL_OVERHEAD))
            .ok_or(PeerFault::FrameTooShort { len: whole })?;
        let head = self.frame(8, len, 4, false)?;
        if let Some(received) = input.get(4..).and_then(<[u8]>::first_chunk) {
            let received = u32::from_le_bytes(*received);
            if received != self.seqno {
                return Err(PeerFault::BadSeqno { expected: self.seqno, received });
            }
        }
        Ok(head)
    }

    /// A frame of `len` bytes between its prefix and its trailer, if it may be that long.
    fn frame(
        &self,
        prefix_len: usize,
        len: usize,
        trailer_len: usize,
        quick_ack: bool,
    ) -> Result<Head, PeerFault> {
        if len == 0 {
            return Err(PeerFault::FrameEmpty);
        }
        if len > self.len_max {
            return Err(PeerFault::FrameTooLong { len, max: self.len_max });
        }
        if len < PAYLOAD_LEN_MIN {
            return Err(PeerFault::FrameTooShort { len });
        }
        if self.framing != Framing::Padded && !len.is_multiple_of(4) {
            return Err(PeerFault::FrameUnaligned { len });
        }
        Ok(Head::Frame(Frame { prefix_len, len, trailer_len, quick_ack }))
    }

    /// Splits a frame that is there as a whole off `input`.
    fn take(&mut self, input: &mut BytesMut, frame: &Frame) -> Result<BytesMut, PeerFault> {
        let len = frame.whole_len();
        // A split costs a count of those who share the memory; nobody needs what is behind the last
        // frame unless there is much room.
        let is_alone = input.len() == len && input.capacity() <= 2 * len;
        let mut bytes = if is_alone { std::mem::take(input) } else { input.split_to(len) };
        if self.framing == Framing::Full {
            check_crc(&bytes)?;
            self.seqno = self.seqno.wrapping_add(1);
        }
        bytes.advance(frame.prefix_len);
        bytes.truncate(frame.len);
        Ok(bytes)
    }

    /// What a payload is; `None` for filler, which means nothing.
    fn interpret(
        &self,
        mut payload: BytesMut,
        quick_ack: bool,
    ) -> Result<Option<Inbound>, PeerFault> {
        if self.role == Role::Client && payload.len() <= CONTROL_LEN_MAX {
            match control(&payload) {
                Control::Error(error) => return Ok(Some(Inbound::Error(error))),
                Control::Filler => return Ok(None),
                Control::QuickAck(token) => return Ok(Some(Inbound::QuickAck(token))),
                Control::Unknown if payload.len() < CONTROL_LEN_MAX => {
                    return Err(PeerFault::FrameTooShort { len: payload.len() });
                }
                Control::Unknown => {}
            }
        }
        if self.framing == Framing::Padded {
            payload.truncate(unpadded_len(&payload));
        }
        Ok(Some(Inbound::Packet { payload, quick_ack }))
    }
}

/// What the front of a buffer is.
enum Head {
    /// Not yet enough to tell.
    Partial,
    /// A quick ack without a frame around it.
    Token(u32),
    /// A frame, of which at least the length is there.
    Frame(Frame),
}

/// The layout of one frame; lengths in bytes.
struct Frame {
    prefix_len: usize,
    /// Payload and padding.
    len: usize,
    trailer_len: usize,
    quick_ack: bool,
}

impl Frame {
    fn whole_len(&self) -> usize {
        self.prefix_len + self.len + self.trailer_len
    }
}

/// What a payload too short for a message says to a client.
enum Control {
    Error(TransportError),
    Filler,
    QuickAck(u32),
    Unknown,
}

// req: S114, S115
fn control(payload: &[u8]) -> Control {
    let mut words = payload.chunks_exact(4).filter_map(<[u8]>::first_chunk);
    let Some(code) = words.next().map(|word| i32::from_le_bytes(*word)) else {
        return Control::Unknown;
    };
    match (code, words.next()) {
        (0, _) => Control::Filler,
        (FRAMED_QUICK_ACK, Some(token)) => Control::QuickAck(u32::from_le_bytes(*token)),
        _ => TransportError::from_code(code).map_or(Control::Unknown, Control::Error),
    }
}

/// How much of a padded frame is its packet: whole cipher blocks of an encrypted one, what a plain
/// one says of itself, and whole words of anything else.
// req: L27
fn unpadded_len(frame: &[u8]) -> usize {
    let words = frame.len() & !3;
    match (frame.first_chunk(), frame.get(16..20).and_then(<[u8]>::first_chunk)) {
        (Some(&PLAIN_KEY_ID), Some(body_len)) => {
            let len = length(u32::from_le_bytes(*body_len)).saturating_add(PLAIN_HEADER_LEN);
            if len <= frame.len() { len } else { words }
        }
        _ => match frame.len().checked_sub(ENVELOPE_PREFIX_LEN) {
            Some(encrypted) => ENVELOPE_PREFIX_LEN + (encrypted & !15),
            None => words,
        },
    }
}

fn check_crc(frame: &[u8]) -> Result<(), PeerFault> {
    let Some((summed, crc)) = frame.split_last_chunk() else {
        return Err(PeerFault::FrameTooShort { len: frame.len() });
    };
    let (computed, received) = (crc32fast::hash(summed), u32::from_le_bytes(*crc));
    if computed == received { Ok(()) } else { Err(PeerFault::BadCrc { computed, received }) }
}

/// A length of the wire in memory; where it does not fit, it is above every limit too.
pub(crate) fn length(wire: u32) -> usize {
    usize::try_from(wire).unwrap_or(usize::MAX)
}

/// Length of a bare quick ack.
const TOKEN_LEN: usize = 4;

/// The shortest payload: an error.
const PAYLOAD_LEN_MIN: usize = 4;

/// The longest payload that may be a quick ack, an error or filler, padding included. No message is
/// that short.
const CONTROL_LEN_MAX: usize = 16;

/// Announces a token where an error's code would be.
pub(crate) const FRAMED_QUICK_ACK: i32 = -1;

/// Asks for a quick ack, or marks one.
pub(crate) const ABRIDGED_QUICK_ACK: u8 = 0x80;

/// In place of a length in words: three more bytes hold it.
pub(crate) const ABRIDGED_LONG: u8 = 0x7f;

/// Length, seqno and CRC32 of a full frame, which its length counts too.
pub(crate) const FULL_OVERHEAD: u32 = 12;

/// The auth key id of plain messages.
const PLAIN_KEY_ID: [u8; 8] = [0; 8];

/// Auth key id, message id and length of a plain message.
const PLAIN_HEADER_LEN: usize = 20;

/// Auth key id and message key of an encrypted message.
const ENVELOPE_PREFIX_LEN: usize = 24;
