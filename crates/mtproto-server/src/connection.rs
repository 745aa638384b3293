//! One connection: packets from its link to the shards, and what the shards have for it back.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mtproto_frame::{Foreign, Inbound, Outbound, TransportError, WireFault};
use mtproto_session::LinkId;
use mtproto_transport::{Link, LinkError, Peer, UNSENT_MAX};
use tokio::time::Sleep;
use tracing::{Instrument, debug, info_span, trace};

use crate::clock::now;
use crate::outbox::{Outbox, Phase};
use crate::quota::Place;
use crate::shard::{Packet, Shards};

/// Packets handed to the shards in one go. The socket keeps the rest.
const BATCH_MAX: usize = 64;

/// How long a peer that is turned away may take to read why.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// How long a connection may take for what.
#[derive(Debug)]
pub(crate) struct Patience {
    /// From the first byte to the first whole packet.
    pub(crate) first_packet: Duration,
    /// From there to the first encrypted packet.
    pub(crate) handshake: Duration,
    /// Between two packets of a peer that has a key.
    pub(crate) idle: Duration,
    /// Without taking a byte of what waits for it.
    pub(crate) stalled: Duration,
}

/// A connection: its link, and all that stays the same when it moves to another shard.
pub(crate) struct Connection<L> {
    pub(crate) link: L,
    pub(crate) life: Life,
}

/// Who a connection is and how far it has come.
pub(crate) struct Life {
    pub(crate) id: LinkId,
    pub(crate) shards: Shards,
    pub(crate) outbox: Arc<Outbox>,
    place: Place,
    patience: Arc<Patience>,
    /// Taken out of the outbox and not yet by the link.
    outgoing: VecDeque<Outbound>,
    /// Received and not yet handed to the shards.
    received: Vec<Packet>,
    stage: Stage,
    has_moved: bool,
    /// Of the link, as last seen: a WebSocket begins as HTTP.
    takes_turns: bool,
}

/// How a shard and a connection part.
#[derive(Debug)]
pub(crate) enum Parting {
    /// It is over.
    Ended,
    /// It speaks another protocol; the link still has all that came.
    Foreign(Foreign),
    /// It has shown a key of this other shard, where it should go on.
    Home(usize),
}

/// Why a connection ended, for the log.
#[derive(Debug)]
enum End {
    Closed,
    Link(LinkError),
    ServerStopped,
    Silent,
    Stalled,
    TurnedAway,
}

/// How far the peer has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    New,
    Handshake,
    Keyed,
}

impl Life {
    pub(crate) fn new(
        id: LinkId,
        peer: Peer,
        place: Place,
        shards: Shards,
        patience: Arc<Patience>,
    ) -> Self {
        Self {
            id,
            shards,
            outbox: Arc::new(Outbox::new(peer)),
            place,
            patience,
            outgoing: VecDeque::new(),
            received: Vec::new(),
            stage: Stage::New,
            has_moved: false,
            takes_turns: false,
        }
    }

    /// Keeps the connection on the shard where it is: what it has become does not move.
    pub(crate) fn stay(&mut self) {
        self.has_moved = true;
    }

    /// How long the peer may take for its first packet.
    pub(crate) fn first_packet_limit(&self) -> Duration {
        self.patience.first_packet
    }

    /// Tells every shard that has met the connection that it is gone.
    pub(crate) async fn end(self) {
        self.shards.forget_link(self.id).await;
    }

    /// The shard of the first key that the connection shows, if it is another. Later keys are the
    /// exception, and their packets are forwarded.
    fn better_home(&self, home: usize) -> Option<usize> {
        let first = self.received.iter().find(|packet| packet.is_encrypted())?;
        Some(self.shards.owner(first)).filter(|owner| *owner != home && !self.has_moved)
    }

    /// How long the peer may be silent now. A link that takes turns has limits of its own, which
    /// know what it waits for.
    fn allowance(&self) -> Duration {
        match self.stage {
            _ if self.takes_turns => self.patience.idle,
            Stage::New => self.patience.first_packet,
            Stage::Handshake => self.patience.handshake,
            Stage::Keyed => self.patience.idle,
        }
    }
}

impl<L: Link> Connection<L> {
    /// Runs on the shard `home` until either side ends it, or it has to go on elsewhere.
    pub(crate) async fn run(&mut self, home: usize) -> Parting {
        let span = info_span!("connection", id = self.life.id.0, peer = %self.link.peer());
        async {
            debug!(home, "opened");
            match self.serve(home).await {
                Ok(shard) => return Parting::Home(shard),
                // req: S117
                Err(End::Link(LinkError::Fault(WireFault::Foreign(protocol)))) => {
                    return Parting::Foreign(protocol);
                }
                // A stream that is no MTProto is read and dropped, so that a probe learns nothing.
                Err(End::Link(error)) => debug!(%error, "closed by the peer"),
                Err(end) => debug!(?end, stage = ?self.life.stage, "closed"),
            }
            Parting::Ended
        }
        .instrument(span)
        .await
    }

    async fn serve(&mut self, home: usize) -> Result<usize, End> {
        let mut timer = Timer::new(self.life.allowance());
        let mut stall = Stall::default();
        loop {
            if self.life.received.is_empty() {
                match poll_fn(|cx| self.poll_step(cx, &mut timer, &mut stall)).await {
                    Step::Packets => {}
                    Step::Silent if self.life.stage == Stage::Handshake => {
                        // In a box, as a connection has no room for what few come to.
                        Box::pin(self.turn_away(TransportError::NotFound)).await;
                        return Err(End::Silent);
                    }
                    Step::Silent => return Err(End::Silent),
                    Step::End(end) => return Err(end),
                }
                trace!(packets = self.life.received.len(), "received");
                let refused = |packet| self.life.place.admit(packet).err();
                if let Some(error) = self.life.received.iter().find_map(refused) {
                    Box::pin(self.turn_away(error)).await;
                    return Err(End::TurnedAway);
                }
                let before = self.life.stage;
                if before == Stage::New {
                    // Only now can be told how it frames its packets.
                    self.life.outbox.describe(self.link.peer());
                }
                self.life.stage = self.life.received.iter().fold(before, Stage::after);
                // An exchange has its time as a whole, however many packets it sends.
                if self.life.stage == Stage::Keyed || self.life.stage != before {
                    timer.reset(self.life.allowance());
                }
                if let Some(shard) = self.life.better_home(home) {
                    self.life.has_moved = true;
                    return Ok(shard);
                }
            }
            let Life { id, shards, outbox, received, .. } = &mut self.life;
            shards.deliver(*id, outbox, received).await.map_err(|_| End::ServerStopped)?;
        }
    }

    /// Writes what can be written and reads what there is; ready when something has come of it.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        timer: &mut Timer,
        stall: &mut Stall,
    ) -> Poll<Step> {
        let (phase, is_flushed) = loop {
            let phase = self.life.outbox.poll_take(cx, &mut self.life.outgoing);
            let is_all = self.life.outgoing.is_empty();
            match self.poll_write(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Step::End(End::Link(error))),
                Poll::Ready(Ok(())) if is_all => break (phase, true),
                // What waited behind that is taken now.
                Poll::Ready(Ok(())) => {}
                Poll::Pending => break (phase, false),
            }
        };
        if stall.poll(cx, self.link.unsent(), self.life.patience.stalled).is_ready() {
            return Poll::Ready(Step::End(End::Stalled));
        }
        match phase {
            Phase::Closing if is_flushed => {
                return self.link.poll_close(cx).map(|_| Step::End(End::Closed));
            }
            Phase::Closing | Phase::Draining => return Poll::Pending,
            Phase::Open => {}
        }
        // A peer that does not take its answers asks no further questions.
        while self.life.received.len() < BATCH_MAX && self.life.outgoing.is_empty() {
            match self.link.poll_recv(cx) {
                Poll::Ready(Ok(Inbound::Packet { payload, quick_ack })) => {
                    let is_turn = self.link.takes_turns();
                    self.life.received.push(Packet { payload, quick_ack, is_turn });
                }
                // Only servers send these two; a client that does is ignored.
                Poll::Ready(Ok(Inbound::QuickAck(_) | Inbound::Error(_))) => {}
                Poll::Ready(Err(error)) if self.life.received.is_empty() => {
                    return Poll::Ready(Step::End(End::Link(error)));
                }
                // The next read says that the link is over; what came before counts.
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        if !self.life.received.is_empty() {
            return Poll::Ready(Step::Packets);
        }
        if self.link.takes_turns() != self.life.takes_turns {
            self.life.takes_turns = self.link.takes_turns();
            timer.reset(self.life.allowance());
        }
        timer.poll(cx).map(|()| Step::Silent)
    }

    /// Hands the link what it has room for; ready once all of it is written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        loop {
            while self.link.unsent() < UNSENT_MAX
                && let Some(item) = self.life.outgoing.pop_front()
            {
                self.link.start_send(item)?;
            }
            std::task::ready!(self.link.poll_flush(cx))?;
            if self.life.outgoing.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Tells the peer why it is not served, and gives it a moment to read that.
    async fn turn_away(&mut self, error: TransportError) {
        debug!(%error, "turned away");
        if self.link.start_send(Outbound::Error(error)).is_ok() {
            let close = poll_fn(|cx| self.link.poll_close(cx));
            // The connection ends either way.
            let _ = tokio::time::timeout(GOODBYE_MAX, close).await;
        }
    }
}

enum Step {
    Packets,
    Silent,
    End(End),
}

impl Stage {
    fn after(self, packet: &Packet) -> Self {
        match self {
            Self::Keyed => Self::Keyed,
            _ if packet.is_encrypted() => Self::Keyed,
            _ => Self::Handshake,
        }
    }
}

/// One timer for a connection's life; made anew only when it has to go off earlier.
struct Timer(Pin<Box<Sleep>>);

impl Timer {
    fn new(after: Duration) -> Self {
        Self(Box::pin(tokio::time::sleep(after)))
    }

    fn reset(&mut self, after: Duration) {
        self.0.as_mut().reset((now() + after).into());
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

/// Watches over bytes that wait for the socket.
#[derive(Default)]
struct Stall {
    unsent: usize,
    timer: Option<Timer>,
}

impl Stall {
    /// Ready when `unsent` bytes have not become fewer for `patience`.
    fn poll(&mut self, cx: &mut Context<'_>, unsent: usize, patience: Duration) -> Poll<()> {
        let progress = unsent < self.unsent;
        self.unsent = unsent;
        if unsent == 0 {
            self.timer = None;
            return Poll::Pending;
        }
        let timer = self.timer.get_or_insert_with(|| Timer::new(patience));
        if progress {
            timer.reset(patience);
        }
        timer.poll(cx)
    }
}
