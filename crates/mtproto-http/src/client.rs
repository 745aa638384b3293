//! A client's link: turns over a few connections.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use mtproto_frame::{Inbound, Misuse, Outbound};
use mtproto_transport::{Link, LinkError, Origin, Peer, UNSENT_MAX};

use crate::dial::Target;
use crate::exchange::{Line, Outcome, exchange};
use crate::fault::check_payload;

/// How many connections a link has at most, and so how many turns are open at once.
pub const CONNECTIONS_MAX: usize = 6;

/// A client's link. It takes turns: exactly one item comes out for every packet that is sent, but
/// not in the order of the packets. An answer that says nothing is a packet of no bytes.
///
/// Every packet is a request of its own. It has a connection for itself until the answer has come;
/// when [`CONNECTIONS_MAX`] are taken, it waits. A request that fails on a connection that the
/// server had closed meanwhile is repeated once, on a new one; any other failure is the link's end.
///
/// Closing waits until what was sent has left, and gives up the answers that are still to come.
// req: S86
pub struct HttpClientLink {
    target: Arc<Target>,
    origin: Origin,
    /// Packets that wait for a connection.
    waiting: VecDeque<Bytes>,
    /// All of those together, in bytes.
    waiting_len: usize,
    open: Vec<Turn>,
    idle: Vec<Line>,
    answers: VecDeque<Inbound>,
    /// What ends the link, as soon as somebody asks.
    failure: Option<LinkError>,
    is_over: bool,
}

/// A packet that is being sent or answered.
struct Turn {
    exchange: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    len: usize,
    is_sent: Arc<AtomicBool>,
}

impl Turn {
    fn unsent(&self) -> usize {
        if self.is_sent.load(Ordering::Relaxed) { 0 } else { self.len }
    }
}

impl HttpClientLink {
    pub(crate) fn new(target: Arc<Target>, line: Line, origin: Origin) -> Self {
        Self {
            target,
            origin,
            waiting: VecDeque::new(),
            waiting_len: 0,
            open: Vec::new(),
            idle: vec![line],
            answers: VecDeque::new(),
            failure: None,
            is_over: false,
        }
    }

    /// Goes on with every turn. Answers that nobody takes keep further packets waiting.
    fn poll_turns(&mut self, cx: &mut Context<'_>) {
        self.idle.retain_mut(|line| line.poll_end(cx).is_pending());
        loop {
            self.begin_turns();
            let before = self.open.len();
            let Self { open, idle, answers, failure, .. } = self;
            open.retain_mut(|turn| match turn.exchange.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(outcome) => {
                    match outcome {
                        Ok((answer, line)) => {
                            answers.push_back(answer);
                            idle.extend(line);
                        }
                        Err(error) => *failure = Some(error),
                    }
                    false
                }
            });
            if self.open.len() == before {
                return;
            }
        }
    }

    fn begin_turns(&mut self) {
        while self.failure.is_none()
            && self.open.len() + self.answers.len() < CONNECTIONS_MAX
            && let Some(payload) = self.waiting.pop_front()
        {
            let (len, is_sent) = (payload.len(), Arc::new(AtomicBool::new(false)));
            self.waiting_len -= len;
            let target = Arc::clone(&self.target);
            let exchange =
                Box::pin(exchange(target, self.idle.pop(), payload, Arc::clone(&is_sent)));
            self.open.push(Turn { exchange, len, is_sent });
        }
    }

    /// Ready once, with what has ended the link.
    fn poll_failure(&mut self) -> Poll<LinkError> {
        let Some(error) = self.failure.take() else { return Poll::Pending };
        self.finish();
        Poll::Ready(error)
    }

    /// Ends all connections.
    fn finish(&mut self) {
        self.is_over = true;
        self.waiting.clear();
        self.waiting_len = 0;
        self.open.clear();
        self.idle.clear();
    }
}

impl Link for HttpClientLink {
    fn start_send(&mut self, item: Outbound) -> Result<(), LinkError> {
        let Outbound::Packet { payload, .. } = item else { return Err(Misuse::ServerOnly.into()) };
        check_payload(&payload)?;
        let unsent = self.unsent();
        if self.is_over {
            return Err(LinkError::Closed);
        }
        if unsent >= UNSENT_MAX {
            return Err(LinkError::Full { unsent, max: UNSENT_MAX });
        }
        self.waiting_len += payload.len();
        self.waiting.push_back(payload.into_bytes());
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        if self.is_over {
            return Poll::Ready(Err(LinkError::Closed));
        }
        self.poll_turns(cx);
        match self.poll_failure() {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending if self.unsent() == 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LinkError>> {
        if !self.is_over && self.answers.is_empty() {
            self.poll_turns(cx);
        }
        if let Some(answer) = self.answers.pop_front() {
            return Poll::Ready(Ok(answer));
        }
        if self.is_over {
            Poll::Ready(Err(LinkError::Closed))
        } else {
            self.poll_failure().map(Err)
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        self.poll_flush(cx).map(|flushed| {
            self.finish();
            flushed
        })
    }

    fn unsent(&self) -> usize {
        self.waiting_len + self.open.iter().map(Turn::unsent).sum::<usize>()
    }

    fn peer(&self) -> Peer {
        Peer { origin: self.origin, recognised: None }
    }

    fn takes_turns(&self) -> bool {
        true
    }
}

impl fmt::Debug for HttpClientLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClientLink")
            .field("origin", &self.origin)
            .field("waiting", &self.waiting.len())
            .field("open", &self.open.len())
            .field("idle", &self.idle.len())
            .finish_non_exhaustive()
    }
}
