//! The frames of a WebSocket, taken off and put around a byte stream; knows no socket.
//!
//! <https://www.rfc-editor.org/rfc/rfc6455#section-5>

use std::fmt;
use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Takes the frames off what arrives, in the buffer it arrived in.
///
/// Of a frame it keeps the header, and the payload of one that is not data; so a length that a peer
/// names costs nothing.
#[derive(Debug)]
pub(crate) struct Deframer {
    /// Whether frames have to be masked: those of a client are, those of a server are not.
    masked: bool,
    message_len_max: u64,
    /// The beginning of a header.
    head: [u8; HEAD_LEN_MAX],
    head_len: usize,
    frame: Option<Incoming>,
    /// The payload of a control frame, as much as has come.
    control: Vec<u8>,
    /// How long the message is that the next frame goes on with, in bytes.
    message_len: Option<u64>,
    /// What the latest ping said, until it is answered.
    ping: Option<Vec<u8>>,
    end: Option<End>,
}

/// A frame whose payload is coming.
#[derive(Debug)]
struct Incoming {
    header: FrameHeader,
    /// How much of the payload has not come, in bytes.
    rest: u64,
}

/// Why no more frames come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// The peer has closed.
    Closed(CloseReason),
    /// The peer broke a rule.
    Fault(WsFault),
}

impl Deframer {
    /// For frames that are `masked` or not, of messages up to so many bytes.
    pub(crate) fn new(masked: bool, message_len_max: u64) -> Self {
        Self {
            masked,
            message_len_max,
            head: [0; HEAD_LEN_MAX],
            head_len: 0,
            frame: None,
            control: Vec::new(),
            message_len: None,
            ping: None,
            end: None,
        }
    }

    /// Takes `raw`, the next bytes that arrived, and leaves in the front of it what they carry.
    /// Returns how much that is, in bytes. After the [`end`](Self::end) it is nothing.
    pub(crate) fn take(&mut self, raw: &mut [u8]) -> usize {
        let (mut from, mut to) = (0, 0);
        while from < raw.len() && self.end.is_none() {
            let Some(frame) = &mut self.frame else {
                from += self.take_head(&raw[from..]);
                continue;
            };
            let available = raw.len() - from;
            let count = usize::try_from(frame.rest).map_or(available, |rest| rest.min(available));
            let payload = &mut raw[from..from + count];
            if let Some(mask) = &mut frame.header.mask {
                apply(mask, payload);
            }
            match frame.header.opcode {
                OpCode::Control(_) => self.control.extend_from_slice(payload),
                OpCode::Data(_) => {
                    raw.copy_within(from..from + count, to);
                    to += count;
                }
            }
            from += count;
            frame.rest -= count as u64;
            self.finish_frame();
        }
        to
    }

    /// What the latest ping said that was not answered.
    pub(crate) fn take_ping(&mut self) -> Option<Vec<u8>> {
        self.ping.take()
    }

    /// Why no more frames come, if so.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Takes what belongs to the header of the next frame off the front of `raw`.
    fn take_head(&mut self, raw: &[u8]) -> usize {
        let had = self.head_len;
        let count = raw.len().min(HEAD_LEN_MAX - had);
        self.head[had..had + count].copy_from_slice(&raw[..count]);
        self.head_len += count;
        let mut cursor = Cursor::new(&self.head[..self.head_len]);
        let parsed = FrameHeader::parse(&mut cursor);
        match parsed {
            Ok(None) => count,
            Ok(Some((header, len))) => {
                let used = usize::try_from(cursor.position()).unwrap_or(HEAD_LEN_MAX);
                self.head_len = 0;
                match self.check(&header, len) {
                    Ok(()) => self.frame = Some(Incoming { header, rest: len }),
                    Err(fault) => self.end = Some(End::Fault(fault)),
                }
                self.finish_frame();
                used - had
            }
            Err(_) => {
                self.end = Some(End::Fault(WsFault::Header));
                count
            }
        }
    }

    /// Whether a frame with this header may come next. Counts it towards its message.
    fn check(&mut self, header: &FrameHeader, len: u64) -> Result<(), WsFault> {
        if header.mask.is_some() != self.masked {
            return Err(WsFault::Mask { expected: self.masked });
        }
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(WsFault::Header);
        }
        let before = match (header.opcode, self.message_len) {
            (OpCode::Control(_), _) if !header.is_final || len > CONTROL_LEN_MAX => {
                return Err(WsFault::Control);
            }
            (OpCode::Control(_), _) => return Ok(()),
            (OpCode::Data(Data::Text), _) => return Err(WsFault::Text),
            (OpCode::Data(Data::Binary), None) => 0,
            (OpCode::Data(Data::Continue), Some(before)) => before,
            (OpCode::Data(_), _) => return Err(WsFault::Sequence),
        };
        let message_len = len.saturating_add(before);
        if message_len > self.message_len_max {
            return Err(WsFault::MessageTooLong { max: self.message_len_max });
        }
        self.message_len = (!header.is_final).then_some(message_len);
        Ok(())
    }

    /// Ends the frame if all of its payload has come.
    fn finish_frame(&mut self) {
        let Some(frame) = self.frame.take_if(|frame| frame.rest == 0) else { return };
        let OpCode::Control(kind) = frame.header.opcode else { return };
        let payload = std::mem::take(&mut self.control);
        match kind {
            Control::Close => {
                self.end = Some(match CloseReason::from_payload(&payload) {
                    Some(reason) => End::Closed(reason),
                    None => End::Fault(WsFault::Control),
                });
            }
            Control::Ping => self.ping = Some(payload),
            Control::Pong | Control::Reserved(_) => {}
        }
    }
}

/// Puts a frame around `payload` at the end of `out`.
pub(crate) fn put_frame(
    out: &mut Vec<u8>,
    opcode: OpCode,
    is_final: bool,
    mask: Option<[u8; 4]>,
    payload: &[u8],
) {
    let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
    let written = header.format(payload.len() as u64, out);
    debug_assert!(written.is_ok(), "a vector takes everything");
    let from = out.len();
    out.extend_from_slice(payload);
    if let Some(mut mask) = mask {
        apply(&mut mask, &mut out[from..]);
    }
}

/// Masks or unmasks the next bytes of a payload, and turns `mask` to what comes after them.
fn apply(mask: &mut [u8; 4], payload: &mut [u8]) {
    let [a, b, c, d] = *mask;
    let twice = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ twice).to_ne_bytes();
    }
    rest.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    mask.rotate_left(rest.len() % 4);
}

/// Why a WebSocket was closed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CloseReason {
    /// 1000 is the normal end; 1005 stands for none given.
    pub code: u16,
    /// For people; up to 123 bytes.
    pub text: String,
}

impl CloseReason {
    /// As a close frame carries it; `None` if it carries something else.
    fn from_payload(payload: &[u8]) -> Option<Self> {
        let Some((code, text)) = payload.split_first_chunk() else {
            return payload.is_empty().then(|| Self { code: CODE_NONE, text: String::new() });
        };
        let text = str::from_utf8(text).ok()?.to_owned();
        Some(Self { code: u16::from_be_bytes(*code), text })
    }

    pub(crate) fn to_payload(&self) -> Vec<u8> {
        match self.code {
            CODE_NONE => Vec::new(),
            code => [&code.to_be_bytes(), self.text.as_bytes()].concat(),
        }
    }
}

/// A rule of WebSockets that the peer broke, or one of ours about what they carry.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WsFault {
    /// A close, ping or pong that is long, in pieces, or malformed.
    Control,
    /// A frame of an unknown kind, or with bits set that mean nothing.
    Header,
    /// A frame of a client without a mask, or of a server with one.
    Mask {
        /// Whether it had to have one.
        expected: bool,
    },
    /// A message that is too long.
    MessageTooLong {
        /// The limit, in bytes.
        max: u64,
    },
    /// A piece without a beginning, or a beginning within a message.
    Sequence,
    /// A message of text.
    Text,
}

impl WsFault {
    /// The code that the WebSocket is closed with.
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::Control | Self::Header | Self::Mask { .. } | Self::Sequence => 1002,
            Self::Text => 1003,
            Self::MessageTooLong { .. } => 1009,
        }
    }
}

impl fmt::Display for WsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("a control frame is malformed"),
            Self::Header => f.write_str("a frame header is malformed"),
            Self::Mask { expected: true } => f.write_str("a frame is not masked"),
            Self::Mask { expected: false } => f.write_str("a frame is masked"),
            Self::MessageTooLong { max } => write!(f, "a message is longer than {max} bytes"),
            Self::Sequence => f.write_str("a frame is out of sequence"),
            Self::Text => f.write_str("a message is text, and only binary ones are taken"),
        }
    }
}

impl std::error::Error for WsFault {}

/// The longest header, in bytes.
const HEAD_LEN_MAX: usize = 14;

/// The longest payload of a control frame, in bytes.
const CONTROL_LEN_MAX: u64 = 125;

/// Never on the wire.
const CODE_NONE: u16 = 1005;
