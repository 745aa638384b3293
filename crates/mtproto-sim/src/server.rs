//! The server's driver: its shards, its handlers and what is done to it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mtproto_crypto::SeededRandom;
use mtproto_crypto::envelope;
use mtproto_crypto::rsa::RsaPrivateKey;
use mtproto_endpoint::client::LinkId;
use mtproto_endpoint::server::{
    Event as Told, Output, QUEUED_BYTES_MAX, Request, SESSIONS_PER_KEY_MAX, ServerConfig,
    ServerEndpoint, SessionRef, Usage,
};
use mtproto_frame::{Inbound, Outbound, Payload, Spare};
use mtproto_session::server::{OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX};
use mtproto_session::{SaltSecret, ServerClock, ServerSessionConfig, Strictness};
use mtproto_tl::AuthKeyId;

use crate::agenda::Event;
use crate::env::{Env, OUTPUTS_MAX};
use crate::net::{Arrival, LinkNo, Way};
use crate::objects::{Query, push};

/// The server of the world.
pub(crate) struct Server {
    config: ServerConfig,
    clock: ServerClock,
    random: SeededRandom,
    shards: Vec<Shard>,
    /// The shards that each link has shown a packet to.
    met: BTreeMap<LinkNo, Vec<usize>>,
    /// Counts its restarts.
    pub(crate) life: u32,
}

struct Shard {
    endpoint: ServerEndpoint,
    /// When it wants to be asked again.
    deadline: Option<Instant>,
    /// When it will be, at the latest.
    wakes: Option<Instant>,
    /// Memory of packets that have left.
    spare: Spare,
}

impl Server {
    pub(crate) fn new(env: &mut Env<'_>) -> Self {
        let strictness = if env.plan.strict { Strictness::Strict } else { Strictness::Lenient };
        let config = ServerConfig {
            keys: rsa_keys(),
            dc: None,
            session: ServerSessionConfig { strictness, ..ServerSessionConfig::default() },
            salts: Arc::new(SaltSecret::with_period([7; 32], env.plan.salt_period)),
            queued_bytes_max: QUEUED_BYTES_MAX,
        };
        let clock = ServerClock::new(env.now, env.server_time());
        let random = env.dice.split();
        let (shards, met) = (Vec::new(), BTreeMap::new());
        let mut server = Self { config, clock, random, shards, met, life: 0 };
        server.start(env);
        server
    }

    /// Everything that it has in memory is new.
    fn start(&mut self, env: &mut Env<'_>) {
        let shards = (0..env.plan.shards).map(|_| {
            let random = Box::new(env.dice.split());
            let endpoint = ServerEndpoint::new(&self.config, self.clock, random, env.now);
            Shard { endpoint, deadline: None, wakes: None, spare: Spare::default() }
        });
        self.shards = shards.collect();
    }

    /// It is killed and started again; the store keeps its keys, the last ones perhaps aside.
    pub(crate) fn restart(&mut self, env: &mut Env<'_>) {
        let loses_writes = env.dice.chance(500);
        env.note(|| {
            format!("the server restarts; the store loses its last writes: {loses_writes}")
        });
        for link in env.net.all() {
            env.cut(link);
        }
        self.life += 1;
        self.met.clear();
        env.books.server_restarted();
        env.store.crash(loses_writes, env.now);
        self.start(env);
    }

    /// A session is forgotten without a word.
    pub(crate) fn forget_one(&mut self, env: &mut Env<'_>) {
        let Some(session) = env.dice.pick(&env.books.used_sessions()) else { return };
        env.note(|| format!("the server forgets session {}", session.session));
        if let Some(client) = env.books.user(session) {
            env.books.lost(client);
        }
        let shard = self.owner(session.key);
        self.shards[shard].endpoint.discard_session(session, env.now);
        self.drain(shard, env);
    }

    /// More is pushed to a session than its queue holds.
    pub(crate) fn flood(&mut self, env: &mut Env<'_>) {
        let Some(session) = env.dice.pick(&env.books.used_sessions()) else { return };
        env.note(|| format!("a flood of pushes to session {}", session.session));
        // What the queue has no room for any more was there before: answers, too.
        if let Some(client) = env.books.user(session) {
            env.books.lost(client);
        }
        for _ in 0..OUTBOX_MESSAGES_MAX + 200 {
            let object = push(env.books.next_push(), 24);
            let shard = self.owner(session.key);
            if self.shards[shard].endpoint.push(session, object, env.now).is_ok() {
                env.books.pushed(session);
            }
        }
        // A part of the flood pushes out another part.
        if let Some(client) = env.books.user(session) {
            env.books.lost(client);
        }
        self.drain(self.owner(session.key), env);
    }

    /// The application pushes one object to a session.
    pub(crate) fn push(&mut self, session: SessionRef, len: usize, env: &mut Env<'_>) {
        let shard = self.owner(session.key);
        let object = push(env.books.next_push(), len);
        if self.shards[shard].endpoint.push(session, object, env.now).is_ok() {
            env.books.pushed(session);
        }
        self.drain(shard, env);
    }

    /// Something came over a link.
    pub(crate) fn arrived(&mut self, link: LinkNo, arrivals: Vec<Arrival>, env: &mut Env<'_>) {
        for arrival in arrivals {
            match arrival {
                Arrival::Item(Inbound::Packet { payload, quick_ack }) => {
                    let shard = self.meet(link, &payload, env);
                    let endpoint = &mut self.shards[shard].endpoint;
                    endpoint.handle_packet(LinkId(link.0), payload, quick_ack, env.now);
                }
                Arrival::Item(Inbound::Error(_) | Inbound::QuickAck(_)) => {}
                Arrival::End => {
                    self.leave(link, env);
                    env.close(link, Way::Down);
                }
            }
        }
        for shard in 0..self.shards.len() {
            self.drain(shard, env);
        }
    }

    /// A handler is done.
    pub(crate) fn answer(
        &mut self,
        request: mtproto_endpoint::server::RequestRef,
        answer: bytes::Bytes,
        env: &mut Env<'_>,
    ) {
        let shard = self.owner(request.session.key);
        self.shards[shard].endpoint.answer(request, Ok(answer), env.now);
        self.drain(shard, env);
    }

    pub(crate) fn computed(
        &mut self,
        shard: usize,
        done: mtproto_endpoint::server::Computed,
        env: &mut Env<'_>,
    ) {
        self.shards[shard].endpoint.computed(done, env.now);
        self.drain(shard, env);
    }

    pub(crate) fn stored(
        &mut self,
        shard: usize,
        outcome: mtproto_endpoint::server::StoreOutcome,
        env: &mut Env<'_>,
    ) {
        self.shards[shard].endpoint.stored(outcome, env.now);
        self.drain(shard, env);
    }

    /// The moment that a shard waits for has perhaps come.
    pub(crate) fn wake(&mut self, index: usize, env: &mut Env<'_>) {
        let Some(shard) = self.shards.get_mut(index) else { return };
        if shard.wakes.is_some_and(|at| at <= env.now) {
            shard.wakes = None;
        }
        if shard.deadline.is_some_and(|at| at <= env.now) {
            shard.endpoint.handle_timeout(env.now);
        }
        self.drain(index, env);
    }

    /// Looks whether queues are within their bounds.
    pub(crate) fn inspect(&self, env: &mut Env<'_>) {
        for shard in &self.shards {
            let usage = shard.endpoint.usage();
            let too_much = usage.links > env.net.all().len()
                || usage.sessions > usage.keys * SESSIONS_PER_KEY_MAX
                || usage.queued_messages > usage.sessions * OUTBOX_MESSAGES_MAX
                || usage.queued_bytes > usage.sessions * OUTBOX_BYTES_MAX;
            if too_much {
                env.books.violated(|| format!("the server holds too much: {usage:?}"));
            }
        }
    }

    /// What it still has to do. Exchanges are remembered for a while in any case.
    pub(crate) fn unrest(&self) -> Option<String> {
        let is_busy = |usage: &Usage| {
            usage.queued_messages + usage.queued_bytes + usage.running_requests + usage.loads > 0
        };
        let usages = self.shards.iter().map(|shard| shard.endpoint.usage());
        let busy = usages.into_iter().find(is_busy)?;
        Some(format!("the server does not come to rest: {busy:?}"))
    }

    /// Carries out what a shard wants until it waits.
    fn drain(&mut self, index: usize, env: &mut Env<'_>) {
        for _ in 0..OUTPUTS_MAX {
            let output = self.shards[index].endpoint.poll_output();
            if let Output::Wait(deadline) = output {
                return self.rest(index, deadline, env);
            }
            self.carry_out(index, output, env);
        }
        env.books.violated(|| format!("shard {index} never waits"));
    }

    fn rest(&mut self, index: usize, deadline: Option<Instant>, env: &mut Env<'_>) {
        env.flush();
        let shard = &mut self.shards[index];
        shard.deadline = deadline;
        shard.endpoint.share(&mut shard.spare);
        let Some(at) = deadline.map(|deadline| deadline.max(env.now)) else { return };
        if shard.wakes.is_none_or(|wakes| at < wakes) {
            shard.wakes = Some(at);
            env.agenda.add(at, Event::WakeShard(index));
        }
    }

    fn carry_out(&mut self, index: usize, output: Output, env: &mut Env<'_>) {
        let life = self.life;
        match output {
            Output::Close { link, reason } => {
                let link = LinkNo(link.0);
                env.note(|| format!("the server closes link {}: {reason}", link.0));
                self.leave(link, env);
                env.close(link, Way::Down);
            }
            Output::Compute(job) => {
                if env.dice.chance(10) && !env.is_quiet {
                    return self.shards[index].endpoint.refused(*job, env.now);
                }
                let done = Box::new(job.run(&mut self.random));
                let takes = env.dice.ms(2..=60);
                env.later(takes, Event::ServerComputed { life, shard: index, done });
            }
            Output::Event(told) => self.learn(index, told, env),
            Output::Request(request) => self.handle(request, env),
            Output::Send { link, item } => {
                env.transmit(LinkNo(link.0), Way::Down, &item);
                if let Outbound::Packet { payload: Payload::Own(memory), .. } = item {
                    self.shards[index].spare.keep_sent(memory);
                }
            }
            Output::Store(request) => {
                let (takes, outcome) = env.store.carry_out(request, env.now, &mut env.dice);
                let outcome = Box::new(outcome);
                env.later(takes, Event::Stored { life, shard: index, outcome });
            }
            Output::Wait(_) => {}
        }
    }

    /// The application is asked.
    fn handle(&mut self, request: Request, env: &mut Env<'_>) {
        let Some(query) = Query::read(&request.content.query) else {
            return env.books.violated(|| format!("nobody asked {request:?}"));
        };
        env.books.run(request.id.session, request.id.msg_id, query);
        let (request, answer) = (request.id, query.answer());
        if query.handling == Duration::ZERO {
            let owner = self.owner(request.session.key);
            self.shards[owner].endpoint.answer(request, Ok(answer), env.now);
        } else {
            env.later(query.handling, Event::Answer { life: self.life, request, answer });
        }
    }

    fn learn(&mut self, index: usize, told: Told, env: &mut Env<'_>) {
        match told {
            Told::KeyDestroyed(key) => self.tell_others(index, env, |it, now| {
                it.forget_key(key, now);
            }),
            Told::KeyUnbound(key) => self.tell_others(index, env, |it, _| it.unbind_key(key)),
            Told::SessionClosed(session) => env.books.session_closed(session),
            Told::SessionOpened(session) => env.books.session_opened(session),
            _ => {}
        }
    }

    fn tell_others(
        &mut self,
        index: usize,
        env: &mut Env<'_>,
        tell: impl Fn(&mut ServerEndpoint, Instant),
    ) {
        for (other, shard) in self.shards.iter_mut().enumerate() {
            if other != index {
                tell(&mut shard.endpoint, env.now);
                env.agenda.add(env.now, Event::WakeShard(other));
            }
        }
    }

    /// The shard that a packet belongs to; it learns of the link if it has not.
    fn meet(&mut self, link: LinkNo, payload: &BytesMut, env: &Env<'_>) -> usize {
        // Of a plain packet the nonce decides, which stands behind the header and the number.
        let owner = match envelope::key_id(payload) {
            Some(0) => payload.get(24..).and_then(|rest| rest.first_chunk()).copied(),
            id => id.map(u64::to_le_bytes),
        };
        let shard = self.owner(AuthKeyId(u64::from_le_bytes(owner.unwrap_or_default())));
        let met = self.met.entry(link).or_default();
        if !met.contains(&shard) {
            met.push(shard);
            self.shards[shard].endpoint.link_opened(LinkId(link.0), env.now);
        }
        shard
    }

    /// A link is gone: every shard that has met it learns of it.
    fn leave(&mut self, link: LinkNo, env: &mut Env<'_>) {
        for shard in self.met.remove(&link).unwrap_or_default() {
            self.shards[shard].endpoint.link_lost(LinkId(link.0), env.now);
            env.agenda.add(env.now, Event::WakeShard(shard));
        }
    }

    fn owner(&self, key: AuthKeyId) -> usize {
        usize::try_from(key.0 % self.shards.len() as u64).unwrap_or(0)
    }
}

/// The server's RSA key. To find one takes longer than many simulated minutes, so there is one for
/// all seeds.
pub(crate) fn rsa_keys() -> Arc<[RsaPrivateKey]> {
    static KEYS: OnceLock<Arc<[RsaPrivateKey]>> = OnceLock::new();
    let generate = || Arc::from([RsaPrivateKey::generate(&mut SeededRandom::new(1))]);
    Arc::clone(KEYS.get_or_init(generate))
}
