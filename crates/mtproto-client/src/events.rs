//! The way of events from the actor to the application: bounded, and honest when it overflows.
//!
//! While the application reads too slowly, the actor stops reading from the server, so the slowness
//! reaches the peer instead of memory. An application that does not read at all must not stop its
//! own calls, whose answers come over the same connection: after [`EVENTS_PAUSE_MAX`] what it
//! missed is dropped, and [`Event::Missed`] says so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_auth::Fault;
use mtproto_endpoint::client::{Gap, KeyLoss, KeyMade, State};
use mtproto_tl::AuthKeyId;
use tokio::sync::mpsc;

use crate::clock::now;

/// How many events wait for the application before reading from the server pauses.
pub const EVENTS_MAX: usize = 1024;

/// How long an application that does not read its events may hold up the answers to its calls.
pub const EVENTS_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What the application gets to know without having asked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A key exchange came to nothing. It will be tried again, unless the client closes.
    ExchangeFailed(Fault),
    /// Objects that the server pushed may be missing here: it, or this client, began a new session.
    Gap(Gap),
    /// An auth key is of no use any more.
    KeyLost {
        /// The key.
        key: AuthKeyId,
        /// How that is known.
        reason: KeyLoss,
    },
    /// An auth key was made.
    KeyMade(KeyMade),
    /// So many events are missing here, because nobody read them in time.
    Missed {
        /// How many.
        events: u64,
    },
    /// The server sent an object of its own accord.
    Push(Bytes),
    /// The client's state is another one.
    State(State),
}

/// The events of a client. There is one receiver; dropping it gives events up for good.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` once the client has stopped and everything was read.
    ///
    /// Cancel-safe: an event is either returned or still there.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}

/// The receiver until somebody asks for it.
#[derive(Debug)]
pub(crate) struct Unclaimed {
    events: Events,
    claimed: Arc<AtomicBool>,
}

impl Unclaimed {
    /// Hands it over; from now on its reader is waited for.
    pub(crate) fn claim(self) -> Events {
        self.claimed.store(true, Ordering::Relaxed);
        self.events
    }
}

/// The actor's end.
pub(crate) struct EventSink {
    sender: mpsc::Sender<Event>,
    claimed: Arc<AtomicBool>,
    /// What found no room: at most what came out of one round of the actor.
    backlog: VecDeque<Event>,
    /// Since when the reader is behind.
    behind: Option<Instant>,
    /// Events dropped since the last one that was delivered.
    missed: u64,
}

impl EventSink {
    /// Both ends.
    pub(crate) fn new() -> (Self, Unclaimed) {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        let claimed = Arc::new(AtomicBool::new(false));
        let sink = Self {
            sender,
            claimed: Arc::clone(&claimed),
            backlog: VecDeque::new(),
            behind: None,
            missed: 0,
        };
        (sink, Unclaimed { events: Events { receiver }, claimed })
    }

    /// Takes an event for the application.
    pub(crate) fn push(&mut self, event: Event, now: Instant) {
        self.backlog.push_back(event);
        self.deliver(now);
    }

    /// Until when reading from the server pauses.
    pub(crate) fn paused_until(&self, now: Instant) -> Option<Instant> {
        let behind = self.behind.filter(|_| self.claimed.load(Ordering::Relaxed));
        behind.map(|since| since + EVENTS_PAUSE_MAX).filter(|end| now < *end)
    }

    /// Waits for room and delivers what waits for it; never ends while nothing does.
    ///
    /// Cancel-safe: what was not delivered still waits.
    pub(crate) async fn room(&mut self) {
        if self.behind.is_none() {
            return std::future::pending().await;
        }
        // Only this end sends, so the room is still there once the permit is given back.
        drop(self.sender.reserve().await);
        self.deliver(now());
    }

    fn deliver(&mut self, now: Instant) {
        if self.sender.is_closed() {
            self.backlog.clear();
            self.missed = 0;
        }
        if self.missed > 0 && self.sender.try_send(Event::Missed { events: self.missed }).is_ok() {
            self.missed = 0;
        }
        while self.missed == 0
            && let Some(event) = self.backlog.pop_front()
        {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.sender.try_send(event) {
                self.backlog.push_front(event);
                break;
            }
        }
        if self.backlog.is_empty() && self.missed == 0 {
            self.behind = None;
            return;
        }
        let since = *self.behind.get_or_insert(now);
        if !self.claimed.load(Ordering::Relaxed) || since + EVENTS_PAUSE_MAX <= now {
            self.missed += u64::try_from(self.backlog.len()).unwrap_or(u64::MAX);
            self.backlog.clear();
        }
    }
}
