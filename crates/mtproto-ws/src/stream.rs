//! A WebSocket as a byte stream.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use mtproto_crypto::{SecureRandom, SecureRandomExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::frames::{CloseReason, Deframer, End, WsFault, put_frame};

/// The longest payload of a frame that is sent, in bytes. A longer message goes in several, so that
/// pings are answered in between.
pub const FRAME_PAYLOAD_MAX: usize = 64 << 10;

/// When this many bytes of frames wait for the stream below, no more are made.
pub const UNWRITTEN_MAX: usize = 64 << 10;

/// How much longer a message may be than the longest packet, in bytes: for the beginning of the
/// stream, the framing, and a few short packets beside a long one.
pub const MESSAGE_HEADROOM: usize = 64 << 10;

/// What the messages of a WebSocket carry, as one byte stream in either direction.
///
/// What is written leaves with the next flush. It becomes one message, unless
/// [`begin_message`](Self::begin_message) says otherwise. Pings are answered on the way. One task
/// reads and writes; an error while reading leaves what was read before it intact.
// req: S75
pub struct WsStream<S> {
    stream: S,
    role: Role,
    deframer: Deframer,
    /// Whole frames; the first `written` bytes are with the stream below already.
    output: Vec<u8>,
    written: usize,
    /// The lengths of the messages that will be written, in bytes.
    messages: VecDeque<usize>,
    /// How much is missing of the message that is being written, in bytes.
    message_rest: usize,
    /// Whether a pong or a close frame was made and not flushed.
    is_answering: bool,
    /// Whether our close frame is in the output, or gone.
    is_closed: bool,
    reason: CloseReason,
}

enum Role {
    /// Draws masks.
    Client(Box<dyn SecureRandom>),
    Server,
}

impl<S> WsStream<S> {
    /// A client's end, after the handshake. Takes messages of packets up to `frame_len_max` bytes
    /// and [`MESSAGE_HEADROOM`]; `random` gives the masks.
    pub fn client(stream: S, frame_len_max: usize, random: impl SecureRandom + 'static) -> Self {
        Self::new(stream, frame_len_max, Role::Client(Box::new(random)))
    }

    /// A server's end, after the handshake. Takes messages of packets up to `frame_len_max` bytes
    /// and [`MESSAGE_HEADROOM`].
    pub fn server(stream: S, frame_len_max: usize) -> Self {
        Self::new(stream, frame_len_max, Role::Server)
    }

    fn new(stream: S, frame_len_max: usize, role: Role) -> Self {
        let message_len_max = (frame_len_max + MESSAGE_HEADROOM) as u64;
        Self {
            stream,
            deframer: Deframer::new(matches!(role, Role::Server), message_len_max),
            role,
            output: Vec::new(),
            written: 0,
            messages: VecDeque::new(),
            message_rest: 0,
            is_answering: false,
            is_closed: false,
            reason: CloseReason { code: CODE_NORMAL, text: String::new() },
        }
    }

    /// Makes a message of its own of the next `len` bytes that are written after those of earlier
    /// calls.
    pub fn begin_message(&mut self, len: usize) {
        if len > 0 {
            self.messages.push_back(len);
        }
    }

    /// Sets what the peer is told when we close; 1000 and no text otherwise.
    pub fn set_reason(&mut self, reason: CloseReason) {
        self.reason = reason;
    }

    /// Why the peer closed, if it did.
    pub fn close_reason(&self) -> Option<&CloseReason> {
        match self.deframer.end() {
            Some(End::Closed(reason)) => Some(reason),
            Some(End::Fault(_)) | None => None,
        }
    }

    /// How many bytes of frames wait for the stream below.
    pub fn unwritten(&self) -> usize {
        self.output.len() - self.written
    }

    fn put(&mut self, opcode: OpCode, is_final: bool, payload: &[u8]) {
        let mask = match &mut self.role {
            Role::Client(random) => Some(random.array()),
            Role::Server => None,
        };
        put_frame(&mut self.output, opcode, is_final, mask, payload);
    }

    /// Frames the beginning of `bytes`; returns how much of them.
    fn put_data(&mut self, bytes: &[u8]) -> usize {
        let is_first = self.message_rest == 0;
        if is_first {
            self.message_rest = match self.messages.pop_front() {
                Some(len) => len,
                None => bytes.len().min(FRAME_PAYLOAD_MAX),
            };
            if self.messages.is_empty() {
                self.messages = VecDeque::new();
            }
        }
        let count = bytes.len().min(self.message_rest).min(FRAME_PAYLOAD_MAX);
        self.message_rest -= count;
        let kind = if is_first { Data::Binary } else { Data::Continue };
        self.put(OpCode::Data(kind), self.message_rest == 0, &bytes[..count]);
        count
    }

    fn put_close(&mut self, reason: &CloseReason) {
        if !self.is_closed {
            self.is_closed = true;
            self.is_answering = true;
            self.put(OpCode::Control(Control::Close), true, &reason.to_payload());
        }
    }

    /// Answers what has to be answered: the latest ping, and the end.
    fn put_answers(&mut self) {
        if let Some(end) = self.deframer.end() {
            let reason = match end {
                End::Closed(_) => self.reason.clone(),
                End::Fault(fault) => {
                    CloseReason { code: fault.close_code(), text: fault.to_string() }
                }
            };
            self.put_close(&reason);
        } else if !self.is_closed
            && self.unwritten() < UNWRITTEN_MAX
            && let Some(said) = self.deframer.take_ping()
        {
            self.is_answering = true;
            self.put(OpCode::Control(Control::Pong), true, &said);
        }
    }
}

#[cfg(test)]
impl<S> WsStream<S> {
    /// How many bytes its buffers have room for.
    pub(crate) fn buffered(&self) -> usize {
        self.output.capacity() + self.messages.capacity()
    }
}

impl<S: AsyncWrite + Unpin> WsStream<S> {
    /// Writes the output to the stream below.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unwritten() > 0 {
            let rest = &self.output[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.output = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Sends our answers as far as that goes. What fails will fail again when something is written;
    /// there may be more to be read.
    fn push_answers(&mut self, cx: &mut Context<'_>) {
        self.put_answers();
        if self.is_answering {
            let _ = Pin::new(self).poll_flush(cx);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = into.filled().len();
        loop {
            this.push_answers(cx);
            match this.deframer.end() {
                Some(End::Closed(_)) => return Poll::Ready(Ok(())),
                Some(End::Fault(fault)) => return Poll::Ready(Err(invalid(*fault))),
                None => {}
            }
            ready!(Pin::new(&mut this.stream).poll_read(cx, into))?;
            let raw = &mut into.filled_mut()[before..];
            if raw.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let count = this.deframer.take(raw);
            into.set_filled(before + count);
            if count > 0 {
                this.push_answers(cx);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.unwritten() >= UNWRITTEN_MAX {
            ready!(self.poll_output(cx))?;
        }
        Poll::Ready(Ok(self.put_data(bytes)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_output(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.is_answering = false;
        Poll::Ready(Ok(()))
    }

    /// Sends our close frame and ends our direction of the stream below. The peer's is over when
    /// its close frame was read.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let reason = self.reason.clone();
        self.put_close(&reason);
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for WsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsStream")
            .field("unwritten", &self.unwritten())
            .field("is_closed", &self.is_closed)
            .field("end", &self.deframer.end())
            .finish_non_exhaustive()
    }
}

fn invalid(fault: WsFault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

/// The normal end.
pub(crate) const CODE_NORMAL: u16 = 1000;
