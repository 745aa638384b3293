//! A client's driver: its endpoint, its clock, what it has stored, and what is done to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mtproto_crypto::{AuthKey, SecureRandomExt, SeededRandom};
use mtproto_endpoint::client::{
    ClientConfig, ClientEndpoint, Event as Told, JobDone, LinkId, Output, Pfs, RequestOptions,
    ServerClock,
};
use mtproto_frame::{Inbound, Outbound};
use mtproto_store::{ClientKey, DcRecord, KeyKind, KeyRecord};
use mtproto_tl::{Salt, ServerTime};

use crate::agenda::Event;
use crate::env::{Env, OUTPUTS_MAX};
use crate::invariants::Process;
use crate::net::{Arrival, LinkNo, Owner, Way};
use crate::objects::{Query, read_push};
use crate::server::rsa_keys;

/// One client of the world.
pub(crate) struct Client {
    pub(crate) process: Process,
    pub(crate) endpoint: ClientEndpoint,
    config: ClientConfig,
    random: SeededRandom,
    /// What it has stored.
    stored: Option<DcRecord>,
    /// How far its monotonic clock is from the world's.
    ahead: Duration,
    behind: Duration,
    /// How far its time of day is wrong: from ten minutes slow to ten minutes fast.
    wall: (Duration, Duration),
    asleep_until: Option<Instant>,
    /// Until then no dial succeeds.
    cut_off_until: Option<Instant>,
    links: BTreeMap<LinkId, LinkNo>,
    /// When it wants to be asked again, by the world's clock.
    deadline: Option<Instant>,
    /// When it will be, at the latest.
    wakes: Option<Instant>,
}

impl Client {
    /// A client; most have had a key for long.
    pub(crate) fn new(client: usize, env: &mut Env<'_>) -> Self {
        let pfs = !env.plan.exactly_once && env.dice.chance(300);
        // Longer than any handler takes: with its key a session ends, and what it has not answered.
        let lifetime = env.dice.ms(1_200_000..=3_600_000);
        let config = ClientConfig {
            keys: rsa_keys().iter().map(|key| key.public().clone()).collect::<Arc<[_]>>(),
            links: env.dice.index(3) + 1,
            pfs: pfs.then_some(Pfs { lifetime }),
            replaces_lost_key: env.dice.chance(500),
            ..ClientConfig::default()
        };
        let mut random = env.dice.split();
        let stored = env.dice.chance(800).then(|| first_record(&mut random, env));
        let wall = wall_error(env);
        let local = ServerClock::new(env.now, shifted(env.server_time(), wall));
        let own = Box::new(env.dice.split());
        let endpoint = ClientEndpoint::new(config.clone(), stored.clone(), local, own, env.now);
        Self {
            process: Process { client, life: 0 },
            endpoint,
            config,
            random,
            stored,
            ahead: Duration::ZERO,
            behind: Duration::ZERO,
            wall,
            asleep_until: None,
            cut_off_until: None,
            links: BTreeMap::new(),
            deadline: None,
            wakes: None,
        }
    }

    /// Its own clock.
    fn clock(&self, env: &Env<'_>) -> Instant {
        env.now + self.ahead - self.behind
    }

    /// Its own clock, when it has been woken up. It looks at the clock on the wall, too.
    fn wake_up(&mut self, env: &Env<'_>) -> Instant {
        let now = self.clock(env);
        self.endpoint.handle_wall_time(shifted(env.server_time(), self.wall), now);
        now
    }

    /// Whether it hears nothing now; until when.
    pub(crate) fn asleep(&self, env: &Env<'_>) -> Option<Instant> {
        self.asleep_until.filter(|until| env.now < *until)
    }

    /// Its clock stands still from now on.
    pub(crate) fn sleep(&mut self, span: Duration, env: &mut Env<'_>) {
        if self.asleep(env).is_none() {
            let client = self.process.client;
            env.note(|| format!("client {client} sleeps for {} ms", span.as_millis()));
            self.asleep_until = Some(env.now + span);
            // All of it passes before it is asked for the time again.
            self.behind += span;
        }
    }

    /// Its clock is suddenly ahead.
    pub(crate) fn jump(&mut self, span: Duration, env: &mut Env<'_>) {
        let client = self.process.client;
        env.note(|| format!("the clock of client {client} jumps {} ms", span.as_millis()));
        self.ahead += span;
        env.agenda.add(env.now, Event::WakeClient(client));
        self.deadline = Some(env.now);
    }

    /// It reaches nobody for a while.
    pub(crate) fn cut_off(&mut self, span: Duration, env: &mut Env<'_>) {
        let client = self.process.client;
        env.note(|| format!("client {client} is cut off for {} ms", span.as_millis()));
        self.cut_off_until = Some(env.now + span);
        for link in self.links.values() {
            env.cut(*link);
        }
    }

    /// It is killed and started again with what it has stored.
    pub(crate) fn restart(&mut self, env: &mut Env<'_>) {
        let client = self.process.client;
        env.note(|| format!("client {client} restarts"));
        // One that is closed has lost its sessions, and its calls have their outcomes.
        if !self.endpoint.is_closed() {
            env.books.killed(self.process);
        }
        self.process.life += 1;
        for (_, link) in std::mem::take(&mut self.links) {
            env.close(link, Way::Up);
        }
        self.wall = wall_error(env);
        let now = self.clock(env);
        let local = ServerClock::new(now, shifted(env.server_time(), self.wall));
        let random = Box::new(env.dice.split());
        self.endpoint =
            ClientEndpoint::new(self.config.clone(), self.stored.clone(), local, random, now);
        self.drain(env);
    }

    /// Its application forgets the keys, as one that was logged out does, and begins anew.
    pub(crate) fn begin_anew(&mut self, env: &mut Env<'_>) {
        self.stored = None;
        self.restart(env);
    }

    /// Its application makes a call.
    pub(crate) fn call(&mut self, query: Query, wait: Option<Duration>, env: &mut Env<'_>) {
        let now = self.wake_up(env);
        let deadline = wait.map(|wait| now + wait);
        let options = RequestOptions { quick_ack: query.number.is_multiple_of(7), deadline };
        if let Ok(request) = self.endpoint.request(query.to_bytes(), options, now) {
            let due = wait.map(|_| env.now - env.start);
            env.books.called(self.process, request, due);
        }
    }

    /// Its application gives up a call that waits.
    pub(crate) fn cancel(&mut self, env: &mut Env<'_>) {
        if let Some(request) = env.books.cancel_one(self.process) {
            let now = self.wake_up(env);
            self.endpoint.cancel(request, now);
        }
    }

    /// Its application wants to know how far the server is.
    pub(crate) fn ping(&mut self, env: &mut Env<'_>) {
        let now = self.wake_up(env);
        if let Ok(ping) = self.endpoint.ping(now) {
            env.books.pinged(self.process, ping);
        }
    }

    /// Its application logs out: the server is to destroy the key.
    pub(crate) fn log_out(&mut self, env: &mut Env<'_>) {
        let client = self.process.client;
        env.note(|| format!("client {client} logs out"));
        let now = self.wake_up(env);
        self.endpoint.log_out(now);
    }

    /// A dial has come to its end.
    pub(crate) fn dialed(&mut self, link: LinkId, works: bool, env: &mut Env<'_>) {
        let now = self.wake_up(env);
        if works && self.cut_off_until.is_none_or(|until| until <= env.now) {
            let Process { client, life } = self.process;
            let number = env.net.open(Some(Owner { client, life, link }), &mut env.dice);
            env.books.report.links += 1;
            env.note(|| format!("client {client} opens link {}", number.0));
            self.links.insert(link, number);
            self.endpoint.link_opened(link, false, now);
        } else {
            self.endpoint.dial_failed(link, now);
        }
        self.drain(env);
    }

    /// Something came over a link of its own.
    pub(crate) fn arrived(&mut self, link: LinkId, arrivals: Vec<Arrival>, env: &mut Env<'_>) {
        let now = self.wake_up(env);
        for arrival in arrivals {
            match arrival {
                Arrival::Item(Inbound::Packet { payload, .. }) => {
                    self.endpoint.handle_packet(link, payload, now);
                }
                Arrival::Item(Inbound::QuickAck(token)) => {
                    self.endpoint.handle_quick_ack(link, token, now);
                }
                Arrival::Item(Inbound::Error(error)) => {
                    self.endpoint.handle_transport_error(link, error, now);
                }
                Arrival::End => {
                    self.endpoint.link_lost(link, now);
                    if let Some(number) = self.links.remove(&link) {
                        env.close(number, Way::Up);
                    }
                }
            }
        }
        self.drain(env);
    }

    pub(crate) fn computed(&mut self, done: JobDone, env: &mut Env<'_>) {
        let now = self.wake_up(env);
        self.endpoint.computed(done, now);
        self.drain(env);
    }

    /// A save has come to its end.
    pub(crate) fn saved(&mut self, record: Option<DcRecord>, stored: bool, env: &mut Env<'_>) {
        if stored {
            self.stored = record;
        }
        let now = self.wake_up(env);
        self.endpoint.saved(stored, now);
        self.drain(env);
    }

    /// The moment that it waits for has perhaps come.
    pub(crate) fn wake(&mut self, env: &mut Env<'_>) {
        if self.wakes.is_some_and(|at| at <= env.now) {
            self.wakes = None;
        }
        if self.deadline.is_some_and(|at| at <= env.now) {
            let now = self.wake_up(env);
            self.endpoint.handle_timeout(now);
        }
        self.drain(env);
    }

    /// What it still has to do.
    pub(crate) fn unrest(&self) -> Option<String> {
        let (client, waiting) = (self.process.client, self.endpoint.pending_requests());
        (waiting > 0).then(|| format!("client {client} does not come to rest: {waiting} requests"))
    }

    /// Carries out what the endpoint wants until it waits.
    pub(crate) fn drain(&mut self, env: &mut Env<'_>) {
        for _ in 0..OUTPUTS_MAX {
            match self.endpoint.poll_output() {
                Output::Wait(deadline) => return self.rest(deadline, env),
                output => self.carry_out(output, env),
            }
        }
        let client = self.process.client;
        env.books.violated(|| format!("client {client} never waits"));
    }

    fn rest(&mut self, deadline: Option<Instant>, env: &mut Env<'_>) {
        env.flush();
        // From its own clock to the world's.
        self.deadline = deadline.map(|at| at + self.behind - self.ahead);
        let Some(at) = self.deadline.map(|deadline| deadline.max(env.now)) else { return };
        if self.wakes.is_none_or(|wakes| at < wakes) {
            self.wakes = Some(at);
            env.agenda.add(at, Event::WakeClient(self.process.client));
        }
    }

    fn carry_out(&mut self, output: Output, env: &mut Env<'_>) {
        let Process { client, life } = self.process;
        match output {
            Output::Close { link, reason } => {
                if let Some(number) = self.links.remove(&link) {
                    env.note(|| format!("client {client} closes link {}: {reason}", number.0));
                    env.close(number, Way::Up);
                }
            }
            Output::Compute(job) => {
                let done = Box::new(job.run(&mut self.random));
                let takes = env.dice.ms(2..=60);
                env.later(takes, Event::ClientComputed { client, life, done });
            }
            Output::Dial(link) => {
                let works = env.is_quiet || env.dice.chance(950);
                let takes = env.dice.ms(10..=200);
                env.later(takes, Event::Dialed { client, life, link, works });
            }
            Output::Event(event) => {
                env.note(|| format!("client {client}: {}", describe(&event)));
                env.books.learn(self.process, &event);
            }
            Output::Save(record) => {
                let stored = env.is_quiet || env.dice.chance(900);
                let takes = env.dice.ms(1..=100);
                env.later(takes, Event::Saved { client, life, record, stored });
            }
            Output::Send { link, payload, quick_ack } => {
                if let Some(number) = self.links.get(&link) {
                    env.transmit(
                        *number,
                        Way::Up,
                        &Outbound::Packet { payload: payload.into(), quick_ack },
                    );
                }
            }
            Output::Wait(_) => {}
        }
    }
}

/// What a client has stored that made its key long ago.
fn first_record(random: &mut SeededRandom, env: &mut Env<'_>) -> DcRecord {
    let now = env.server_time();
    let created = now.unix_seconds() - 100_000;
    let key = AuthKey::new(random.array());
    let (first_salt, kind) = (Salt(1), KeyKind::Permanent);
    env.store.add(&KeyRecord { key: key.clone(), created, first_salt, kind }, now);
    let permanent = ClientKey { key, created, salts: Vec::new() };
    DcRecord { address: String::new(), time_offset_ms: 0, permanent, temporary: None }
}

/// An event, without what it carries.
fn describe(event: &Told) -> String {
    match event {
        Told::Answer { request, outcome: Ok(object) } => {
            format!("{request:?} has its answer, bytes={}", object.len())
        }
        Told::Push(object) => format!("push {:?}, bytes={}", read_push(object), object.len()),
        event => format!("{event:?}"),
    }
}

/// How wrong a time of day is: so much slow and so much fast.
fn wall_error(env: &mut Env<'_>) -> (Duration, Duration) {
    match env.dice.below(4) {
        0 => (env.dice.ms(0..=600_000), Duration::ZERO),
        1 => (Duration::ZERO, env.dice.ms(0..=600_000)),
        _ => (Duration::ZERO, Duration::ZERO),
    }
}

fn shifted(time: ServerTime, (slow, fast): (Duration, Duration)) -> ServerTime {
    time.before(slow).after(fast)
}
