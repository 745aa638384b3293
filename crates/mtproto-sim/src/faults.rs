//! What a seed is: who takes part, what goes wrong, and how often.

use std::fmt;
use std::time::Duration;

use crate::agenda::Event;
use crate::dice::Dice;
use crate::env::Recorded;
use crate::net::{LinkNo, Way};
use crate::world::World;

use mtproto_frame::Outbound;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// A client's own clock jumps ahead by up to ten minutes.
    ClientClockJumps,
    /// A client is killed and started again, with what it has stored and with another idea of the
    /// time of day.
    ClientRestarts,
    /// A client's machine sleeps for up to ten minutes: its clock stands still, and it hears
    /// nothing.
    ClientSleeps,
    /// A link breaks, perhaps in the middle of a frame; what is in flight is lost.
    Cut,
    /// The server is busy with a flood of pushes to one session, more than its queue holds.
    Flood,
    /// The server forgets a session.
    Forget,
    /// No dial of a client succeeds for a while, and its links break.
    Outage,
    /// A recorded packet is delivered again, over its own link, another, or a new one.
    Replay,
    /// The server is killed and started again. The store may lose its last writes.
    ServerRestarts,
    /// Nothing passes over a link for a while.
    Stall,
    /// The store is slow and fails for a while.
    StoreTrouble,
}

/// What follows from a seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many clients there are.
    pub clients: usize,
    /// How many shards the server has.
    pub shards: u64,
    /// How long a salt lasts, in seconds.
    pub salt_period: u32,
    /// Whether the server minds every rule.
    pub strict: bool,
    /// Time between two things that one application does, on average.
    pub pause: Duration,
    /// Whether no session is ever lost, beyond those that a wrong clock costs before anything is
    /// accepted in them: then every call is carried out exactly once.
    pub exactly_once: bool,
    /// Average time from one fault of a kind to the next.
    pub faults: Vec<(Fault, Duration)>,
}

impl Plan {
    /// What a seed means.
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let clients = dice.within(2..=8);
        let exactly_once = dice.chance(250);
        Self {
            clients: usize::try_from(clients).unwrap_or(2),
            shards: dice.within(1..=3),
            salt_period: [2, 10, 60, 300, 1800][dice.index(5)],
            strict: dice.chance(300),
            pause: dice.ms(400..=2_000) * u32::try_from(clients).unwrap_or(8) / 4,
            exactly_once,
            faults: faults(clients, exactly_once, dice),
        }
    }
}

/// Each kind of fault with its own rate, a few of them left out.
fn faults(clients: u64, exactly_once: bool, dice: &mut Dice) -> Vec<(Fault, Duration)> {
    // Seconds between two of a kind: of one client, or of the one server and store.
    let of_clients = [
        (Fault::Cut, 30..=300),
        (Fault::Stall, 60..=600),
        (Fault::Outage, 300..=2_000),
        (Fault::Replay, 5..=60),
    ];
    let losing = [
        (Fault::ClientClockJumps, 600..=3_000),
        (Fault::ClientRestarts, 600..=3_000),
        (Fault::ClientSleeps, 600..=3_000),
        (Fault::Forget, 1_500..=6_000),
    ];
    let of_the_server = [
        (Fault::StoreTrouble, 200..=1_500),
        (Fault::ServerRestarts, 400..=2_000),
        (Fault::Flood, 2_000..=8_000),
    ];
    let of_clients = of_clients.into_iter().chain(losing.into_iter().filter(|_| !exactly_once));
    let of_the_server = of_the_server.into_iter().take(if exactly_once { 1 } else { 3 });
    let rates = of_clients
        .map(|(fault, seconds)| (fault, seconds, clients))
        .chain(of_the_server.map(|(fault, seconds)| (fault, seconds, 1)));
    let mut plan = Vec::new();
    for (fault, seconds, times) in rates {
        let mean = dice.ms(seconds.start() * 1000 / times..=seconds.end() * 1000 / times);
        if !dice.chance(150) {
            plan.push((fault, mean));
        }
    }
    plan
}

impl World<'_> {
    /// A fault happens, and the next of its kind is planned.
    pub(crate) fn strike(&mut self, fault: Fault) {
        let env = &mut self.env;
        let Some((_, mean)) = env.plan.faults.iter().find(|(kind, _)| *kind == fault).copied()
        else {
            return;
        };
        let next = env.dice.until_next(mean);
        env.later(next, Event::Fault(fault));
        env.books.report.faults += 1;
        let client = env.dice.index(self.clients.len());
        match fault {
            Fault::ClientClockJumps => {
                let span = env.dice.ms(1_000..=600_000);
                self.clients[client].jump(span, env);
            }
            Fault::ClientRestarts => self.clients[client].restart(env),
            Fault::ClientSleeps => {
                let span = env.dice.ms(1_000..=600_000);
                self.clients[client].sleep(span, env);
            }
            Fault::Cut => {
                if let Some(link) = env.dice.pick(&env.net.working()) {
                    env.cut(link);
                }
            }
            Fault::Flood => self.server.flood(env),
            Fault::Forget => self.server.forget_one(env),
            Fault::Outage => {
                let span = env.dice.ms(1_000..=120_000);
                self.clients[client].cut_off(span, env);
            }
            Fault::Replay => self.replay(),
            Fault::ServerRestarts => self.server.restart(env),
            Fault::Stall => {
                if let Some(link) = env.dice.pick(&env.net.working()) {
                    let span = env.dice.ms(500..=40_000);
                    env.note(|| format!("link {} stalls for {} ms", link.0, span.as_millis()));
                    env.net.stall(link, span, env.now);
                }
            }
            Fault::StoreTrouble => {
                let until = env.now + env.dice.ms(1_000..=60_000);
                env.note(|| "the store is in trouble".to_owned());
                env.store.trouble(until);
            }
        }
        self.env.flush();
    }

    /// Somebody sends again what he has listened to.
    fn replay(&mut self) {
        let env = &mut self.env;
        if env.recorded.is_empty() {
            return;
        }
        let index = env.dice.index(env.recorded.len());
        let Recorded { link, way, payload } = env.recorded[index].clone();
        let working = env.net.working();
        let target = match env.dice.below(10) {
            0..=4 => working.contains(&link).then_some(link),
            5..=7 => env.dice.pick(&working),
            _ if way == Way::Up => {
                let link = env.net.open(None, &mut env.dice);
                // A server gives up links that say nothing, too.
                let stays = env.dice.ms(1_000..=120_000);
                env.later(stays, Event::Leave(link));
                Some(link)
            }
            _ => None,
        };
        let Some(LinkNo(target)) = target else { return };
        env.note(|| format!("a packet of link {} is sent again over link {target}", link.0));
        env.net.send(LinkNo(target), way, &Outbound::packet(payload));
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clients, shards, salt_period, pause, .. } = self;
        let pause = pause.as_millis();
        write!(f, "{clients} clients, {shards} shards, salts of {salt_period} s, ")?;
        write!(f, "a call every {pause} ms of each")?;
        f.write_str(if self.strict { ", strict" } else { "" })?;
        f.write_str(if self.exactly_once { ", no session is lost" } else { "" })
    }
}
