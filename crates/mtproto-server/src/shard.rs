//! One shard: a thread with a runtime of its own, and the endpoint of every auth key that hashes to
//! it.
//!
//! Connections hand over packets and wake the shard once. It runs after the tasks that were ready
//! before it, so what arrived together is opened, answered and sealed together.

use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use mtproto_auth::PLAIN_HEADER_LEN;
use mtproto_crypto::envelope;
use mtproto_endpoint::server::{
    CloseReason, Computed, Output, RequestRef, ServerEndpoint, SessionRef, StoreOutcome,
    StoreRequest,
};
use mtproto_frame::Outbound;
use mtproto_pack::RpcError;
use mtproto_session::LinkId;
use mtproto_store::KeyStore;
use mtproto_tl::functions::{ReqPq, ReqPqMulti};
use mtproto_tl::{AuthKeyId, Constructor};
use smallvec::SmallVec;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;
use tower_service::Service;
use tracing::{debug, error, info, trace, warn};

use crate::clock::now;
use crate::home::Home;
use crate::outbox::{Outbox, Phase};
use crate::pool::HandshakePool;
use crate::watch::Watch;
use crate::{PushError, Request, SessionHandle, SessionInfo};

/// Messages that wait for one shard. A connection that has more waits, and reads no further.
pub(crate) const MAILBOX_MAX: usize = 1024;
/// Messages taken in one go.
const BATCH_MAX: usize = 256;

/// A packet on its way from a connection to a shard.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) payload: BytesMut,
    pub(crate) quick_ack: bool,
    /// The link sends one item for it, and nothing else.
    pub(crate) is_turn: bool,
}

impl Packet {
    pub(crate) fn is_encrypted(&self) -> bool {
        envelope::key_id(&self.payload).is_some_and(|id| id != 0)
    }

    /// Whether it asks for a new key exchange.
    pub(crate) fn begins_exchange(&self) -> bool {
        let number = self.payload.get(PLAIN_HEADER_LEN..).and_then(|body| body.first_chunk());
        let number = number.map(|number| u32::from_le_bytes(*number));
        !self.is_encrypted() && number.is_some_and(|id| [ReqPq::ID, ReqPqMulti::ID].contains(&id))
    }

    /// Who owns it: of an encrypted packet the auth key decides, of a plain one the client's nonce.
    fn owner(&self) -> u64 {
        match envelope::key_id(&self.payload) {
            Some(0) => nonce_of(&self.payload),
            Some(id) => id,
            None => 0,
        }
    }
}

/// The first half of the client's nonce, which every query of an exchange has behind its number.
fn nonce_of(payload: &[u8]) -> u64 {
    let nonce = payload.get(PLAIN_HEADER_LEN + 4..).and_then(|rest| rest.first_chunk());
    nonce.map_or(0, |half| u64::from_le_bytes(*half))
}

/// What a shard is told.
pub(crate) enum ToShard {
    /// Run this connection here.
    Accept(LinkId, Arc<Outbox>, Start),
    /// A connection is about to send its first packets to this shard.
    Attach(LinkId, Arc<Outbox>),
    /// Close what is open and stop, as soon as nothing is being worked on.
    Close,
    /// The connection is gone.
    Detach(LinkId),
    /// Read nothing more. Drop the sender when nothing is being worked on; stop at this moment at
    /// the latest.
    Drain(Instant, mpsc::Sender<Infallible>),
    /// Another shard has seen this key destroyed.
    ForgetKey(AuthKeyId),
    /// Describe sessions: the first ones, or those that come after this one.
    List(Option<SessionRef>, oneshot::Sender<Vec<SessionInfo>>),
    /// Packets, in the order received. Nearly always it is one.
    Packets(LinkId, SmallVec<[Packet; 1]>),
    /// Send an object to a session.
    Push(SessionRef, Bytes, oneshot::Sender<Result<(), PushError>>),
    /// Another shard has seen another key bound in place of this one.
    UnbindKey(AuthKeyId),
}

/// Begins to work on a connection, on the thread of its shard.
pub(crate) type Start = Box<dyn FnOnce(&Rc<Home>) + Send>;

/// The way to every shard.
#[derive(Clone)]
pub(crate) struct Shards {
    mailboxes: Arc<[mpsc::Sender<ToShard>]>,
}

/// The shards that know of a connection: where it began, and the owner of its key.
#[derive(Debug, Default)]
pub(crate) struct Met(SmallVec<[usize; 2]>);

impl Met {
    /// Notes a shard; returns whether it is a new one.
    pub(crate) fn add(&mut self, shard: usize) -> bool {
        let is_new = !self.0.contains(&shard);
        if is_new {
            self.0.push(shard);
        }
        is_new
    }
}

/// Messages that wait for room in a mailbox.
pub(crate) struct Waiting(pub(crate) Pin<Box<dyn Future<Output = Result<(), Stopped>>>>);

/// The server has stopped.
#[derive(Debug)]
pub(crate) struct Stopped;

impl Shards {
    pub(crate) fn new(mailboxes: Vec<mpsc::Sender<ToShard>>) -> Self {
        Self { mailboxes: mailboxes.into() }
    }

    /// The shard that a packet belongs to.
    pub(crate) fn owner(&self, packet: &Packet) -> usize {
        self.index(packet.owner())
    }

    pub(crate) fn len(&self) -> usize {
        self.mailboxes.len()
    }

    /// What the shards that own packets of `batch` are told, those that have not met the link first
    /// that it is there.
    pub(crate) fn dealt(
        &self,
        link: LinkId,
        outbox: &Arc<Outbox>,
        met: &mut Met,
        mut batch: SmallVec<[Packet; 1]>,
    ) -> impl Iterator<Item = (usize, ToShard)> {
        std::iter::from_fn(move || {
            let shard = self.owner(batch.first()?);
            if met.add(shard) {
                return Some((shard, ToShard::Attach(link, Arc::clone(outbox))));
            }
            // Nearly always there is no other.
            let other = batch.iter().position(|packet| self.owner(packet) != shard);
            let rest = other.map_or_else(SmallVec::new, |at| batch.drain(at..).collect());
            Some((shard, ToShard::Packets(link, std::mem::replace(&mut batch, rest))))
        })
    }

    /// Sends `messages` in their order as far as there is room; returns what waits for more, in a
    /// box, as every connection has room for it for as long as it lives.
    pub(crate) fn send_all(
        &self,
        mut messages: impl Iterator<Item = (usize, ToShard)>,
    ) -> Result<Option<Box<Waiting>>, Stopped> {
        while let Some((shard, message)) = messages.next() {
            if let Err(refused) = self.mailbox(shard)?.try_send(message) {
                let TrySendError::Full(message) = refused else { return Err(Stopped) };
                let rest: Vec<_> = std::iter::once((shard, message)).chain(messages).collect();
                let shards = self.clone();
                let waiting = async move {
                    for (shard, message) in rest {
                        shards.send(shard, message).await?;
                    }
                    Ok(())
                };
                return Ok(Some(Box::new(Waiting(Box::pin(waiting)))));
            }
        }
        Ok(None)
    }

    /// Tells every shard that has `met` the link that it is gone.
    pub(crate) async fn forget_link(&self, link: LinkId, met: &Met) {
        for shard in &met.0 {
            // A shard that has stopped has forgotten it already.
            let _ = self.send(*shard, ToShard::Detach(link)).await;
        }
    }

    pub(crate) async fn push(&self, session: SessionRef, object: Bytes) -> Result<(), PushError> {
        let (done, outcome) = oneshot::channel();
        let message = ToShard::Push(session, object, done);
        self.send(self.index(session.key.0), message).await.map_err(|_| PushError::Stopped)?;
        outcome.await.unwrap_or(Err(PushError::Stopped))
    }

    /// A page of the sessions of one shard. One that has stopped has none.
    pub(crate) async fn list(&self, shard: usize, after: Option<SessionRef>) -> Vec<SessionInfo> {
        let (done, page) = oneshot::channel();
        // Then nobody answers, which says the same.
        let _ = self.send(shard, ToShard::List(after, done)).await;
        page.await.unwrap_or_default()
    }

    pub(crate) async fn broadcast(&self, message: impl Fn() -> ToShard) {
        for shard in 0..self.mailboxes.len() {
            let _ = self.send(shard, message()).await;
        }
    }

    /// Waits until there is room.
    pub(crate) async fn send(&self, shard: usize, message: ToShard) -> Result<(), Stopped> {
        self.mailbox(shard)?.send(message).await.map_err(|_| Stopped)
    }

    fn mailbox(&self, shard: usize) -> Result<&mpsc::Sender<ToShard>, Stopped> {
        self.mailboxes.get(shard).ok_or(Stopped)
    }

    /// Stops every shard where it stands. It may be called where nothing can be awaited.
    pub(crate) fn stop_now(&self) {
        for mailbox in self.mailboxes.iter() {
            let (busy, _) = mpsc::channel(1);
            if let Err(TrySendError::Full(stop)) = mailbox.try_send(ToShard::Drain(now(), busy)) {
                let mailbox = mailbox.clone();
                std::thread::spawn(move || mailbox.blocking_send(stop));
            }
        }
    }

    fn index(&self, owner: u64) -> usize {
        let shards = self.mailboxes.len() as u64;
        usize::try_from(owner % shards.max(1)).unwrap_or(0)
    }
}

/// What comes back from a task of this shard.
enum Outcome {
    Answer(RequestRef, Result<Bytes, RpcError>),
    Stored(StoreOutcome),
}

/// Everything one shard owns.
pub(crate) struct Shard<S> {
    endpoint: ServerEndpoint,
    service: S,
    store: Arc<dyn KeyStore>,
    pool: HandshakePool,
    shards: Shards,
    links: HashMap<LinkId, Arc<Outbox>, foldhash::fast::RandomState>,
    home: Rc<Home>,
    // Unbounded, but never hold more than is in flight: each message ends a task counted there.
    outcomes: mpsc::UnboundedSender<Outcome>,
    computed: mpsc::UnboundedSender<Computed>,
    in_flight: usize,
    drain_until: Option<Instant>,
    /// Held while something is being worked on in a shard that drains.
    busy: Option<mpsc::Sender<Infallible>>,
    is_closing: bool,
}

impl<S> Shard<S>
where
    S: Service<Request, Response = Bytes, Error = RpcError> + Clone + 'static,
    S::Future: 'static,
{
    pub(crate) async fn run(
        endpoint: ServerEndpoint,
        service: S,
        store: Arc<dyn KeyStore>,
        pool: HandshakePool,
        shards: Shards,
        mut mailbox: mpsc::Receiver<ToShard>,
    ) {
        let (outcomes, mut outcomes_in) = mpsc::unbounded_channel();
        let (computed, mut computed_in) = mpsc::unbounded_channel();
        let (links, home) = (HashMap::default(), Rc::new(Home::default()));
        spawn_local(Watch::run(Rc::clone(&home)));
        let mut shard = Self {
            endpoint,
            service,
            store,
            pool,
            shards,
            links,
            home,
            outcomes,
            computed,
            in_flight: 0,
            drain_until: None,
            busy: None,
            is_closing: false,
        };
        let mut messages = Vec::with_capacity(BATCH_MAX);
        let sleep = tokio::time::sleep_until(now().into());
        tokio::pin!(sleep);
        loop {
            let deadline = shard.drain();
            if shard.is_done() {
                return;
            }
            if let Some(deadline) = deadline
                && sleep.deadline() != deadline.into()
            {
                sleep.as_mut().reset(deadline.into());
            }
            tokio::select! {
                _ = mailbox.recv_many(&mut messages, BATCH_MAX) => {
                    let now = now();
                    for message in messages.drain(..) {
                        shard.handle(message, now);
                    }
                }
                Some(outcome) = outcomes_in.recv() => {
                    let now = now();
                    shard.finish(outcome, now);
                    while let Ok(outcome) = outcomes_in.try_recv() {
                        shard.finish(outcome, now);
                    }
                }
                Some(done) = computed_in.recv() => {
                    shard.in_flight -= 1;
                    shard.endpoint.computed(done, now());
                }
                () = &mut sleep, if deadline.is_some() => shard.endpoint.handle_timeout(now()),
            }
        }
    }

    fn handle(&mut self, message: ToShard, now: Instant) {
        match message {
            ToShard::Accept(link, outbox, start) => {
                self.attach(link, outbox, now);
                start(&self.home);
            }
            ToShard::Attach(link, outbox) => self.attach(link, outbox, now),
            ToShard::Close => self.is_closing = true,
            ToShard::Detach(link) => {
                self.links.remove(&link);
                self.endpoint.link_lost(link, now);
            }
            ToShard::Drain(until, busy) => {
                self.drain_until = Some(until);
                self.busy = Some(busy);
                self.endpoint.release_turns(now);
                self.links.values().for_each(|outbox| outbox.advance(Phase::Draining));
            }
            ToShard::ForgetKey(key) => self.endpoint.forget_key(key, now),
            ToShard::List(after, done) => {
                // Whoever asked may have stopped waiting.
                let _ = done.send(self.list(after));
            }
            ToShard::Packets(link, packets) => {
                for Packet { payload, quick_ack, is_turn } in packets {
                    if is_turn {
                        self.endpoint.handle_turn(link, payload, now);
                    } else {
                        self.endpoint.handle_packet(link, payload, quick_ack, now);
                    }
                }
            }
            ToShard::Push(session, object, done) => {
                // Whoever pushed may have stopped waiting for the outcome.
                let _ = done.send(self.endpoint.push(session, object, now).map_err(Into::into));
            }
            ToShard::UnbindKey(key) => self.endpoint.unbind_key(key),
        }
    }

    fn list(&self, after: Option<SessionRef>) -> Vec<SessionInfo> {
        let peer = |link: &LinkId| self.links.get(link).map(|outbox| outbox.peer());
        let page = self.endpoint.sessions(after).into_iter().map(|info| {
            let session = SessionHandle::new(info.name, self.shards.clone());
            let peers = info.links.iter().filter_map(peer).collect();
            SessionInfo::new(session, peers, &info)
        });
        page.collect()
    }

    fn attach(&mut self, link: LinkId, outbox: Arc<Outbox>, now: Instant) {
        if self.drain_until.is_some() {
            outbox.advance(Phase::Draining);
        }
        self.links.insert(link, outbox);
        self.endpoint.link_opened(link, now);
    }

    fn finish(&mut self, outcome: Outcome, now: Instant) {
        self.in_flight -= 1;
        match outcome {
            Outcome::Answer(request, answer) => self.endpoint.answer(request, answer, now),
            Outcome::Stored(outcome) => self.endpoint.stored(outcome, now),
        }
    }

    /// Carries out what the endpoint wants, until it has to wait; returns until when.
    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.endpoint.poll_output() {
                Output::Close { link, reason } => self.close(link, reason),
                Output::Compute(job) => match self.pool.submit(job, self.computed.clone()) {
                    Ok(()) => self.in_flight += 1,
                    Err(job) => self.endpoint.refused(*job, now()),
                },
                Output::Event(event) => self.observe(event),
                Output::Request(request) => self.call(request),
                Output::Send { link, item } => self.write(link, item),
                Output::Store(request) => self.ask_store(request),
                Output::Wait(deadline) => {
                    self.endpoint.share(&mut self.home.spare.borrow_mut());
                    return self.deadline(deadline);
                }
            }
        }
    }

    /// Closes a connection, unless this shard's word on it is older than that of another.
    // req: S29
    fn close(&mut self, link: LinkId, reason: CloseReason) {
        let Some(outbox) = self.links.get(&link) else { return };
        let now = now();
        if reason == CloseReason::PingDelay && outbox.stays(now) {
            self.endpoint.link_opened(link, now);
        } else {
            debug!(link = link.0, %reason, "closing");
            outbox.advance(Phase::Closing);
        }
    }

    fn write(&self, link: LinkId, item: Outbound) {
        trace!(link = link.0, ?item, "sent");
        if let Some(outbox) = self.links.get(&link) {
            outbox.push(item);
        }
    }

    fn observe(&self, event: mtproto_endpoint::server::Event) {
        use mtproto_endpoint::server::Event;
        match event {
            Event::KeyCreated(key) => {
                metrics::counter!("mtproto_keys_created_total").increment(1);
                info!(%key, "key created");
            }
            Event::KeyDestroyed(key) => {
                info!(%key, "key destroyed");
                self.tell_all(move || ToShard::ForgetKey(key));
            }
            Event::KeyUnbound(key) => {
                debug!(%key, "another temporary key took its place");
                self.tell_all(move || ToShard::UnbindKey(key));
            }
            Event::LinkTimer(link, at) => {
                if let Some(outbox) = self.links.get(&link) {
                    outbox.close_at(at);
                }
            }
            Event::SessionOpened(session) => {
                metrics::gauge!("mtproto_sessions").increment(1);
                debug!(key = %session.key, session = %session.session, "session opened");
            }
            Event::SessionClosed(session) => {
                metrics::gauge!("mtproto_sessions").decrement(1);
                debug!(key = %session.key, session = %session.session, "session closed");
            }
            Event::Shed { bytes } => {
                metrics::counter!("mtproto_shed_bytes_total").increment(bytes as u64);
                warn!(bytes, "memory is short: unacknowledged messages were forgotten");
            }
            event => debug!(?event),
        }
    }

    /// Tells every shard, this one included.
    fn tell_all(&self, message: impl Fn() -> ToShard + 'static) {
        let shards = self.shards.clone();
        spawn_local(async move { shards.broadcast(message).await });
    }

    /// Calls the application. What is ready at once is answered in this very drain.
    fn call(&mut self, request: mtproto_endpoint::server::Request) {
        metrics::counter!("mtproto_requests_total").increment(1);
        let id = request.id;
        trace!(session = %id.session.session, msg_id = %id.msg_id, "request");
        let session = SessionHandle::new(id.session, self.shards.clone());
        let request = Request::new(session, request);
        let mut future = Guarded(Box::pin(respond(self.service.clone(), request)));
        match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => self.endpoint.answer(id, answer, now()),
            Poll::Pending => self.spawn(async move { Outcome::Answer(id, future.await) }),
        }
    }

    fn ask_store(&mut self, request: StoreRequest) {
        let store = Arc::clone(&self.store);
        self.spawn(async move { Outcome::Stored(request.carry_out(&*store).await) });
    }

    fn spawn(&mut self, task: impl Future<Output = Outcome> + 'static) {
        self.in_flight += 1;
        let outcomes = self.outcomes.clone();
        spawn_local(async move {
            // The shard may have stopped at its drain deadline.
            let _ = outcomes.send(task.await);
        });
    }

    /// Says goodbye once nothing is in flight any more.
    fn deadline(&mut self, deadline: Option<Instant>) -> Option<Instant> {
        let Some(until) = self.drain_until else { return deadline };
        if self.in_flight == 0 {
            self.busy = None;
            if self.is_closing {
                self.links.values().for_each(|outbox| outbox.advance(Phase::Closing));
            }
        }
        Some(deadline.map_or(until, |deadline| deadline.min(until)))
    }

    /// A shard stays as long as there is a connection that has met it.
    fn is_done(&self) -> bool {
        let is_empty = self.is_closing && self.in_flight == 0 && self.links.is_empty();
        self.drain_until.is_some_and(|until| is_empty || now() >= until)
    }
}

async fn respond<S>(mut service: S, request: Request) -> Result<Bytes, RpcError>
where
    S: Service<Request, Response = Bytes, Error = RpcError>,
{
    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

/// A handler whose panic costs its own query only.
struct Guarded<F>(Pin<Box<F>>);

impl<F: Future<Output = Result<Bytes, RpcError>>> Future for Guarded<F> {
    type Output = Result<Bytes, RpcError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The future is not polled again after a panic, so no broken state of it is seen.
        catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))).unwrap_or_else(|_| {
            error!("a handler panicked");
            Poll::Ready(Err(RpcError::new(500, "INTERNAL")))
        })
    }
}
