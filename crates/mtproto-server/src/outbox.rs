//! What a shard has for a connection, and knows of it. The two may live on different threads; the
//! shard never waits.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use mtproto_frame::Outbound;
use mtproto_transport::Peer;

/// Bytes that may wait for one connection. A peer that reads so slowly loses its connection, not
/// its messages: those stay in the session's queue until they are acknowledged.
pub(crate) const OUTBOX_BYTES_MAX: usize = 8 << 20;

struct State {
    peer: Peer,
    items: Items,
    phase: Phase,
    is_asked: bool,
    closes_at: Option<Instant>,
    waker: Option<Waker>,
}

/// Items that wait, oldest first. One alone, as nearly always, needs no memory beside this.
#[derive(Default)]
enum Items {
    #[default]
    None,
    One(Outbound),
    Several(Box<Several>),
}

struct Several {
    /// Never empty.
    items: VecDeque<Outbound>,
    bytes: usize,
}

impl Items {
    fn push(&mut self, item: Outbound) {
        if let Self::Several(several) = self {
            several.bytes += len_of(&item);
            return several.items.push_back(item);
        }
        *self = match std::mem::take(self) {
            Self::One(first) => {
                let bytes = len_of(&first) + len_of(&item);
                Self::Several(Box::new(Several { items: [first, item].into(), bytes }))
            }
            Self::None | Self::Several(_) => Self::One(item),
        };
    }

    fn pop(&mut self) -> Option<Outbound> {
        if let Self::Several(several) = self
            && several.items.len() > 1
        {
            let first = several.items.pop_front()?;
            several.bytes -= len_of(&first);
            return Some(first);
        }
        // The last goes with the memory of those before it.
        match std::mem::take(self) {
            Self::None => None,
            Self::One(item) => Some(item),
            Self::Several(mut several) => several.items.pop_front(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(item) => len_of(item),
            Self::Several(several) => several.bytes,
        }
    }
}

/// What the connection may still do.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Phase {
    /// Read and write.
    #[default]
    Open,
    /// Write only: the server drains.
    Draining,
    /// Write what is queued, then close.
    Closing,
}

/// What a look into the outbox brings.
pub(crate) struct Taken {
    /// The first of what was queued.
    pub(crate) item: Option<Outbound>,
    /// Whether nothing is queued now.
    pub(crate) is_all: bool,
    pub(crate) phase: Phase,
    /// Whether the connection is asked if its time is over.
    pub(crate) is_asked: bool,
}

/// A bounded queue with one reader, the connection.
pub(crate) struct Outbox {
    state: Mutex<State>,
}

impl Outbox {
    /// An empty queue for the connection of `peer`.
    pub(crate) fn new(peer: Peer) -> Self {
        let (items, phase, closes_at, waker) = (Items::None, Phase::default(), None, None);
        let state = State { peer, items, phase, is_asked: false, closes_at, waker };
        Self { state: Mutex::new(state) }
    }

    /// More has become known of the peer.
    pub(crate) fn describe(&self, peer: Peer) {
        self.lock().peer = peer;
    }

    /// Who reads it.
    pub(crate) fn peer(&self) -> Peer {
        self.lock().peer
    }

    /// A session of the connection wants it closed at this moment, and no sooner.
    // req: S29
    pub(crate) fn close_at(&self, at: Instant) {
        self.lock().closes_at = Some(at);
    }

    /// Whether a session of it wanted last that it stays beyond `now`.
    // req: S29
    pub(crate) fn stays(&self, now: Instant) -> bool {
        self.lock().closes_at.is_some_and(|at| at > now)
    }

    /// Queues `item`. Beyond the bound everything queued is thrown away and the connection closes.
    pub(crate) fn push(&self, item: Outbound) {
        let mut state = self.lock();
        if state.phase == Phase::Closing {
            return;
        }
        if state.items.bytes() + len_of(&item) > OUTBOX_BYTES_MAX {
            state.items = Items::None;
            state.phase = Phase::Closing;
        } else {
            state.items.push(item);
        }
        wake(state);
    }

    /// Moves on to `phase`; there is no way back.
    pub(crate) fn advance(&self, phase: Phase) {
        let mut state = self.lock();
        if phase > state.phase {
            state.phase = phase;
            wake(state);
        }
    }

    /// Asks the connection whether its time is over.
    pub(crate) fn ask_time(&self) {
        let mut state = self.lock();
        state.is_asked = true;
        wake(state);
    }

    /// Takes the first of what is queued, if there `is_room` for it. The task is woken when there
    /// is more, or the phase is another.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, is_room: bool) -> Taken {
        let mut state = self.lock();
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        let item = if is_room { state.items.pop() } else { None };
        let is_all = matches!(state.items, Items::None);
        let is_asked = std::mem::take(&mut state.is_asked);
        Taken { item, is_all, phase: state.phase, is_asked }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn len_of(item: &Outbound) -> usize {
    match item {
        Outbound::Packet { payload, .. } => payload.len(),
        Outbound::Error(_) | Outbound::QuickAck(_) => size_of::<u32>(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use mtproto_transport::Origin;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn outbox() -> Outbox {
        Outbox::new(Peer { origin: Origin::MEMORY, recognised: None })
    }

    fn taken(outbox: &Outbox, cx: &mut Context<'_>) -> (usize, Phase) {
        let mut count = 0;
        loop {
            let Taken { item, is_all, phase, .. } = outbox.poll_take(cx, true);
            count += usize::from(item.is_some());
            if is_all && item.is_none() {
                return (count, phase);
            }
        }
    }

    #[test]
    fn a_push_wakes_the_connection_once_and_a_phase_never_goes_back() {
        let wakes = Arc::new(Count::default());
        let waker = Arc::clone(&wakes).into();
        let mut cx = Context::from_waker(&waker);
        let outbox = outbox();
        assert_eq!(taken(&outbox, &mut cx), (0, Phase::Open));
        outbox.push(Outbound::packet(vec![0; 4]));
        outbox.push(Outbound::packet(vec![0; 4]));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(taken(&outbox, &mut cx), (2, Phase::Open));
        outbox.advance(Phase::Closing);
        outbox.advance(Phase::Draining);
        outbox.push(Outbound::packet(vec![0; 4]));
        assert_eq!(taken(&outbox, &mut cx), (0, Phase::Closing), "nothing follows a goodbye");
    }

    #[test]
    fn a_peer_that_reads_nothing_loses_its_connection_at_the_bound() {
        let mut cx = Context::from_waker(Waker::noop());
        let outbox = outbox();
        let packet = Outbound::packet(vec![0; 1 << 20]);
        for _ in 0..OUTBOX_BYTES_MAX >> 20 {
            outbox.push(packet.clone());
        }
        outbox.push(Outbound::packet(vec![0; 4]));
        assert_eq!(taken(&outbox, &mut cx), (0, Phase::Closing));
    }
}
