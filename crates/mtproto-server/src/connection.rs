//! One connection: packets from its link to the shards, and what the shards have for it back.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mtproto_frame::{Foreign, Inbound, Outbound, TransportError, WireFault};
use mtproto_session::LinkId;
use mtproto_transport::{Link, LinkError, Peer, UNSENT_MAX};
use smallvec::SmallVec;
use tokio::time::Sleep;
use tracing::{Span, debug, info_span, trace};

use crate::clock::now;
use crate::door::Door;
use crate::home::Home;
use crate::outbox::{Outbox, Phase, Taken};
use crate::quota::Place;
use crate::shard::{Met, Packet, Shards, Waiting};
use crate::watch::Deadline;

/// Packets handed to the shards in one go. The socket keeps the rest.
const BATCH_MAX: usize = 64;

/// Room for packets that are handed over together, if there is more than one at all.
const BURST: usize = 16;

/// How long a peer that is turned away may take to read why.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// What all connections of a server share.
pub(crate) struct House {
    pub(crate) shards: Shards,
    pub(crate) patience: Patience,
    pub(crate) door: Door,
}

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
///
/// There are many, and most do nothing. So what it has while it does something, and what few ever
/// need, is in boxes, and in [`Running`] no more than in here.
pub(crate) struct Connection<L> {
    pub(crate) link: L,
    pub(crate) life: Life,
}

/// Who a connection is and how far it has come.
pub(crate) struct Life {
    pub(crate) id: LinkId,
    pub(crate) house: Arc<House>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) met: Met,
    /// The shard that it runs on.
    home: u32,
    place: Place,
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
    /// It has shown a key of this other shard, where it should go on with these packets.
    Home(usize, SmallVec<[Packet; 1]>),
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
    /// It was told that it is not served, and may read that.
    TurnedAway,
}

impl Life {
    pub(crate) fn new(id: LinkId, peer: Peer, place: Place, house: Arc<House>) -> Self {
        Self {
            id,
            house,
            outbox: Arc::new(Outbox::new(peer)),
            met: Met::default(),
            home: 0,
            place,
            stage: Stage::New,
            has_moved: false,
            takes_turns: false,
        }
    }

    /// Lets the shard `home` run the connection.
    pub(crate) fn settle(&mut self, home: usize) {
        self.met.add(home);
        self.home = u32::try_from(home).unwrap_or(u32::MAX);
    }

    /// Keeps the connection on the shard where it is: what it has become does not move.
    pub(crate) fn stay(&mut self) {
        self.has_moved = true;
    }

    /// Tells every shard that has met the connection that it is gone.
    pub(crate) async fn end(self) {
        self.house.shards.forget_link(self.id, &self.met).await;
    }

    /// The shard of the first key that the connection shows, if it is another. Later keys are the
    /// exception, and their packets are forwarded.
    fn better_home(&self, received: &[Packet]) -> Option<usize> {
        let first = received.iter().find(|packet| packet.is_encrypted())?;
        let owner = self.house.shards.owner(first);
        (u32::try_from(owner) != Ok(self.home) && !self.has_moved).then_some(owner)
    }

    /// How long the peer may be silent now. A link that takes turns has limits of its own, which
    /// know what it waits for.
    fn allowance(&self) -> Duration {
        let patience = &self.house.patience;
        match self.stage {
            _ if self.takes_turns => patience.idle,
            Stage::New => patience.first_packet,
            Stage::Handshake => patience.handshake,
            Stage::Keyed | Stage::TurnedAway => patience.idle,
        }
    }
}

/// A connection that a shard works on, until either side ends it, or it has to go on elsewhere.
///
/// Not an `async fn`, whose future would hold the connection twice and room for all that it ever
/// waits for.
pub(crate) struct Running<L, P> {
    /// There until the two part.
    connection: Option<Connection<L>>,
    deadline: Deadline,
    /// Bytes that wait for the socket.
    stall: Option<Box<Stall>>,
    /// Packets that wait for room at their shard. Nothing else is done meanwhile.
    delivery: Option<Box<Waiting>>,
    /// Most logs do not want to know.
    span: Option<Box<Span>>,
    part: P,
}

impl<L, P> Running<L, P>
where
    L: Link,
    P: FnOnce(Connection<L>, Parting, &Rc<Home>) + Copy + Unpin,
{
    /// Runs `connection` on this shard, where it has settled, and hands it to `part` in the end.
    /// The packets in `received` came already.
    pub(crate) fn new(
        mut connection: Connection<L>,
        received: SmallVec<[Packet; 1]>,
        home: &Rc<Home>,
        part: P,
    ) -> Self {
        let peer = connection.link.peer();
        let span = info_span!("connection", id = connection.life.id.0, peer = %peer);
        span.in_scope(|| debug!(home = connection.life.home, "opened"));
        let at = now() + connection.life.allowance();
        let deadline = Deadline::new(Rc::clone(home), at, &connection.life.outbox);
        // A server that has stopped says so again at the next packet.
        let delivery = connection.life.deliver(received).unwrap_or_default();
        let span = (!span.is_disabled()).then(|| Box::new(span));
        let (connection, stall) = (Some(connection), None);
        Self { connection, deadline, stall, delivery, span, part }
    }
}

impl<L, P> Future for Running<L, P>
where
    L: Link,
    P: FnOnce(Connection<L>, Parting, &Rc<Home>) + Copy + Unpin,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let _entered = this.span.as_ref().map(|span| span.enter());
        let Some(Connection { link, life }) = &mut this.connection else { return Poll::Ready(()) };
        let (stall, delivery) = (&mut this.stall, &mut this.delivery);
        let mut work = Work { link, life, deadline: &mut this.deadline, stall, delivery };
        let parting = match ready!(work.poll(cx)) {
            Ok(parting) => parting,
            // req: S117
            Err(End::Link(LinkError::Fault(WireFault::Foreign(protocol)))) => {
                Parting::Foreign(protocol)
            }
            Err(end) => {
                match end {
                    // A stream that is no MTProto is read and dropped, so that a probe learns
                    // nothing.
                    End::Link(error) => debug!(%error, "closed by the peer"),
                    end => debug!(?end, stage = ?life.stage, "closed"),
                }
                Parting::Ended
            }
        };
        if let Some(connection) = this.connection.take() {
            (this.part)(connection, parting, this.deadline.home());
        }
        Poll::Ready(())
    }
}

/// One wake-up of a connection.
struct Work<'a, L> {
    link: &'a mut L,
    life: &'a mut Life,
    deadline: &'a mut Deadline,
    stall: &'a mut Option<Box<Stall>>,
    delivery: &'a mut Option<Box<Waiting>>,
}

/// What has come of a wake-up.
enum Step {
    Packets {
        received: SmallVec<[Packet; 1]>,
        /// Whether there is no more for now: the link wakes the connection when there is.
        was_last: bool,
    },
    Silent,
}

/// What has come of writing.
struct Written {
    phase: Phase,
    /// Whether the link has taken all there is.
    is_all: bool,
    /// Whether all that the link has is written.
    is_flushed: bool,
    /// Whether the connection is asked if its time is over.
    is_asked: bool,
}

impl<L: Link> Work<'_, L> {
    /// Ready when the shard and the connection part.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Parting, End>> {
        loop {
            if let Some(delivery) = self.delivery {
                ready!(delivery.0.as_mut().poll(cx)).map_err(|_| End::ServerStopped)?;
                *self.delivery = None;
            }
            if self.life.stage == Stage::TurnedAway {
                return self.poll_goodbye(cx).map(|()| Err(End::TurnedAway));
            }
            match ready!(self.poll_step(cx))? {
                Step::Packets { received, was_last } => {
                    trace!(packets = received.len(), "received");
                    if let Some(parting) = self.take(received)? {
                        return Poll::Ready(Ok(parting));
                    }
                    let is_busy = self.delivery.is_some() || self.life.stage == Stage::TurnedAway;
                    // Whatever comes next wakes it.
                    if was_last && !is_busy {
                        return Poll::Pending;
                    }
                }
                Step::Silent if self.life.stage == Stage::Handshake => {
                    self.turn_away(TransportError::NotFound)?;
                }
                Step::Silent => return Poll::Ready(Err(End::Silent)),
            }
        }
    }

    /// Takes what the peer has sent: it goes to the shards, or away together with the connection.
    fn take(&mut self, received: SmallVec<[Packet; 1]>) -> Result<Option<Parting>, End> {
        let refused = |packet| self.life.place.admit(packet).err();
        if let Some(error) = received.iter().find_map(refused) {
            self.turn_away(error)?;
            return Ok(None);
        }
        let before = self.life.stage;
        if before == Stage::New {
            // Only now can be told how it frames its packets.
            self.life.outbox.describe(self.link.peer());
        }
        self.life.stage = received.iter().fold(before, Stage::after);
        // An exchange has its time as a whole, however many packets it sends.
        if self.life.stage == Stage::Keyed || self.life.stage != before {
            self.grant();
        }
        if let Some(shard) = self.life.better_home(&received) {
            self.life.has_moved = true;
            return Ok(Some(Parting::Home(shard, received)));
        }
        *self.delivery = self.life.deliver(received)?;
        Ok(None)
    }

    /// Writes what can be written and reads what there is; ready when something has come of it.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, End>> {
        let Written { phase, is_all, is_flushed, is_asked } = self.write(cx)?;
        self.watch_stall(cx)?;
        match phase {
            Phase::Closing if is_all && is_flushed => {
                return self.link.poll_close(cx).map(|_| Err(End::Closed));
            }
            Phase::Closing | Phase::Draining => return Poll::Pending,
            Phase::Open => {}
        }
        let (mut received, mut was_last) = (SmallVec::new(), false);
        let mut spare = self.deadline.home().spare.borrow_mut();
        // A peer that does not take its answers asks no further questions.
        while is_all && received.len() < BATCH_MAX {
            match self.link.poll_recv_with(cx, &mut spare) {
                Poll::Ready(Ok(Inbound::Packet { payload, quick_ack })) => {
                    let is_turn = self.link.takes_turns();
                    if received.len() == 1 {
                        // Where there are two there are often many.
                        received.reserve(BURST - 1);
                    }
                    received.push(Packet { payload, quick_ack, is_turn });
                }
                // Only servers send these two; a client that does is ignored.
                Poll::Ready(Ok(Inbound::QuickAck(_) | Inbound::Error(_))) => {}
                Poll::Ready(Err(error)) if received.is_empty() => {
                    return Poll::Ready(Err(End::Link(error)));
                }
                // The next read says that the link is over; what came before counts.
                Poll::Ready(Err(_)) => break,
                Poll::Pending => {
                    was_last = true;
                    break;
                }
            }
        }
        drop(spare);
        if self.link.takes_turns() != self.life.takes_turns {
            self.life.takes_turns = self.link.takes_turns();
            self.grant();
        }
        let is_late = is_asked && self.deadline.has_passed(&self.life.outbox);
        match received.is_empty() {
            true if is_late => Poll::Ready(Ok(Step::Silent)),
            true => Poll::Pending,
            false => {
                if is_late {
                    // It may have time again, or not.
                    self.deadline.ask_again(&self.life.outbox);
                    was_last = false;
                }
                Poll::Ready(Ok(Step::Packets { received, was_last }))
            }
        }
    }

    /// Gives the peer its time, from now on.
    fn grant(&mut self) {
        self.deadline.set(now() + self.life.allowance(), &self.life.outbox);
    }

    /// Hands the link what it has room for.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<Written, End> {
        let mut is_asked = false;
        loop {
            let has_room = self.link.unsent() < UNSENT_MAX;
            let taken = self.life.outbox.poll_take(cx, has_room);
            is_asked |= taken.is_asked;
            if let Some(item) = taken.item {
                self.link.start_send(item).map_err(End::Link)?;
                if !taken.is_all {
                    continue;
                }
            }
            let mut spare = self.deadline.home().spare.borrow_mut();
            let is_flushed = match self.link.poll_flush_with(cx, &mut spare) {
                Poll::Ready(flushed) => flushed.map(|()| true).map_err(End::Link)?,
                Poll::Pending => false,
            };
            // What waited behind that is taken now.
            if taken.is_all || !is_flushed {
                let Taken { phase, is_all, .. } = taken;
                return Ok(Written { phase, is_all, is_flushed, is_asked });
            }
        }
    }

    /// An error when bytes that wait for the socket have not become fewer for too long.
    fn watch_stall(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let unsent = self.link.unsent();
        if unsent == 0 {
            *self.stall = None;
            return Ok(());
        }
        let patience = self.life.house.patience.stalled;
        let stall = self.stall.get_or_insert_with(|| Box::new(Stall::new(patience)));
        match stall.poll(cx, unsent, patience) {
            Poll::Ready(()) => Err(End::Stalled),
            Poll::Pending => Ok(()),
        }
    }

    /// Tells the peer why it is not served. It has a moment to read that.
    fn turn_away(&mut self, error: TransportError) -> Result<(), End> {
        debug!(%error, "turned away");
        self.life.stage = Stage::TurnedAway;
        *self.stall = Some(Box::new(Stall::new(GOODBYE_MAX)));
        self.link.start_send(Outbound::Error(error)).map_err(|_| End::TurnedAway)
    }

    /// Ready when the peer has had its moment. The connection ends either way.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.link.poll_close(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => match self.stall {
                Some(stall) => stall.timer.poll(cx),
                None => Poll::Ready(()),
            },
        }
    }
}

impl Life {
    /// Hands packets to the shards that own them. What there is no room for waits.
    fn deliver(&mut self, batch: SmallVec<[Packet; 1]>) -> Result<Option<Box<Waiting>>, End> {
        let Self { id, house, outbox, met, .. } = self;
        let packets = house.shards.dealt(*id, outbox, met, batch);
        house.shards.send_all(packets).map_err(|_| End::ServerStopped)
    }
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

/// A timer of what is rare; for the rest there is the [`Watch`](crate::watch::Watch).
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
struct Stall {
    unsent: usize,
    timer: Timer,
}

impl Stall {
    fn new(patience: Duration) -> Self {
        Self { unsent: 0, timer: Timer::new(patience) }
    }

    /// Ready when `unsent` bytes have not become fewer for `patience`.
    fn poll(&mut self, cx: &mut Context<'_>, unsent: usize, patience: Duration) -> Poll<()> {
        if unsent < std::mem::replace(&mut self.unsent, unsent) {
            self.timer.reset(patience);
        }
        self.timer.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use mtproto_tcp::TcpLink;

    use super::*;

    /// What is left of 512 bytes when a task has put its own around it.
    const RUNNING_LEN_MAX: usize = 408;

    const OUTBOX_LEN_MAX: usize = 136;

    fn part(_: Connection<TcpLink>, _: Parting, _: &Rc<Home>) {}

    fn len_of<P>(_: P) -> usize {
        size_of::<Running<TcpLink, P>>()
    }

    #[test]
    fn an_idle_connection_is_small() {
        let (running, outbox) = (len_of(part), size_of::<Outbox>());
        assert!(running <= RUNNING_LEN_MAX, "{running} bytes");
        assert!(outbox <= OUTBOX_LEN_MAX, "{outbox} bytes");
    }
}
