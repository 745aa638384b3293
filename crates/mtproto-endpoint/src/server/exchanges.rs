//! Key exchanges under way. They belong to a nonce, not to a link: an exchange may go on over
//! another.

use std::collections::HashMap;
use std::fmt;
use std::mem::{self, Discriminant};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use mtproto_auth::server::{Answers, Candidate, Exchange, ServerConfig, Step, Turn};
use mtproto_auth::{EXCHANGE_LIFETIME, Fault, Query};
use mtproto_crypto::SecureRandom;
use mtproto_session::LinkId;

use super::timers::Timers;

/// Exchanges that one shard remembers. A further one ends the oldest: a flood of first queries,
/// which cost nothing to send, must not keep others from making keys.
pub const EXCHANGES_MAX: usize = 1 << 16;

/// Exchanges that one link may begin and not finish. A further one ends the first.
pub const EXCHANGES_PER_LINK_MAX: usize = 8;

/// Links that wait for one answer. More are not waited for.
pub(super) const LINKS_WAITING_MAX: usize = 4;

/// Names one exchange. The number tells it from an earlier one that began with the same nonce.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct ExchangeRef {
    number: u64,
    nonce: [u8; 16],
}

impl fmt::Debug for ExchangeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExchangeRef({})", self.number)
    }
}

/// A step of an exchange, to be computed where there is time: a few milliseconds of arithmetic.
#[derive(Debug)]
pub struct Job {
    name: ExchangeRef,
    exchange: Exchange,
    query: Query,
    config: Arc<ServerConfig>,
    server_time: u32,
}

/// A computed step.
#[derive(Debug)]
pub struct Computed {
    pub(super) name: ExchangeRef,
    pub(super) result: Result<Step, Fault>,
}

impl Job {
    /// Which arithmetic it takes: steps of one kind are cheaper together.
    #[must_use]
    pub fn kind(&self) -> Discriminant<Exchange> {
        mem::discriminant(&self.exchange)
    }

    /// [`Job::run_all`] for one.
    #[must_use]
    pub fn run(self, random: &mut dyn SecureRandom) -> Computed {
        let computed = Self::run_all(vec![self], random).pop();
        computed.unwrap_or_else(|| unreachable!("one job has one result"))
    }

    /// Computes steps together, on any thread; in order. How many it is worth while to compute at
    /// once, [`mtproto_crypto::powers_at_once`] says.
    #[must_use]
    pub fn run_all(jobs: Vec<Self>, random: &mut dyn SecureRandom) -> Vec<Computed> {
        let (mut names, mut states, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for Self { name, exchange, query, config, server_time } in jobs {
            names.push(name);
            states.push(exchange);
            asked.push((query, config, server_time));
        }
        let turns = states.into_iter().zip(&asked).map(|(state, (query, config, server_time))| {
            Turn { state, query, config, server_time: *server_time }
        });
        let results = Exchange::handle_all(turns.collect(), random);
        let computed = names.into_iter().zip(results);
        computed.map(|(name, result)| Computed { name, result }).collect()
    }
}

pub(super) struct Exchanges {
    by_nonce: HashMap<[u8; 16], Entry>,
    /// All of them, oldest first.
    expiries: Timers<ExchangeRef>,
    begun: u64,
    count_max: usize,
}

struct Entry {
    number: u64,
    expires: Option<Instant>,
    /// Away while a step is computed or the key is stored.
    exchange: Option<Exchange>,
    /// What was asked and answered. It stays here.
    answers: Answers,
    /// What is being worked on, while the exchange is away.
    step: Option<CurrentStep>,
}

struct CurrentStep {
    query: Query,
    /// Who is to get the answer.
    links: Vec<LinkId>,
    /// The key that the store has been given.
    candidate: Option<Candidate>,
}

/// What to do about a query.
#[derive(Debug)]
pub(super) enum Reaction {
    Answer(Bytes),
    Compute(Box<Job>),
    /// It is being worked on already, and too many links wait for that.
    Crowded,
    /// It is being worked on already.
    None,
    /// It is not the next query of any exchange. If it named one, that one is over; these links are
    /// the one that asked and those that wait in vain.
    Refuse(Vec<LinkId>),
}

impl Exchanges {
    /// Remembers at most `count_max` of them.
    pub(super) fn new(count_max: usize) -> Self {
        let (by_nonce, expiries) = (HashMap::new(), Timers::default());
        Self { by_nonce, expiries, begun: 0, count_max }
    }

    /// Remembers a new exchange, in place of any that began with the same nonce, or of the oldest
    /// if there are too many. Returns the links that wait in vain for what had to end.
    pub(super) fn begin(
        &mut self,
        nonce: [u8; 16],
        exchange: Exchange,
        now: Instant,
    ) -> (ExchangeRef, Vec<LinkId>) {
        let mut stranded = self.end_nonce(&nonce);
        if self.by_nonce.len() >= self.count_max
            && let Some(oldest) = self.expiries.first()
        {
            stranded.extend(self.end(oldest));
        }
        self.begun += 1;
        let name = ExchangeRef { number: self.begun, nonce };
        let (number, answers) = (self.begun, exchange.answers().clone());
        let exchange = Some(exchange);
        let mut entry = Entry { number, expires: None, exchange, answers, step: None };
        self.expiries.set(name, &mut entry.expires, Some(now + EXCHANGE_LIFETIME));
        self.by_nonce.insert(nonce, entry);
        (name, stranded)
    }

    /// The answer that was given to this very query before.
    // req: S111
    pub(super) fn repeated(&self, query: &Query) -> Option<Bytes> {
        self.by_nonce.get(query.nonce())?.answers.given_to(query)
    }

    /// Takes a query of an exchange that has begun.
    // req: S111
    pub(super) fn next(
        &mut self,
        query: Query,
        link: LinkId,
        config: &Arc<ServerConfig>,
        server_time: u32,
    ) -> Reaction {
        let nonce = *query.nonce();
        let Some(entry) = self.by_nonce.get_mut(&nonce) else {
            return Reaction::Refuse(vec![link]);
        };
        if let Some(answer) = entry.answers.given_to(&query) {
            return Reaction::Answer(answer);
        }
        if let Some(step) = entry.step.as_mut().filter(|step| step.query.is_same(&query)) {
            if step.links.contains(&link) {
                return Reaction::None;
            }
            if step.links.len() >= LINKS_WAITING_MAX {
                return Reaction::Crowded;
            }
            step.links.push(link);
            return Reaction::None;
        }
        if let Some(exchange) = entry.exchange.take_if(|exchange| !is_finished(exchange)) {
            let step = CurrentStep { query: query.clone(), links: vec![link], candidate: None };
            entry.step = Some(step);
            let name = ExchangeRef { number: entry.number, nonce };
            let config = Arc::clone(config);
            return Reaction::Compute(Box::new(Job { name, exchange, query, config, server_time }));
        }
        let mut links = self.end_nonce(&nonce);
        links.push(link);
        Reaction::Refuse(links)
    }

    /// Goes on with an exchange; returns who waits. None do if it is over meanwhile.
    pub(super) fn resume(&mut self, name: ExchangeRef, exchange: Exchange) -> Vec<LinkId> {
        let Some(entry) = self.named_mut(name) else { return Vec::new() };
        entry.answers = exchange.answers().clone();
        entry.exchange = Some(exchange);
        entry.step.take().map(|step| step.links).unwrap_or_default()
    }

    /// Takes back a step that was not computed, so that its query may come again. Returns who
    /// waits.
    pub(super) fn put_back(&mut self, job: Job) -> Vec<LinkId> {
        self.resume(job.name, job.exchange)
    }

    /// Lets an exchange wait for the store. `false` if it is over meanwhile.
    pub(super) fn wait_for_store(&mut self, name: ExchangeRef, candidate: Candidate) -> bool {
        let Some(step) = self.named_mut(name).and_then(|entry| entry.step.as_mut()) else {
            return false;
        };
        step.candidate = Some(candidate);
        true
    }

    /// The candidate that waits for the store. Its exchange must be resumed.
    pub(super) fn take_candidate(&mut self, name: ExchangeRef) -> Option<Candidate> {
        self.named_mut(name)?.step.as_mut()?.candidate.take()
    }

    /// Ends an exchange; returns who waits for its answer.
    pub(super) fn end(&mut self, name: ExchangeRef) -> Vec<LinkId> {
        match self.named_mut(name) {
            Some(_) => self.end_nonce(&name.nonce),
            None => Vec::new(),
        }
    }

    /// Ends an exchange unless it is finished; returns who waits for its answer.
    pub(super) fn end_unfinished(&mut self, name: ExchangeRef) -> Vec<LinkId> {
        match self.named_mut(name) {
            Some(entry) if entry.exchange.as_ref().is_some_and(is_finished) => Vec::new(),
            Some(_) => self.end_nonce(&name.nonce),
            None => Vec::new(),
        }
    }

    /// Whether it is under way still.
    pub(super) fn is_unfinished(&self, name: ExchangeRef) -> bool {
        let entry = self.by_nonce.get(&name.nonce).filter(|entry| entry.number == name.number);
        entry.is_some_and(|entry| !entry.exchange.as_ref().is_some_and(is_finished))
    }

    /// Ends those whose time is over; returns who waits for their answers.
    // req: S111
    pub(super) fn expire(&mut self, now: Instant) -> Vec<LinkId> {
        let mut stranded = Vec::new();
        while let Some(name) = self.expiries.due(now) {
            stranded.extend(self.end_nonce(&name.nonce));
        }
        stranded
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.expiries.next()
    }

    pub(super) fn len(&self) -> usize {
        self.by_nonce.len()
    }

    fn named_mut(&mut self, name: ExchangeRef) -> Option<&mut Entry> {
        self.by_nonce.get_mut(&name.nonce).filter(|entry| entry.number == name.number)
    }

    /// The one place where an exchange ends.
    fn end_nonce(&mut self, nonce: &[u8; 16]) -> Vec<LinkId> {
        let Some(mut entry) = self.by_nonce.remove(nonce) else { return Vec::new() };
        let name = ExchangeRef { number: entry.number, nonce: *nonce };
        self.expiries.set(name, &mut entry.expires, None);
        entry.step.map(|step| step.links).unwrap_or_default()
    }
}

fn is_finished(exchange: &Exchange) -> bool {
    matches!(exchange, Exchange::Finished(_))
}
