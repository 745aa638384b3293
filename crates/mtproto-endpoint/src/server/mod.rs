//! The server: every auth key of one shard, with its sessions, over any number of links.

mod controls;
mod early;
mod exchanges;
mod key_events;
mod keys;
mod links;
mod listing;
mod loads;
mod output;
mod packets;
mod plain;
mod sessions;
mod store;
#[cfg(test)]
mod tests;
mod timers;
mod usage;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use mtproto_auth::server::ServerConfig as ExchangeConfig;
use mtproto_crypto::SecureRandom;
use mtproto_crypto::rsa::RsaPrivateKey;
use mtproto_frame::{Spare, TransportError};
use mtproto_pack::RpcError;
use mtproto_session::server::Desks;
use mtproto_session::{
    LinkId, Misuse, MsgIds, RpcReply, SaltSecret, ServerClock, ServerSessionConfig,
};
use mtproto_tl::AuthKeyId;

pub use early::EARLY_MAX;
use early::Early;
use exchanges::Exchanges;
pub use exchanges::{Computed, EXCHANGES_MAX, EXCHANGES_PER_LINK_MAX, ExchangeRef, Job};
use keys::Keys;
pub use keys::{SESSION_IDLE, SESSIONS_MAX, SESSIONS_PER_KEY_MAX};
use links::Link;
pub use listing::{SESSIONS_PAGE_MAX, SessionInfo};
use loads::Loads;
pub use loads::{LOADS_MAX, LOADS_PER_LINK_MAX, LoadRef, PACKETS_WAITING_MAX, WAITING_BYTES_MAX};
pub use output::{CloseReason, Event, Output, Request, RequestRef, SessionRef};
use packets::{Packet, Unsealed};
pub use sessions::SESSIONS_PER_LINK_MAX;
pub use store::{BindingRequest, StoreAction, StoreOutcome, StoreRequest};
use timers::Timers;
pub use usage::Usage;

/// Packets taken in between two drains. A further one costs its link -429.
pub const RECEIVED_MAX: usize = 1 << 14;

/// What all sessions of a shard together may have queued unless told otherwise, in bytes.
pub const QUEUED_BYTES_MAX: usize = 256 << 20;

/// A map that is looked into several times for each packet. Who chooses its keys pays far more for
/// them than a collision costs: an id of ours, or an auth key for each.
type IdMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What a server is.
pub struct ServerConfig {
    /// RSA keys offered in the key exchange, the preferred one first.
    pub keys: Arc<[RsaPrivateKey]>,
    /// The data centre it is. Exchanges meant for another get -444; without one, any is taken.
    pub dc: Option<i32>,
    /// What every session has in common, and how exactly clients must keep the rules.
    pub session: ServerSessionConfig,
    /// What salts are derived from.
    pub salts: Arc<SaltSecret>,
    /// What all sessions together may have queued, in bytes. Beyond it the oldest is forgotten.
    pub queued_bytes_max: usize,
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").field("dc", &self.dc).finish_non_exhaustive()
    }
}

/// One shard of a server.
pub struct ServerEndpoint {
    session_config: Arc<ServerSessionConfig>,
    salts: Arc<SaltSecret>,
    exchange_config: Arc<ExchangeConfig>,
    queued_bytes_max: usize,
    clock: ServerClock,
    random: Box<dyn SecureRandom>,
    now: Instant,
    plain_ids: MsgIds,
    links: IdMap<LinkId, Link>,
    /// When links are closed because that was asked for.
    disconnects: Timers<LinkId>,
    exchanges: Exchanges,
    loads: Loads,
    keys: Keys,
    early: Early,
    /// No packet is held open any more.
    releases_turns: bool,
    /// Received and not yet opened.
    received: Vec<Packet>,
    /// Sessions that may have something to say. Forgotten ones are passed over.
    ready: VecDeque<SessionRef>,
    /// Composed and not yet sealed.
    unsealed: Vec<Unsealed>,
    leaving: VecDeque<Leaving>,
    outputs: VecDeque<Output>,
    desks: Desks,
    /// Memory of packets that were received and are done with.
    spare: Spare,
}

/// What is forgotten when all that is to be said is sealed.
enum Leaving {
    /// The store has destroyed it.
    DestroyedKey(AuthKeyId),
    /// It has accepted nothing and has no link, unless that has changed.
    UnusedSession(SessionRef),
    /// It has no session, unless that has changed.
    UnusedKey(AuthKeyId),
}

impl ServerEndpoint {
    /// A shard that owns nothing yet. `clock` ties `Instant`s to server time.
    #[must_use]
    pub fn new(
        config: &ServerConfig,
        clock: ServerClock,
        random: Box<dyn SecureRandom>,
        now: Instant,
    ) -> Self {
        let exchange_config = Arc::new(ExchangeConfig {
            keys: Arc::clone(&config.keys),
            dc: config.dc,
            accept_old_rsa: true,
        });
        Self {
            session_config: Arc::new(config.session),
            salts: Arc::clone(&config.salts),
            exchange_config,
            queued_bytes_max: config.queued_bytes_max,
            clock,
            random,
            now,
            plain_ids: MsgIds::default(),
            links: IdMap::default(),
            disconnects: Timers::default(),
            exchanges: Exchanges::new(EXCHANGES_MAX),
            loads: Loads::default(),
            keys: Keys::new(SESSIONS_MAX),
            early: Early::default(),
            releases_turns: false,
            received: Vec::new(),
            ready: VecDeque::new(),
            unsealed: Vec::new(),
            leaving: VecDeque::new(),
            outputs: VecDeque::new(),
            desks: Desks::default(),
            spare: Spare::default(),
        }
    }

    /// Sends `object` to a session; it stays queued until acknowledged.
    ///
    /// # Errors
    /// When the session is not known, or its queue is full.
    pub fn push(
        &mut self,
        session: SessionRef,
        object: Bytes,
        now: Instant,
    ) -> Result<(), PushError> {
        self.now = now;
        let known = self.keys.session_mut(session).ok_or(PushError::NoSession)?;
        known.machine.push(object, now).map_err(PushError::Refused)?;
        self.mark_ready(session);
        Ok(())
    }

    /// Answers a query. An answer to a query or session that is forgotten is dropped.
    pub fn answer(&mut self, id: RequestRef, answer: Result<Bytes, RpcError>, now: Instant) {
        self.now = now;
        if let Some(session) = self.keys.session_mut(id.session) {
            session.machine.answer(id.msg_id, answer.map_or_else(RpcReply::Err, RpcReply::Ok), now);
            self.mark_ready(id.session);
        }
    }

    /// Forgets a key that another shard saw destroyed: its sessions, queues and links.
    // req: S66
    pub fn forget_key(&mut self, key: AuthKeyId, now: Instant) {
        self.now = now;
        self.end_key(key);
    }

    /// Another temporary key was bound in place of this one.
    // req: S113
    pub fn unbind_key(&mut self, temporary: AuthKeyId) {
        if let Some(key) = self.keys.get_mut(temporary) {
            key.binding = None;
            key.record.kind = key.record.kind.with_bound_to(None);
        }
        self.load_again(temporary);
    }

    /// Forgets a session without a word, as a server may at any time; `false` if it was not known.
    /// The next message in it makes it anew.
    // req: S39
    pub fn discard_session(&mut self, session: SessionRef, now: Instant) -> bool {
        self.now = now;
        self.forget_session(session).is_some()
    }

    /// A link is there.
    pub fn link_opened(&mut self, link: LinkId, now: Instant) {
        self.now = now;
        self.links.entry(link).or_default();
    }

    /// A link is gone. Its sessions stay, and what came before its end counts.
    pub fn link_lost(&mut self, link: LinkId, now: Instant) {
        self.now = now;
        self.open_received();
        self.drop_link(link);
    }

    /// A packet came. It is looked at when the endpoint is polled, together with all that came with
    /// it.
    pub fn handle_packet(
        &mut self,
        link: LinkId,
        payload: BytesMut,
        quick_ack: bool,
        now: Instant,
    ) {
        self.now = now;
        self.receive(Packet { link, payload, quick_ack, is_turn: false });
    }

    /// As [`ServerEndpoint::handle_packet`], of a packet that opens a turn, as over HTTP: one item
    /// is sent for it, at once or when there is something to say, and nothing more before the
    /// link's next packet.
    // req: S84, S85
    pub fn handle_turn(&mut self, link: LinkId, payload: BytesMut, now: Instant) {
        self.now = now;
        self.receive(Packet { link, payload, quick_ack: false, is_turn: true });
    }

    /// Answers every packet that is held open, with nothing if there is nothing to say, and holds
    /// none from now on: the server is about to stop. One that waits for the answer to its own
    /// query goes on waiting.
    // req: S90
    pub fn release_turns(&mut self, now: Instant) {
        self.now = now;
        self.releases_turns = true;
        let links = self.links.iter().filter(|(link, _)| self.awaits_answer(**link));
        for name in links.flat_map(|(_, state)| state.sessions.clone()).collect::<Vec<_>>() {
            self.release_turns_of(name);
        }
    }

    /// A step of an exchange is computed.
    pub fn computed(&mut self, done: Computed, now: Instant) {
        self.now = now;
        self.exchange_computed(done);
    }

    /// There was no room to compute a step. The client is told to come later, and may ask the same
    /// again.
    pub fn refused(&mut self, job: Job, now: Instant) {
        self.now = now;
        let links = self.exchanges.put_back(job);
        self.refuse_all(links, TransportError::Flood);
    }

    /// The store has answered.
    pub fn stored(&mut self, outcome: StoreOutcome, now: Instant) {
        self.now = now;
        match outcome {
            StoreOutcome::Bound { temporary, permanent, request, result } => {
                self.key_bound(temporary, permanent, request, result);
            }
            StoreOutcome::Found { binding, result } => self.check_binding(*binding, result),
            StoreOutcome::Inserted { exchange, result } => self.key_inserted(exchange, result),
            StoreOutcome::Loaded { load, result } => self.key_loaded(load, result),
            StoreOutcome::Removed { session, ticket, result } => {
                self.key_removed(session, ticket, result);
            }
        }
    }

    /// The moment of the last `Wait` has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        let stranded = self.exchanges.expire(now);
        self.refuse_all(stranded, TransportError::NotFound);
        // req: S29
        while let Some(link) = self.disconnects.due(now) {
            self.close(link, CloseReason::PingDelay);
        }
        while let Some(key) = self.keys.expired(now) {
            self.expire_key(key);
        }
        while let Some(session) = self.keys.overdue_session(now) {
            self.forget_session(session);
        }
        while let Some(name) = self.keys.take_due(now) {
            if let Some(session) = self.keys.session_mut(name) {
                session.machine.handle_timeout(now);
            }
            self.mark_ready(name);
        }
    }

    /// What to do next. Packets are opened in one batch, their requests come before anything is
    /// composed, and all that leaves is sealed in one batch.
    pub fn poll_output(&mut self) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            if !self.received.is_empty() {
                self.open_received();
            } else if let Some(session) = self.ready.front() {
                self.advance(*session);
            } else if !self.unsealed.is_empty() {
                self.seal_composed();
            } else if let Some(leaving) = self.leaving.pop_front() {
                self.forget(leaving);
            } else {
                return Output::Wait(self.deadline());
            }
        }
    }

    /// Gives the memory of packets that were received to `spare`, and takes that of packets that
    /// were sent, to lay out others in it. Without that both go through the allocator.
    pub fn share(&mut self, spare: &mut Spare) {
        spare.keep_received_of(&mut self.spare);
        while let Some(memory) = spare.take_sent() {
            self.desks.keep_packet(memory);
        }
    }

    /// How many sessions are known.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.keys.session_count()
    }

    /// What it holds. Every session is looked at.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.keys.usage(Usage {
            links: self.links.len(),
            exchanges: self.exchanges.len(),
            loads: self.loads.len(),
            ..Usage::default()
        })
    }

    fn release_turns_of(&mut self, name: SessionRef) {
        if let Some(session) = self.keys.session_mut(name) {
            session.machine.release_turns(self.now);
            self.mark_ready(name);
        }
    }

    fn receive(&mut self, packet: Packet) {
        if packet.is_turn && !self.begin_turn(packet.link) {
            self.refuse(packet.link, TransportError::NotFound);
        } else if self.received.len() < RECEIVED_MAX {
            self.received.push(packet);
        } else {
            self.refuse(packet.link, TransportError::Flood);
        }
    }

    /// When time does something next.
    fn deadline(&self) -> Option<Instant> {
        let moments = [self.keys.deadline(), self.exchanges.deadline(), self.disconnects.next()];
        moments.into_iter().flatten().min()
    }

    fn forget(&mut self, leaving: Leaving) {
        match leaving {
            Leaving::DestroyedKey(key) => {
                self.end_key(key);
                self.outputs.push_back(Output::Event(Event::KeyDestroyed(key)));
            }
            Leaving::UnusedSession(name) => {
                if self.keys.session_mut(name).is_some_and(|session| session.is_unused()) {
                    self.forget_session(name);
                }
            }
            Leaving::UnusedKey(key) => self.keys.remove_unused(key),
        }
    }
}

/// Why an object was not pushed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PushError {
    /// The session is not known.
    NoSession,
    /// The session does not take the object.
    Refused(Misuse),
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSession => f.write_str("the session is not known"),
            Self::Refused(misuse) => misuse.fmt(f),
        }
    }
}

impl std::error::Error for PushError {}
