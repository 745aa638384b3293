//! The one task of a client: it carries out what the endpoint wants and tells it what happens. It
//! makes no decision of the protocol.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_crypto::OsRandom;
use mtproto_endpoint::client::{
    ClientEndpoint, Event as EndpointEvent, JobDone, LinkId, Output, PingId, RequestId,
    RequestOptions, State,
};
use mtproto_frame::{Inbound, Outbound};
use mtproto_store::{ClientRecord, ClientStore, DcRecord, StoreError};
use mtproto_transport::{Dial, DialError, Link, LinkExt};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, info, trace, warn};

use crate::cancel::{CallId, Cancellations};
use crate::clock::{WallClock, now};
use crate::events::EventSink;
use crate::links::{Arrival, Links};
use crate::{CallError, ConnectInfo, Event};

/// How many commands wait for the actor; a caller beyond waits itself.
pub(crate) const COMMANDS_MAX: usize = 64;

/// How long one dial may take.
const DIAL_MAX: Duration = Duration::from_secs(15);

/// How long a link may take to send the rest and close.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// How often at least the wall clock is looked at: so soon after the machine the client wakes up.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// What a handle asks of the actor.
#[derive(Debug)]
pub(crate) enum Command {
    /// Send a query.
    Call {
        id: CallId,
        object: Bytes,
        options: RequestOptions,
        reply: Reply<Bytes>,
        /// Told of the quick acknowledgement.
        received: Option<oneshot::Sender<()>>,
    },
    /// Send a ping.
    Ping { reply: Reply<Duration> },
    /// Begin another session and let the server destroy this one.
    ReplaceSession,
}

type Reply<T> = oneshot::Sender<Result<T, CallError>>;

/// A call that the endpoint has taken.
struct Taken {
    id: CallId,
    reply: Reply<Bytes>,
    received: Option<oneshot::Sender<()>>,
}

/// What a task of the actor came to.
enum Done {
    Closed,
    Computed(JobDone),
    Dialed(LinkId, Result<Box<dyn Link>, DialError>),
    Saved(Result<(), StoreError>),
}

/// What the actor tells its handles without being asked.
pub(crate) struct Notices {
    pub(crate) events: EventSink,
    pub(crate) state: watch::Sender<State>,
    pub(crate) info: watch::Sender<ConnectInfo>,
    pub(crate) dial_error: watch::Sender<Option<Arc<DialError>>>,
    /// Why the store is not up to date.
    pub(crate) save_error: watch::Sender<Option<Arc<StoreError>>>,
}

/// Where the record of this data centre is kept, among those of others.
pub(crate) struct Shelf {
    pub(crate) store: Arc<dyn ClientStore>,
    pub(crate) record: ClientRecord,
    pub(crate) dc: i32,
}

/// How handles reach the actor.
pub(crate) struct Requests {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) cancellations: Arc<Cancellations>,
    pub(crate) ending: Arc<Ending>,
}

/// The ways to end a client, however full the actor is.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    pub(crate) log_out: Notify,
    pub(crate) stop: Notify,
}

/// The task's state.
pub(crate) struct Actor {
    endpoint: ClientEndpoint,
    dial: Arc<dyn Dial>,
    shelf: Shelf,
    notices: Notices,
    requests: Requests,
    /// Commands for which the endpoint has no room: at most [`COMMANDS_MAX`].
    waiting: VecDeque<Command>,
    links: Links,
    tasks: JoinSet<Done>,
    /// Tasks without whose end the actor does not end.
    unfinished: usize,
    calls: HashMap<RequestId, Taken>,
    names: HashMap<CallId, RequestId>,
    pings: HashMap<PingId, Reply<Duration>>,
    wall_clock: WallClock,
    started: Instant,
}

impl Actor {
    pub(crate) fn new(
        endpoint: ClientEndpoint,
        dial: Arc<dyn Dial>,
        shelf: Shelf,
        notices: Notices,
        requests: Requests,
        wall_clock: WallClock,
    ) -> Self {
        Self {
            endpoint,
            dial,
            shelf,
            notices,
            requests,
            waiting: VecDeque::new(),
            links: Links::default(),
            tasks: JoinSet::new(),
            unfinished: 0,
            calls: HashMap::new(),
            names: HashMap::new(),
            pings: HashMap::new(),
            wall_clock,
            started: now(),
        }
    }

    /// Runs until the endpoint has closed and its last words are out.
    pub(crate) async fn run(mut self) {
        let mut received = Vec::new();
        loop {
            self.endpoint.handle_wall_time((self.wall_clock)(), now());
            let deadline = self.carry_out();
            if self.endpoint.is_closed() && self.unfinished == 0 {
                return;
            }
            let pause_ends = self.notices.events.paused_until(now());
            let paused = pause_ends.is_some();
            // req: S118
            let clock_check = Some(now() + CLOCK_CHECK_INTERVAL);
            let deadline = [deadline, pause_ends, clock_check].into_iter().flatten().min();
            let listens = self.takes_commands() && self.waiting.is_empty();
            let Requests { commands, cancellations, ending } = &mut self.requests;
            // Every branch is cancel-safe: what it did not return is still where it was.
            tokio::select! {
                count = commands.recv_many(&mut received, COMMANDS_MAX), if listens => {
                    self.waiting.extend(received.drain(..));
                    if count == 0 {
                        // Every handle is gone.
                        self.endpoint.close(now());
                    }
                }
                ids = cancellations.take() => self.handle_cancellations(&ids),
                () = ending.stop.notified() => self.endpoint.close(now()),
                () = ending.log_out.notified() => self.endpoint.log_out(now()),
                arrivals = self.links.next(paused) => self.handle_arrivals(arrivals),
                Some(done) = self.tasks.join_next() => self.handle_done(done),
                () = self.notices.events.room() => {}
                () = sleep_until(deadline) => self.endpoint.handle_timeout(now()),
            }
        }
    }

    /// Gives the endpoint what callers want as far as it has room, and carries out what it wants
    /// itself; returns until when there is nothing more.
    fn carry_out(&mut self) -> Option<Instant> {
        loop {
            while self.takes_commands()
                && let Some(command) = self.waiting.pop_front()
            {
                self.handle_command(command);
            }
            let deadline = self.drain();
            // An answer may have made room.
            if self.waiting.is_empty() || !self.takes_commands() {
                return deadline;
            }
        }
    }

    /// Whether calls are taken. Those that are not wait, and their callers with them.
    fn takes_commands(&self) -> bool {
        !self.endpoint.is_closed() && self.endpoint.has_room() && !self.links.are_congested()
    }

    /// Carries out what the endpoint wants; returns until when there is nothing more.
    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.endpoint.poll_output() {
                Output::Close { link, reason } => {
                    info!(link = link.0, %reason, "link closed");
                    if let Some(link) = self.links.remove(link) {
                        self.close(link);
                    }
                }
                Output::Compute(job) => {
                    self.tasks.spawn_blocking(|| Done::Computed(job.run(&mut OsRandom::new())));
                }
                Output::Dial(link) => self.dial(link),
                Output::Event(event) => self.tell(event),
                Output::Save(record) => self.save(record.map(|record| *record)),
                Output::Send { link, payload, quick_ack } => {
                    trace!(link = link.0, len = payload.len(), "send");
                    self.links.send(link, Outbound::Packet { payload: payload.into(), quick_ack });
                }
                Output::Wait(deadline) => return deadline,
            }
        }
    }

    fn handle_command(&mut self, command: Command) {
        let now = now();
        match command {
            Command::Call { id, object, options, reply, received } if !reply.is_closed() => {
                match self.endpoint.request(object, options, now) {
                    Ok(request) => {
                        self.names.insert(id, request);
                        self.calls.insert(request, Taken { id, reply, received });
                    }
                    Err(misuse) => answer(reply, Err(misuse.into())),
                }
            }
            // Its future was dropped before it got here.
            Command::Call { .. } => {}
            Command::Ping { reply } => {
                let given_up = self.pings.extract_if(|_, waiting| waiting.is_closed());
                given_up.for_each(|(ping, _)| self.endpoint.forget_ping(ping));
                match self.endpoint.ping(now) {
                    Ok(ping) => drop(self.pings.insert(ping, reply)),
                    Err(misuse) => answer(reply, Err(misuse.into())),
                }
            }
            Command::ReplaceSession => self.endpoint.replace_session(now),
        }
    }

    fn handle_cancellations(&mut self, ids: &[CallId]) {
        let now = now();
        for id in ids {
            if let Some(request) = self.names.remove(id) {
                self.calls.remove(&request);
                self.endpoint.cancel(request, now);
            }
        }
    }

    fn handle_arrivals(&mut self, arrivals: Vec<Arrival>) {
        let now = now();
        for (link, arrival) in arrivals {
            match arrival {
                Ok(Inbound::Packet { payload, .. }) => {
                    trace!(link = link.0, len = payload.len(), "received");
                    self.endpoint.handle_packet(link, payload, now);
                }
                Ok(Inbound::QuickAck(token)) => self.endpoint.handle_quick_ack(link, token, now),
                Ok(Inbound::Error(error)) => {
                    info!(link = link.0, %error, "server sent an error");
                    self.endpoint.handle_transport_error(link, error, now);
                }
                Err(error) => {
                    info!(link = link.0, %error, "link lost");
                    self.endpoint.link_lost(link, now);
                }
            }
        }
    }

    fn handle_done(&mut self, done: Result<Done, JoinError>) {
        let now = now();
        match done {
            Ok(Done::Closed) => self.unfinished -= 1,
            Ok(Done::Computed(done)) => self.endpoint.computed(done, now),
            Ok(Done::Dialed(id, Ok(link))) => {
                info!(link = id.0, peer = %link.peer(), "link opened");
                let takes_turns = link.takes_turns();
                self.links.insert(id, link);
                self.endpoint.link_opened(id, takes_turns, now);
            }
            Ok(Done::Dialed(id, Err(error))) => {
                info!(link = id.0, %error, "dial failed");
                self.notices.dial_error.send_replace(Some(Arc::new(error)));
                self.endpoint.dial_failed(id, now);
            }
            Ok(Done::Saved(outcome)) => {
                self.unfinished -= 1;
                if let Err(error) = &outcome {
                    warn!(%error, "session not saved");
                }
                self.endpoint.saved(outcome.is_ok(), now);
                self.notices.save_error.send_replace(outcome.err().map(Arc::new));
            }
            // None of our tasks is ever aborted before the actor ends: this one panicked.
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }

    fn dial(&mut self, link: LinkId) {
        debug!(link = link.0, "dialing");
        let dial = Arc::clone(&self.dial);
        self.tasks.spawn(async move {
            let dialed = tokio::time::timeout(DIAL_MAX, dial.dial()).await;
            let timeout = |_| DialError::Timeout { target: "server".to_owned(), limit: DIAL_MAX };
            Done::Dialed(link, dialed.map_err(timeout).and_then(|dialed| dialed))
        });
    }

    fn close(&mut self, mut link: Box<dyn Link>) {
        self.unfinished += 1;
        self.tasks.spawn(async move {
            // The endpoint has forgotten the link: how its end went changes nothing.
            let _ = tokio::time::timeout(CLOSE_MAX, link.close()).await;
            Done::Closed
        });
    }

    fn save(&mut self, record: Option<DcRecord>) {
        let Shelf { store, record: whole, dc } = &mut self.shelf;
        match record {
            Some(record) => drop(whole.dcs.insert(*dc, record)),
            None => drop(whole.dcs.remove(dc)),
        }
        let (store, whole) = (Arc::clone(store), whole.clone());
        self.unfinished += 1;
        self.tasks.spawn_blocking(move || {
            let is_empty = whole.dcs.is_empty();
            Done::Saved(if is_empty { store.clear() } else { store.save(&whole) })
        });
    }

    fn tell(&mut self, event: EndpointEvent) {
        let event = match event {
            EndpointEvent::Answer { request, outcome } => {
                if let Some(Taken { id, reply, .. }) = self.calls.remove(&request) {
                    self.names.remove(&id);
                    answer(reply, outcome.map_err(CallError::from));
                }
                return;
            }
            EndpointEvent::Pong { ping, round_trip } => {
                if let Some(reply) = self.pings.remove(&ping) {
                    answer(reply, Ok(round_trip));
                }
                return;
            }
            EndpointEvent::QuickAck { request } => {
                let received = self.calls.get_mut(&request).and_then(|call| call.received.take());
                // A caller that does not wait for it needs no word.
                let _ = received.map(|received| received.send(()));
                return;
            }
            EndpointEvent::ExchangeFailed(fault) => Event::ExchangeFailed(fault),
            EndpointEvent::Gap(gap) => Event::Gap(gap),
            EndpointEvent::KeyLost { key, reason } => Event::KeyLost { key, reason },
            EndpointEvent::KeyMade(made) => Event::KeyMade(made),
            EndpointEvent::Push(object) => Event::Push(object),
            EndpointEvent::State(state) => Event::State(state),
        };
        self.note(&event);
        self.notices.events.push(event, now());
    }

    /// Keeps what handles can look at up to date.
    fn note(&mut self, event: &Event) {
        let ready_after = now() - self.started;
        let key = self.endpoint.key();
        match event {
            Event::ExchangeFailed(fault) => warn!(%fault, "key exchange failed"),
            Event::Gap(gap) => debug!(?gap, "gap"),
            Event::KeyLost { key, reason } => warn!(%key, ?reason, "key lost"),
            Event::KeyMade(made) => {
                debug!(key = %made.key, took = ?made.took, "key made");
                self.notices.info.send_modify(|info| info.add(made));
            }
            Event::State(state) => {
                debug!(?state, "state");
                if *state == State::Ready {
                    self.notices.info.send_modify(|info| {
                        info.key = key;
                        info.connections += 1;
                        info.ready_after.get_or_insert(ready_after);
                    });
                }
                self.notices.state.send_replace(*state);
            }
            Event::Push(object) => trace!(len = object.len(), "push"),
            Event::Missed { .. } => {}
        }
    }
}

/// Tells a caller; one that has gone needs no answer.
fn answer<T>(reply: Reply<T>, outcome: Result<T, CallError>) {
    let _ = reply.send(outcome);
}

pub(crate) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
