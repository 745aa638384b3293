//! One key exchange under way: which step it is at, and what goes out again when a link is lost.
//!
//! The arithmetic of a step is a [`Job`] for the driver to run elsewhere. While it runs, the
//! exchange listens to nothing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_auth::client::{Exchange as State, Step};
use mtproto_auth::{Fault, NewKey};
use mtproto_crypto::SecureRandom;
use mtproto_session::LinkId;
use mtproto_tl::types::{
    DhGenFail, DhGenOk, DhGenRetry, ResPq, ServerDhParamsFail, ServerDhParamsOk,
};
use mtproto_tl::{Constructor, Reader};

/// How long the server may take for one answer before its link is given up.
pub const EXCHANGE_STEP_MAX: Duration = Duration::from_secs(10);

/// How long a whole exchange may take, reconnects included, before another one is begun. A server
/// keeps its side of it for ten minutes at most.
pub const EXCHANGE_MAX: Duration = Duration::from_secs(60);

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Exchange {
    id: u64,
    started: Instant,
    /// The query whose answer is due. It goes out again, unchanged, on another link.
    query: Bytes,
    sent: Option<Sent>,
    /// `None` while a job has it.
    state: Option<State>,
}

/// Where and when the query last went out.
#[derive(Clone, Copy, Debug)]
struct Sent {
    link: LinkId,
    at: Instant,
}

/// The arithmetic of one step, to be run where it blocks nobody: it takes up to some ten
/// milliseconds.
#[derive(Debug)]
pub struct Job {
    exchange: u64,
    state: State,
    answer: Bytes,
}

/// What a [`Job`] came to.
#[derive(Debug)]
pub struct JobDone {
    exchange: u64,
    step: Result<Step, Fault>,
}

impl Job {
    /// Does it.
    // req: S111
    pub fn run(self, random: &mut dyn SecureRandom) -> JobDone {
        let Self { exchange, state, answer } = self;
        JobDone { exchange, step: state.handle(&answer, random) }
    }
}

impl Exchange {
    /// Begins one. `id` tells it from every other exchange of this endpoint.
    pub(super) fn new(id: u64, (state, query): (State, Bytes), now: Instant) -> Self {
        Self { id, started: now, query, sent: None, state: Some(state) }
    }

    /// Takes the server's answer; `None` when it is none to the query that is out.
    pub(super) fn handle_answer(&mut self, answer: Bytes) -> Option<Job> {
        let awaited = expects(self.state.as_ref()?, &answer) && same_nonce(&self.query, &answer);
        let state = if awaited { self.state.take()? } else { return None };
        Some(Job { exchange: self.id, state, answer })
    }

    /// Takes what became of the job: a key at the end, or `None` when the server is to be asked on.
    pub(super) fn computed(&mut self, done: JobDone) -> Result<Option<NewKey>, Fault> {
        match done.step? {
            Step::Query(state, query) => {
                self.state = Some(state);
                self.query = query;
                self.sent = None;
                Ok(None)
            }
            Step::Done(key) => Ok(Some(key)),
        }
    }

    /// Records that a link is gone: if the query was out on it, it must go out again.
    pub(super) fn link_lost(&mut self, link: LinkId) {
        self.sent = self.sent.filter(|sent| sent.link != link);
    }

    /// The query, if it must go out now.
    pub(super) fn query(&self) -> Option<&Bytes> {
        (self.sent.is_none() && self.state.is_some()).then_some(&self.query)
    }

    /// Records that the query goes out.
    pub(super) fn sent(&mut self, link: LinkId, now: Instant) {
        self.sent = Some(Sent { link, at: now });
    }

    /// Whether `done` belongs to this exchange.
    pub(super) fn owns(&self, done: &JobDone) -> bool {
        self.id == done.exchange
    }

    /// The link whose answer is overdue.
    pub(super) fn overdue_link(&self, now: Instant) -> Option<LinkId> {
        self.answer_due().filter(|(due, _)| *due <= now).map(|(_, link)| link)
    }

    /// Whether it has taken too long as a whole.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.started + EXCHANGE_MAX <= now
    }

    /// When one of the two happens.
    pub(super) fn deadline(&self) -> Instant {
        let end = self.started + EXCHANGE_MAX;
        self.answer_due().map_or(end, |(due, _)| due.min(end))
    }

    /// The link that its query last went out on.
    pub(super) fn link(&self) -> Option<LinkId> {
        self.sent.map(|sent| sent.link)
    }

    /// When it began.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    fn answer_due(&self) -> Option<(Instant, LinkId)> {
        let sent = self.sent.filter(|_| self.state.is_some())?;
        Some((sent.at + EXCHANGE_STEP_MAX, sent.link))
    }
}

/// Whether `answer` is of the kind that `state` waits for. A server that repeats itself must not
/// end the exchange.
fn expects(state: &State, answer: &Bytes) -> bool {
    let kinds: &[u32] = match state {
        State::WaitResPq(_) => &[ResPq::ID],
        State::WaitDhParams(_) => &[ServerDhParamsOk::ID, ServerDhParamsFail::ID],
        State::WaitDhGen(_) => &[DhGenOk::ID, DhGenRetry::ID, DhGenFail::ID],
    };
    Reader::shared(answer).peek_u32().is_ok_and(|id| kinds.contains(&id))
}

/// Every query and answer of an exchange has the client's nonce right behind its constructor
/// number.
fn same_nonce(query: &Bytes, answer: &Bytes) -> bool {
    query.get(4..20).is_some_and(|nonce| answer.get(4..20) == Some(nonce))
}
