//! A WebSocket that carries packets.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mtproto_crypto::{OsRandom, SecureRandom};
use mtproto_frame::{Inbound, Misuse, Outbound, ServerWireConfig, TransportError, WireConfig};
use mtproto_transport::{Link, LinkError, Origin, Peer, Stream, StreamLink, UNSENT_MAX};

use crate::stream::CODE_NORMAL;
use crate::{CloseReason, WsStream};

/// A link over a WebSocket: each item is one message.
///
/// A server that sent a transport error as its last item repeats it when it closes, and a client
/// that finds one there and had none before receives it before the end.
pub struct WsLink<S> {
    link: StreamLink<WsStream<S>>,
    /// Whether the last item received was a transport error.
    has_error: bool,
}

/// What a server answers to on its WebSockets: never a framing without obfuscation.
#[derive(Clone, Debug)]
pub struct WsServerConfig(Arc<ServerWireConfig>);

impl WsServerConfig {
    /// What `config` answers to, less what a WebSocket may not carry.
    // req: S76
    #[must_use]
    pub fn new(config: &ServerWireConfig) -> Self {
        Self(Arc::new(ServerWireConfig { allow_plain: false, ..config.clone() }))
    }
}

impl<S: Stream> WsLink<S> {
    /// The client's end of the WebSocket on `stream`, after the handshake.
    ///
    /// # Errors
    /// `PlainWebSocket` for a stream that is not obfuscated, and as
    /// [`Wire::client`](mtproto_frame::Wire::client).
    // req: S76
    pub fn client(
        stream: S,
        origin: Origin,
        config: &WireConfig,
        random: &mut dyn SecureRandom,
    ) -> Result<Self, Misuse> {
        if config.obfuscation.is_none() {
            return Err(Misuse::PlainWebSocket);
        }
        let stream = WsStream::client(stream, config.frame_len_max, OsRandom::new());
        Ok(Self::new(StreamLink::client(stream, origin, config, random)?))
    }

    /// The server's end of the WebSocket on `stream`, after the handshake.
    pub fn server(
        stream: S,
        origin: Origin,
        config: &WsServerConfig,
        random: &mut dyn SecureRandom,
    ) -> Self {
        let WsServerConfig(config) = config;
        let stream = WsStream::server(stream, config.frame_len_max);
        Self::new(StreamLink::server(stream, origin, Arc::clone(config), random))
    }

    fn new(link: StreamLink<WsStream<S>>) -> Self {
        Self { link, has_error: false }
    }

    /// The error in the peer's reason for closing, unless it was told in the stream already.
    fn take_close_error(&mut self) -> Option<TransportError> {
        let reason = self.link.stream().close_reason()?;
        let error = parse_error(reason)?;
        (!std::mem::replace(&mut self.has_error, true)).then_some(error)
    }
}

impl<S: Stream> Link for WsLink<S> {
    fn start_send(&mut self, item: Outbound) -> Result<(), LinkError> {
        let unsent = self.unsent();
        if unsent >= UNSENT_MAX {
            return Err(LinkError::Full { unsent, max: UNSENT_MAX });
        }
        let reason = match &item {
            Outbound::Error(error) => Some(close_reason(Some(*error))),
            Outbound::Packet { .. } => Some(close_reason(None)),
            Outbound::QuickAck(_) => None,
        };
        let before = self.link.unsent();
        // req: S77
        self.link.start_send(item)?;
        let len = self.link.unsent() - before;
        let stream = self.link.stream_mut();
        // req: L29, S75
        stream.begin_message(len);
        if let Some(reason) = reason {
            stream.set_reason(reason);
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.link.poll_flush(cx)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LinkError>> {
        let received = ready!(self.link.poll_recv(cx));
        match &received {
            Ok(item) => self.has_error = matches!(item, Inbound::Error(_)),
            // req: S78
            Err(LinkError::Closed) => {
                if let Some(error) = self.take_close_error() {
                    return Poll::Ready(Ok(Inbound::Error(error)));
                }
            }
            Err(_) => {}
        }
        Poll::Ready(received)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.link.poll_close(cx)
    }

    fn unsent(&self) -> usize {
        self.link.unsent() + self.link.stream().unwritten()
    }

    fn peer(&self) -> Peer {
        self.link.peer()
    }
}

impl<S> fmt::Debug for WsLink<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WsLink").field(&self.link).finish()
    }
}

/// What a server closes with: the code of the error in ten characters, so that those of three
/// digits have seven spaces before them, by which a client tells them.
// req: S78
fn close_reason(error: Option<TransportError>) -> CloseReason {
    let text = error.map(|error| format!("{:>10}", error.code().unsigned_abs()));
    CloseReason { code: CODE_NORMAL, text: text.unwrap_or_default() }
}

/// The error that a reason names, whatever it is padded with.
// req: S78
fn parse_error(reason: &CloseReason) -> Option<TransportError> {
    let code: i32 = reason.text.trim().parse().ok()?;
    TransportError::from_code(code.checked_abs()?.checked_neg()?)
}

#[cfg(test)]
impl<S: Stream> WsLink<S> {
    /// How many bytes its buffers have room for.
    pub(crate) fn buffered(&mut self) -> usize {
        self.link.output().1.capacity() + self.link.stream().buffered()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req: S78
    #[test]
    fn an_error_is_named_in_a_fixed_length() {
        for (error, text) in [
            (TransportError::Forbidden, "       403"),
            (TransportError::NotFound, "       404"),
            (TransportError::Flood, "       429"),
            (TransportError::WrongDc, "       444"),
            (TransportError::Other(-1000), "      1000"),
            (TransportError::Other(i32::MIN + 1), "2147483647"),
        ] {
            let reason = close_reason(Some(error));
            assert_eq!(reason, CloseReason { code: 1000, text: text.to_owned() });
            assert_eq!(parse_error(&reason), Some(error));
        }
    }

    // req: S78
    #[test]
    fn other_paddings_are_read_and_other_reasons_ignored() {
        let parse = |text: &str| parse_error(&CloseReason { code: 1000, text: text.to_owned() });
        for text in ["404", "-404", "404       ", "\t-404"] {
            assert_eq!(parse(text), Some(TransportError::NotFound), "{text:?}");
        }
        for text in ["", "0", "bye", "4 0 4", "99999999999", "-2147483648"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
