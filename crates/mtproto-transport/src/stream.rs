//! A link over any byte stream.

use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use bytes::{BufMut, BytesMut};
use mtproto_crypto::SecureRandom;
use mtproto_frame::{
    Inbound, Misuse, Outbound, Recognised, ServerWireConfig, Spare, Wire, WireConfig, WireFault,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::{Link, LinkError, Origin, Peer};

/// Room for a read at first, in bytes.
pub const READ_LEN_MIN: usize = 4 << 10;

/// Room for a read from a peer that fills it again and again, in bytes.
pub const READ_LEN_MAX: usize = 64 << 10;

/// More than any framing puts around a packet, in bytes.
const FRAME_OVERHEAD: usize = 32;

/// When this many bytes wait to be sent, no more is taken. A single frame may go beyond.
pub const UNSENT_MAX: usize = 1 << 20;

/// A byte stream with a [`Wire`] on it.
///
/// Buffers are held only while there is something in them, so an idle link costs no more than its
/// keys. What arrives beyond one packet is not read before that packet was taken.
pub struct StreamLink<S> {
    stream: S,
    state: StreamState,
}

/// All of a [`StreamLink`] but its stream, which it can be taken from and put upon again, for
/// instance to go on in another runtime.
#[derive(Debug)]
pub struct StreamState {
    wire: Wire,
    origin: Origin,
    /// Arrived and not yet taken.
    input: BytesMut,
    /// Framed; the first `sent` bytes are with the stream already.
    output: Vec<u8>,
    sent: usize,
    read_len: usize,
    receiving: Receiving,
}

/// What becomes of bytes that arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Receiving {
    /// They are packets.
    Packets,
    /// They are dropped without an answer, till the peer closes.
    Dropping,
    /// None is read any more.
    Over,
}

impl<S> StreamLink<S> {
    /// The client's side of `stream`.
    ///
    /// # Errors
    /// As [`Wire::client`].
    pub fn client(
        stream: S,
        origin: Origin,
        config: &WireConfig,
        random: &mut dyn SecureRandom,
    ) -> Result<Self, Misuse> {
        Ok(Self::new(stream, origin, Wire::client(config, random)?))
    }

    /// The server's side of `stream`, which finds out what the client speaks.
    pub fn server(
        stream: S,
        origin: Origin,
        config: Arc<ServerWireConfig>,
        random: &mut dyn SecureRandom,
    ) -> Self {
        Self::new(stream, origin, Wire::server(config, random))
    }

    /// A link over `stream`, on which nothing was sent or received so far.
    pub fn new(stream: S, origin: Origin, wire: Wire) -> Self {
        let state = StreamState {
            wire,
            origin,
            input: BytesMut::new(),
            output: Vec::new(),
            sent: 0,
            read_len: READ_LEN_MIN,
            receiving: Receiving::Packets,
        };
        Self { stream, state }
    }

    /// Puts a link together again.
    pub fn from_parts(stream: S, state: StreamState) -> Self {
        Self { stream, state }
    }

    /// Takes the link apart. Nothing is lost that arrived or was to be sent.
    pub fn into_parts(self) -> (S, StreamState) {
        (self.stream, self.state)
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream below, for layers that take more than bytes. Reading and writing are the link's.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// What the stream is; `None` as long as a server cannot tell.
    pub fn recognised(&self) -> Option<Recognised> {
        self.state.wire.recognised()
    }

    /// The wire and the buffer it writes to, for [`Wire::begin`]: packets can be laid out and
    /// sealed where they are sent from. They leave with the next flush, which also finishes their
    /// frames.
    pub fn output(&mut self) -> (&mut Wire, &mut Vec<u8>) {
        (&mut self.state.wire, &mut self.state.output)
    }
}

impl StreamState {
    /// What arrived and was not taken: of a stream that speaks another protocol, all of it.
    pub fn into_input(self) -> BytesMut {
        self.input
    }

    fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Parts with the output once all of it is sent.
    fn sent(&mut self, count: usize, spare: Option<&mut Spare>) {
        self.sent += count;
        if self.sent == self.output.len() {
            let memory = std::mem::take(&mut self.output);
            self.sent = 0;
            if let Some(spare) = spare {
                spare.keep_sent(memory);
            }
        }
    }

    /// The next item of what arrived, if all of it is there.
    fn next(&mut self) -> Result<Option<Inbound>, LinkError> {
        match self.receiving {
            Receiving::Packets if self.input.is_empty() => Ok(None),
            Receiving::Packets => self.wire.receive(&mut self.input).or_else(|fault| match fault {
                WireFault::Unrecognised => {
                    self.receiving = Receiving::Dropping;
                    self.input.clear();
                    Ok(None)
                }
                _ => {
                    self.receiving = Receiving::Over;
                    Err(fault.into())
                }
            }),
            // req: S116
            Receiving::Dropping => {
                self.input.clear();
                Ok(None)
            }
            Receiving::Over => Err(LinkError::Closed),
        }
    }

    /// What the end of the peer's direction means.
    fn ended(&mut self) -> LinkError {
        let was = std::mem::replace(&mut self.receiving, Receiving::Over);
        match (was, self.input.len()) {
            (Receiving::Packets, 0) | (Receiving::Over, _) => LinkError::Closed,
            (Receiving::Packets, received) => LinkError::Truncated { received },
            (Receiving::Dropping, _) => WireFault::Unrecognised.into(),
        }
    }

    /// Makes the next read fit how much the last one brought.
    fn adapt(&mut self, read: usize) {
        if read == self.read_len {
            self.read_len = (self.read_len * 2).min(READ_LEN_MAX);
        } else if read < self.read_len / 4 {
            self.read_len = (self.read_len / 2).max(READ_LEN_MIN);
        }
    }
}

impl<S: AsyncRead + Unpin> StreamLink<S> {
    /// Reads once, as much as there is and there is room for; gives the number of bytes.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        spare: Option<&mut Spare>,
    ) -> Poll<Result<usize, LinkError>> {
        let state = &mut self.state;
        let read = match state.read_len {
            READ_LEN_MIN => poll_read_little(&mut self.stream, cx, &mut state.input, spare),
            len => poll_read_much(&mut self.stream, cx, &mut state.input, len),
        };
        if read.is_pending() && state.input.is_empty() {
            state.input = BytesMut::new();
        }
        read.map_err(|error| {
            state.receiving = Receiving::Over;
            error.into()
        })
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        mut spare: Option<&mut Spare>,
    ) -> Poll<Result<Inbound, LinkError>> {
        loop {
            if let Some(item) = self.state.next()? {
                return Poll::Ready(Ok(item));
            }
            match ready!(self.poll_read(cx, spare.as_deref_mut()))? {
                0 => return Poll::Ready(Err(self.state.ended())),
                read => self.state.adapt(read),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> StreamLink<S> {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        mut spare: Option<&mut Spare>,
    ) -> Poll<Result<(), LinkError>> {
        let state = &mut self.state;
        if !state.output.is_empty() {
            state.wire.finish(&mut state.output)?;
        }
        while let Some(rest) = state.output.get(state.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(LinkError::Closed)),
                count => state.sent(count, spare.as_deref_mut()),
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx).map_err(LinkError::Io)
    }
}

/// Reads by way of the stack. Most reads bring little, and every second one nothing: a copy of that
/// costs less than memory to read into.
fn poll_read_little(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    input: &mut BytesMut,
    spare: Option<&mut Spare>,
) -> Poll<io::Result<usize>> {
    let mut room = [MaybeUninit::uninit(); READ_LEN_MIN];
    let mut room = ReadBuf::uninit(&mut room);
    ready!(Pin::new(stream).poll_read(cx, &mut room))?;
    match spare {
        Some(spare) if input.is_empty() => *input = spare.filled(room.filled()),
        _ => input.extend_from_slice(room.filled()),
    }
    Poll::Ready(Ok(room.filled().len()))
}

/// Reads up to `len` bytes to where they stay.
fn poll_read_much(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    input: &mut BytesMut,
    len: usize,
) -> Poll<io::Result<usize>> {
    input.reserve(len);
    // Nothing is kept in this future: a read either happened or did not.
    pin!(stream.read_buf(&mut input.limit(len))).poll(cx)
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Link for StreamLink<S> {
    fn start_send(&mut self, item: Outbound) -> Result<(), LinkError> {
        let unsent = self.unsent();
        if unsent >= UNSENT_MAX {
            return Err(LinkError::Full { unsent, max: UNSENT_MAX });
        }
        let StreamState { wire, output, .. } = &mut self.state;
        let item = match item {
            // Memory that nobody else has becomes the output.
            Outbound::Packet { payload, quick_ack } if output.is_empty() => {
                match payload.try_into_own() {
                    Ok(payload) => {
                        *output = wire.enclose(payload, quick_ack)?;
                        return Ok(());
                    }
                    Err(payload) => Outbound::Packet { payload, quick_ack },
                }
            }
            item => item,
        };
        if let Outbound::Packet { payload, .. } = &item {
            output.reserve(payload.len() + FRAME_OVERHEAD);
        }
        Ok(wire.send(&item, output)?)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.poll_write(cx, None)
    }

    fn poll_flush_with(
        &mut self,
        cx: &mut Context<'_>,
        spare: &mut Spare,
    ) -> Poll<Result<(), LinkError>> {
        self.poll_write(cx, Some(spare))
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LinkError>> {
        self.poll_next(cx, None)
    }

    fn poll_recv_with(
        &mut self,
        cx: &mut Context<'_>,
        spare: &mut Spare,
    ) -> Poll<Result<Inbound, LinkError>> {
        self.poll_next(cx, Some(spare))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx).map_err(LinkError::Io)
    }

    fn unsent(&self) -> usize {
        self.state.unsent()
    }

    fn peer(&self) -> Peer {
        Peer { origin: self.state.origin, recognised: self.recognised() }
    }
}

impl<S> fmt::Debug for StreamLink<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream: _, state } = self;
        f.debug_struct("StreamLink")
            .field("origin", &state.origin)
            .field("recognised", &state.wire.recognised())
            .field("unsent", &state.unsent())
            .finish_non_exhaustive()
    }
}
