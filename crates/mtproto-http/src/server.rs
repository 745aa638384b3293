//! A client's connection, in turns.

use std::fmt;
use std::io;
use std::mem::replace;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use mtproto_frame::{Inbound, Misuse, Outbound};
use mtproto_transport::{Link, LinkError, Origin, Peer, Stream};
use tracing::debug;

use crate::answer::{self, PACKET};
use crate::channel::Channel;
use crate::config::{HttpConfig, Upgrade};
use crate::deadline::Deadline;
use crate::fault::{check_payload, io_error, is_cut_off};
use crate::intake::{End, Intake};
use crate::route::{Manner, Route, route};

/// How long a client that we leave may take to read our last words.
pub const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// How much it may say meanwhile, in bytes: a connection that is closed while the peer speaks may
/// lose what it was told last.
pub const LEAVE_LEN_MAX: usize = 256 << 10;

/// One connection of a client. It takes turns: each packet that comes out is to be answered by one
/// packet or error, and until then no other comes.
///
/// What is no packet is answered here: pages, preflights of browsers, and all that is refused. A
/// client that disconnects while its packet waits for an answer has closed the link. A connection
/// that was taken over by [`Upgrade`] is from then on the link that came of it.
///
/// Closing answers an open turn with 503. What takes longer than the [`HttpConfig`] lets it ends
/// while [`poll_recv`](Link::poll_recv) is polled.
// req: S81
pub struct HttpServerLink<S: Stream> {
    origin: Origin,
    config: Arc<HttpConfig>,
    state: State<S>,
}

enum State<S: Stream> {
    /// Nothing of a next request has come.
    Waiting(Channel<S>, Deadline),
    /// A request arrives.
    Head(Box<Intake<S>>, Deadline),
    /// A packet arrives.
    Body(Box<Arriving<S>>, Deadline),
    /// A turn is open.
    Held(Channel<S>, Manner),
    /// The answer to a request for another protocol is being written.
    Switching(Channel<S>, Arc<dyn Upgrade>),
    /// Another protocol is spoken.
    Upgraded(Box<dyn Link>),
    /// Our last words are being written, and what still comes is dropped.
    Leaving(Channel<S>, Deadline),
    Over,
}

/// A packet of which the head has come.
struct Arriving<S: Stream> {
    intake: Intake<S>,
    body: Incoming,
    packet: BytesMut,
    len: usize,
    manner: Manner,
}

impl<S: Stream> Arriving<S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        self.intake.poll_body(cx, &mut self.body, &mut self.packet, self.len)
    }
}

impl<S: Stream + 'static> HttpServerLink<S> {
    /// The server's side of `stream`, of which nothing was read that a
    /// [`Rewound`](mtproto_transport::Rewound) does not give again.
    pub fn new(stream: S, origin: Origin, config: Arc<HttpConfig>) -> Self {
        let deadline = Deadline::after(config.idle_limit);
        Self { origin, config, state: State::Waiting(Channel::new(stream), deadline) }
    }

    /// Goes on to the next state; gives the packet with which a turn opens.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<BytesMut>, LinkError>> {
        match &mut self.state {
            State::Waiting(channel, deadline) => {
                match ready!(deadline.limit(poll_begin(channel, cx), cx)) {
                    None | Some(Ok(0)) => return Poll::Ready(Err(LinkError::Closed)),
                    Some(begun) => begun.map(|_| self.begin())?,
                }
            }
            State::Head(intake, deadline) => {
                match ready!(deadline.limit(intake.poll_head(cx), cx)) {
                    Some(Ok(request)) => self.handle(request),
                    Some(Err(end)) => self.give_up(end)?,
                    None => self.refuse(StatusCode::REQUEST_TIMEOUT),
                }
            }
            State::Body(arriving, deadline) => {
                match ready!(deadline.limit(arriving.poll(cx), cx)) {
                    Some(Ok(())) => return Poll::Ready(Ok(self.hold())),
                    Some(Err(end)) => self.give_up(end)?,
                    None => self.refuse(StatusCode::REQUEST_TIMEOUT),
                }
            }
            State::Held(channel, _) => {
                // A next request waits where it is. Whether its client does then remains unknown.
                if channel.input_len() > 0 {
                    return Poll::Pending;
                }
                if ready!(channel.poll_fill(cx))? == 0 {
                    return Poll::Ready(Err(LinkError::Closed));
                }
            }
            State::Switching(channel, _) => {
                ready!(channel.poll_write_out(cx))?;
                self.switch();
            }
            State::Leaving(channel, deadline) => {
                // Nobody is left to hear how it went.
                let _ = ready!(deadline.limit(poll_leave(channel, cx), cx));
                return Poll::Ready(Err(LinkError::Closed));
            }
            State::Upgraded(_) | State::Over => return Poll::Ready(Err(LinkError::Closed)),
        }
        Poll::Ready(Ok(None))
    }

    /// Lets hyper read the request that has begun to come.
    fn begin(&mut self) {
        if let Some(channel) = self.take_channel() {
            let deadline = Deadline::after(self.config.head_limit);
            self.state = State::Head(Box::new(Intake::new(channel)), deadline);
        }
    }

    fn handle(&mut self, request: Request<Incoming>) {
        let (route, manner) = route(&request, &self.config);
        match route {
            Route::Packet { len } => self.receive(request.into_body(), len, manner),
            Route::Page => self.show(request.uri().path(), manner),
            Route::Preflight => self.answer(StatusCode::OK, manner, PACKET, &[]),
            Route::Refused(status) => {
                debug!(%status, "a request was refused");
                self.answer(status, manner, PACKET, &[]);
            }
            Route::Upgrade(upgrade) => self.upgrade(upgrade, &request.map(drop), manner),
        }
    }

    fn receive(&mut self, body: Incoming, len: usize, manner: Manner) {
        if let State::Head(intake, _) = replace(&mut self.state, State::Over) {
            let packet = BytesMut::new();
            let arriving = Arriving { intake: *intake, body, packet, len, manner };
            let deadline = Deadline::after(self.config.body_limit);
            self.state = State::Body(Box::new(arriving), deadline);
        }
    }

    /// Opens a turn with the packet that has come.
    fn hold(&mut self) -> Option<BytesMut> {
        let State::Body(arriving, _) = replace(&mut self.state, State::Over) else { return None };
        self.state = State::Held(arriving.intake.into_channel(), arriving.manner);
        Some(arriving.packet)
    }

    fn show(&mut self, path: &str, manner: Manner) {
        match self.config.pages.as_ref().and_then(|pages| pages.page(path)) {
            Some(page) => self.answer(StatusCode::OK, manner, page.content_type, &page.body),
            None => self.answer(StatusCode::NOT_FOUND, manner, PACKET, &[]),
        }
    }

    fn upgrade(&mut self, upgrade: Arc<dyn Upgrade>, request: &Request<()>, manner: Manner) {
        let Some(mut channel) = self.take_channel() else { return };
        let response = upgrade.answer(request);
        answer::write_upgrade(channel.output(), &response, manner);
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => self.state = State::Switching(channel, upgrade),
            _ => self.settle(channel, manner),
        }
    }

    fn switch(&mut self) {
        if let State::Switching(channel, upgrade) = replace(&mut self.state, State::Over) {
            let stream = Box::new(channel.into_stream());
            self.state = State::Upgraded(upgrade.link(stream, self.origin));
        }
    }

    /// Ends the request that arrives, or the turn that is open, and the connection.
    fn refuse(&mut self, status: StatusCode) {
        let cors = match &self.state {
            State::Body(arriving, _) => arriving.manner.cors,
            State::Held(_, manner) => manner.cors,
            _ => false,
        };
        self.answer(status, Manner { cors, keep_alive: false }, PACKET, &[]);
    }

    fn answer(&mut self, status: StatusCode, manner: Manner, content_type: &str, body: &[u8]) {
        if let Some(mut channel) = self.take_channel() {
            answer::write(channel.output(), status, manner, content_type, body);
            self.settle(channel, manner);
        }
    }

    /// Goes on after an answer.
    fn settle(&mut self, channel: Channel<S>, manner: Manner) {
        self.state = if manner.keep_alive {
            State::Waiting(channel, Deadline::after(self.config.idle_limit))
        } else {
            State::Leaving(channel, Deadline::after(LEAVE_LIMIT))
        };
    }

    /// Ends a connection that broke off within a request, or that hyper has refused and answered.
    fn give_up(&mut self, end: End) -> Result<(), LinkError> {
        let body_len = match &self.state {
            State::Body(arriving, _) => Some(arriving.packet.len()),
            _ => None,
        };
        let Some(channel) = self.take_channel() else { return Err(LinkError::Closed) };
        match (end.fault, body_len) {
            (Some(error), _) if error.is_parse() => {
                debug!(%error, "no request");
                self.settle(channel, Manner::CLOSE);
                Ok(())
            }
            (Some(error), _) if !is_cut_off(&error) => Err(io_error(error).into()),
            // Nothing but empty lines.
            (None, None) => Err(LinkError::Closed),
            (_, body_len) => {
                let received = channel.input_len() + body_len.unwrap_or(0);
                Err(LinkError::Truncated { received })
            }
        }
    }

    /// The stream, whatever goes on with it; the state is to be set anew.
    fn take_channel(&mut self) -> Option<Channel<S>> {
        match replace(&mut self.state, State::Over) {
            State::Waiting(channel, _)
            | State::Held(channel, _)
            | State::Switching(channel, _)
            | State::Leaving(channel, _) => Some(channel),
            State::Head(intake, _) => Some(intake.into_channel()),
            State::Body(arriving, _) => Some(arriving.intake.into_channel()),
            State::Upgraded(_) | State::Over => None,
        }
    }
}

impl<S: Stream + 'static> Link for HttpServerLink<S> {
    // req: S83
    fn start_send(&mut self, item: Outbound) -> Result<(), LinkError> {
        let manner = match &mut self.state {
            State::Upgraded(link) => return link.start_send(item),
            State::Held(_, manner) => *manner,
            _ => return Err(Misuse::NoTurn.into()),
        };
        match item {
            Outbound::Packet { payload, .. } => {
                check_payload(&payload)?;
                self.answer(StatusCode::OK, manner, PACKET, &payload);
            }
            Outbound::Error(error) => self.answer(answer::status_of(error), manner, PACKET, &[]),
            Outbound::QuickAck(_) => return Err(Misuse::NoQuickAcks.into()),
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        match &mut self.state {
            State::Waiting(channel, _)
            | State::Held(channel, _)
            | State::Switching(channel, _)
            | State::Leaving(channel, _) => channel.poll_write_out(cx).map_err(LinkError::Io),
            // What hyper says meanwhile leaves as the request is read.
            State::Head(..) | State::Body(..) => Poll::Ready(Ok(())),
            State::Upgraded(link) => link.poll_flush(cx),
            State::Over => Poll::Ready(Err(LinkError::Closed)),
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LinkError>> {
        loop {
            if let State::Upgraded(link) = &mut self.state {
                return link.poll_recv(cx);
            }
            match ready!(self.poll_step(cx)) {
                Ok(None) => {}
                Ok(Some(payload)) => {
                    return Poll::Ready(Ok(Inbound::Packet { payload, quick_ack: false }));
                }
                Err(error) => {
                    self.state = State::Over;
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        match &self.state {
            State::Head(..) | State::Body(..) | State::Held(..) => {
                self.refuse(StatusCode::SERVICE_UNAVAILABLE);
            }
            State::Waiting(..) | State::Switching(..) => {
                if let Some(channel) = self.take_channel() {
                    self.settle(channel, Manner::CLOSE);
                }
            }
            State::Upgraded(_) | State::Leaving(..) | State::Over => {}
        }
        match &mut self.state {
            State::Upgraded(link) => link.poll_close(cx),
            State::Leaving(channel, _) => channel.poll_shut(cx).map_err(LinkError::Io),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn unsent(&self) -> usize {
        match &self.state {
            State::Waiting(channel, _)
            | State::Held(channel, _)
            | State::Switching(channel, _)
            | State::Leaving(channel, _) => channel.unsent(),
            State::Upgraded(link) => link.unsent(),
            State::Head(..) | State::Body(..) | State::Over => 0,
        }
    }

    fn peer(&self) -> Peer {
        match &self.state {
            State::Upgraded(link) => link.peer(),
            _ => Peer { origin: self.origin, recognised: None },
        }
    }

    fn takes_turns(&self) -> bool {
        match &self.state {
            State::Upgraded(link) => link.takes_turns(),
            _ => true,
        }
    }
}

impl<S: Stream> fmt::Debug for HttpServerLink<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServerLink").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Writes the last answer and waits for the next request.
fn poll_begin<S: Stream>(
    channel: &mut Channel<S>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    ready!(channel.poll_write_out(cx))?;
    channel.poll_fill(cx)
}

/// Writes our last words and lets the client finish its own.
fn poll_leave<S: Stream>(channel: &mut Channel<S>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    ready!(channel.poll_shut(cx))?;
    channel.poll_drain(LEAVE_LEN_MAX, cx)
}

#[cfg(test)]
mod tests {
    use mtproto_transport::LinkExt;
    use tokio::io::{AsyncWriteExt, duplex};
    use tokio::net::TcpStream;

    use super::*;

    /// Long polls are held by the ten thousand.
    #[tokio::test]
    async fn a_turn_that_is_held_has_no_buffer() {
        // Some of it is tokio's, and depends on its features.
        assert!(size_of::<HttpServerLink<TcpStream>>() <= 200);
        let (mut client, server) = duplex(1 << 10);
        let mut link = HttpServerLink::new(server, Origin::MEMORY, Arc::default());
        for _ in 0..2 {
            client
                .write_all(b"POST /api HTTP/1.1\r\nContent-Length: 8\r\n\r\npacket!!")
                .await
                .unwrap();
            link.recv().await.unwrap();
            match &mut link.state {
                State::Held(channel, _) => {
                    assert_eq!((channel.input_len(), channel.output().capacity()), (0, 0));
                }
                _ => panic!("no turn is open"),
            }
            link.send(Outbound::packet("answer!!")).await.unwrap();
        }
    }
}
