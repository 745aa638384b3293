//! Everybody, and time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::agenda::{Agenda, Event};
use crate::client::Client;
use crate::dice::Dice;
use crate::env::Env;
use crate::faults::Plan;
use crate::invariants::{Books, Process};
use crate::net::{LinkNo, Net, Way};
use crate::report::Report;
use crate::server::Server;
use crate::store::Store;
use crate::trace::Trace;

/// How long it stays quiet at the end: longer than any handler takes, and then than a queue keeps
/// anything.
pub const QUIET: Duration = Duration::from_secs(30 * 60);

/// Events at one moment. More is a world that spins.
const EVENTS_MAX: u64 = 100_000;

/// How often it is looked whether everybody is at rest, in the end.
const REST_INTERVAL: Duration = Duration::from_secs(10);
const REST_ATTEMPTS_MAX: u32 = 30;

/// How often the invariants are looked at.
const INSPECTION_INTERVAL: Duration = Duration::from_secs(60);

/// What to simulate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scenario {
    /// Decides everything else.
    pub seed: u64,
    /// How long clients are busy and things go wrong. [`QUIET`] comes on top.
    pub busy: Duration,
}

/// Runs a scenario. With `print`, every packet and fault is told in the notation of transcripts.
///
/// A panic of a machine is a violation like any other.
pub fn run(scenario: Scenario, print: Option<&mut dyn FnMut(&str)>) -> Report {
    let mut world = World::new(scenario, print);
    let end = world.env.start + scenario.busy;
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run(end))) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref().copied()).unwrap_or("no reason given");
        world.env.books.violated(|| format!("panic: {text}"));
    }
    let simulated = world.env.now - world.env.start;
    Report { simulated, ..world.env.books.report }
}

/// Everybody and everything.
pub(crate) struct World<'a> {
    pub(crate) env: Env<'a>,
    pub(crate) clients: Vec<Client>,
    pub(crate) server: Server,
}

impl<'a> World<'a> {
    fn new(scenario: Scenario, print: Option<&'a mut dyn FnMut(&str)>) -> Self {
        let mut dice = Dice::new(scenario.seed);
        let plan = Plan::new(&mut dice);
        let mut books = Books::new(&plan);
        books.report.seed = scenario.seed;
        books.report.plan = plan.to_string();
        let start = beginning();
        let mut env = Env {
            start,
            now: start,
            plan,
            agenda: Agenda::default(),
            net: Net::new(),
            store: Store::new(&mut dice),
            books,
            dice,
            trace: print.map(Trace::new),
            recorded: VecDeque::new(),
            is_quiet: false,
        };
        let server = Server::new(&mut env);
        let clients = (0..env.plan.clients).map(|client| Client::new(client, &mut env)).collect();
        let mut world = Self { env, clients, server };
        world.plan_ahead();
        world
    }

    fn plan_ahead(&mut self) {
        let env = &mut self.env;
        for client in 0..env.plan.clients {
            env.later(Duration::ZERO, Event::Work(client));
            env.later(Duration::ZERO, Event::WakeClient(client));
        }
        for (fault, mean) in env.plan.faults.clone() {
            let first = env.dice.until_next(mean);
            env.later(first, Event::Fault(fault));
        }
        env.later(INSPECTION_INTERVAL, Event::Inspect);
    }

    /// Lets everything happen: first until `end`, then quietly.
    fn run(&mut self, end: Instant) {
        self.run_until(end);
        self.env.is_quiet = true;
        self.env.note(|| "from now on nothing goes wrong".to_owned());
        self.run_until(end + QUIET);
        self.come_to_rest();
        if self.env.books.report.violation.is_none() {
            self.env.books.close();
        }
    }

    /// Keepalives and new keys go on for ever, so there is not rest at every moment.
    fn come_to_rest(&mut self) {
        for _ in 0..REST_ATTEMPTS_MAX {
            if self.unrest().is_none() {
                return;
            }
            self.run_until(self.env.now + REST_INTERVAL);
        }
        if let Some(unrest) = self.unrest() {
            self.env.books.violated(|| unrest);
        }
    }

    fn run_until(&mut self, end: Instant) {
        let mut at_this_moment = 0;
        while self.env.books.report.violation.is_none() {
            let Some(next) = self.env.agenda.next().filter(|next| *next <= end) else { break };
            at_this_moment = if next > self.env.now { 0 } else { at_this_moment + 1 };
            if at_this_moment > EVENTS_MAX {
                return self.env.books.violated(|| "time stands still".to_owned());
            }
            self.env.now = self.env.now.max(next);
            self.env.books.now = self.env.now - self.env.start;
            if let Some(event) = self.env.agenda.take(self.env.now) {
                self.happen(event);
            }
        }
        self.env.now = self.env.now.max(end);
    }

    fn happen(&mut self, event: Event) {
        if let Some(client) = self.concerns(&event)
            && let Some(until) = self.clients[client].asleep(&self.env)
        {
            return self.env.agenda.add(until, event);
        }
        let env = &mut self.env;
        let server_life = self.server.life;
        match event {
            Event::Answer { life, request, answer } if life == server_life => {
                self.server.answer(request, answer, env);
            }
            Event::Arrive(link, way) => self.arrive(link, way),
            Event::ClientComputed { client, life, done } => {
                if let Some(client) = alive(&mut self.clients, client, life) {
                    client.computed(*done, env);
                }
            }
            Event::Dialed { client, life, link, works } => {
                if let Some(client) = alive(&mut self.clients, client, life) {
                    client.dialed(link, works, env);
                }
            }
            Event::Fault(fault) if !env.is_quiet => self.strike(fault),
            Event::Inspect => {
                env.later(INSPECTION_INTERVAL, Event::Inspect);
                self.server.inspect(env);
            }
            Event::Leave(link) => env.close(link, Way::Up),
            Event::Saved { client, life, record, stored } => {
                if let Some(client) = alive(&mut self.clients, client, life) {
                    client.saved(record.map(|record| *record), stored, env);
                }
            }
            Event::ServerComputed { life, shard, done } if life == server_life => {
                self.server.computed(shard, *done, env);
            }
            Event::Stored { life, shard, outcome } if life == server_life => {
                self.server.stored(shard, *outcome, env);
            }
            Event::WakeClient(client) => self.clients[client].wake(env),
            Event::WakeShard(shard) => self.server.wake(shard, env),
            Event::Work(client) => self.work(client),
            // A server that is no more, and faults that come too late.
            Event::Answer { .. }
            | Event::Fault(_)
            | Event::ServerComputed { .. }
            | Event::Stored { .. } => {}
        }
    }

    /// The client that has to be awake for it.
    fn concerns(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Arrive(link, Way::Down) => self.env.net.owner(*link).map(|owner| owner.client),
            Event::ClientComputed { client, .. }
            | Event::Dialed { client, .. }
            | Event::Saved { client, .. }
            | Event::WakeClient(client)
            | Event::Work(client) => Some(*client),
            _ => None,
        }
    }

    fn arrive(&mut self, link: LinkNo, way: Way) {
        let env = &mut self.env;
        let arrivals = env.net.arrive(link, way, env.now);
        if arrivals.is_empty() {
            return;
        }
        if way == Way::Up {
            return self.server.arrived(link, arrivals, env);
        }
        // Whoever has only recordings does not care for what comes back.
        if let Some(owner) = env.net.owner(link)
            && let Some(client) = alive(&mut self.clients, owner.client, owner.life)
        {
            client.arrived(owner.link, arrivals, env);
        }
    }

    /// What anybody still has to do.
    fn unrest(&self) -> Option<String> {
        self.server.unrest().or_else(|| self.clients.iter().find_map(Client::unrest))
    }
}

/// The client, if it has not been killed since.
fn alive(clients: &mut [Client], client: usize, life: u32) -> Option<&mut Client> {
    let process = Process { client, life };
    clients.get_mut(client).filter(|it| it.process == process)
}

/// The one moment that is taken from outside; nothing depends on which it is.
#[allow(clippy::disallowed_methods, reason = "virtual time needs a beginning")]
fn beginning() -> Instant {
    // Clocks in the world may be behind it.
    Instant::now() + Duration::from_secs(24 * 3600)
}
