//! What must hold, and the books that are kept to see whether it does.
//!
//! - Every call that its caller neither gave up nor took with it has exactly one outcome, and an
//!   answer is the answer to it.
//! - While a session lives on the server, no message of it is carried out twice.
//! - A call is carried out at most once, unless since it was made a session was lost: the server
//!   forgot it, restarted, let its queue overflow or did not get rid of an answer for ten minutes,
//!   or the client had to begin another one. What the protocol promises of a call ends there. While
//!   nothing of the kind happens ([`crate::faults::Plan::exactly_once`]) there is no excuse.
//! - An object pushed to a session arrives exactly once, unless that session was lost, its client
//!   logs out, or it is told of a gap.
//! - No encrypted packet is sent twice.
//! - Queues stay within their bounds, and after the quiet time they are empty on both sides.
//! - Time passes: a machine has something to do a bounded number of times at one moment.
//! - Nothing panics.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use mtproto_endpoint::client::{Event, Gap, PingId, RequestError, RequestId, State};
use mtproto_endpoint::server::SessionRef;
use mtproto_session::server::OUTBOX_AGE_MAX;
use mtproto_tl::MsgId;

use crate::faults::Plan;
use crate::objects::{Query, read_answer, read_push};
use crate::report::Report;

/// An invariant that did not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// When, counted from the beginning.
    pub at: Duration,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} ms: {}", self.at.as_millis(), self.what)
    }
}

/// What everybody did.
#[derive(Default)]
pub(crate) struct Books {
    /// What time it is, counted from the beginning.
    pub(crate) now: Duration,
    pub(crate) report: Report,
    /// By number.
    calls: Vec<Call>,
    requests: HashMap<(Process, RequestId), u64>,
    pings: BTreeSet<(Process, PingId)>,
    /// By number.
    pushes: Vec<Push>,
    /// Of each client: how often a session of it was lost.
    losses: Vec<u64>,
    /// Of each client: when it was last told that pushes may be missing.
    gaps: Vec<Duration>,
    /// Nothing ever happens that loses a session in use.
    exactly_once: bool,
    /// Sessions that live on the server.
    sessions: BTreeMap<SessionRef, Session>,
    /// The `msg_key` of every packet.
    sealed: HashSet<[u8; 16]>,
}

/// A client from its start until it is killed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Process {
    pub(crate) client: usize,
    pub(crate) life: u32,
}

struct Call {
    process: Process,
    /// Of its client, when the call was made.
    losses: u64,
    deadline: Option<Duration>,
    /// It has no outcome yet, and its caller waits for one.
    is_waiting: bool,
    /// When its handler last began.
    ran: Option<Duration>,
}

struct Push {
    client: usize,
    /// Of the client, as of when it last used the session.
    losses: u64,
    pushed: Duration,
    told: bool,
}

#[derive(Default)]
struct Session {
    carried_out: HashSet<MsgId>,
    /// Who uses it, and how many sessions it had lost when it made the last of its calls here.
    user: Option<(usize, u64)>,
}

impl Books {
    pub(crate) fn new(plan: &Plan) -> Self {
        let (losses, exactly_once) = (vec![0; plan.clients], plan.exactly_once);
        let gaps = vec![Duration::ZERO; plan.clients];
        Self { losses, gaps, exactly_once, ..Self::default() }
    }

    /// Something must not be so. Only the first is kept.
    pub(crate) fn violated(&mut self, what: impl FnOnce() -> String) {
        if self.report.violation.is_none() {
            self.report.violation = Some(Violation { at: self.now, what: what() });
        }
    }

    /// The number of the next call.
    pub(crate) fn next_call(&self) -> u64 {
        self.calls.len() as u64
    }

    /// A call was made.
    pub(crate) fn called(
        &mut self,
        process: Process,
        request: RequestId,
        deadline: Option<Duration>,
    ) {
        self.report.calls += 1;
        self.requests.insert((process, request), self.next_call());
        let losses = self.losses[process.client];
        self.calls.push(Call { process, losses, deadline, is_waiting: true, ran: None });
    }

    /// The last call of a client that still waits, to be given up.
    pub(crate) fn cancel_one(&mut self, process: Process) -> Option<RequestId> {
        let waiting = self.requests.keys().filter(|(of, _)| *of == process);
        let request = waiting.map(|(_, request)| *request).max()?;
        let number = self.requests.remove(&(process, request))?;
        self.calls[index(number)].is_waiting = false;
        self.report.cancelled += 1;
        Some(request)
    }

    pub(crate) fn pinged(&mut self, process: Process, ping: PingId) {
        self.pings.insert((process, ping));
    }

    /// A client was killed; its calls go with it.
    pub(crate) fn killed(&mut self, process: Process) {
        self.lost(process.client);
        self.pings.retain(|(of, _)| *of != process);
        let calls = &mut self.calls;
        let mut abandoned = 0;
        self.requests.retain(|(of, _), number| {
            if *of == process {
                calls[index(*number)].is_waiting = false;
                abandoned += 1;
            }
            *of != process
        });
        self.report.abandoned += abandoned;
    }

    /// A session of a client is lost, whoever lost it.
    pub(crate) fn lost(&mut self, client: usize) {
        self.losses[client] += 1;
        self.report.losses += 1;
    }

    /// The client that uses a session, if it has been seen to.
    pub(crate) fn user(&self, session: SessionRef) -> Option<usize> {
        self.sessions.get(&session)?.user.map(|(client, _)| client)
    }

    /// The sessions that live and are used.
    pub(crate) fn used_sessions(&self) -> Vec<SessionRef> {
        let used = self.sessions.iter().filter(|(_, session)| session.user.is_some());
        used.map(|(name, _)| *name).collect()
    }

    /// The number of the next push.
    pub(crate) fn next_push(&self) -> u64 {
        self.pushes.len() as u64
    }

    /// An object was pushed to a session that is used.
    pub(crate) fn pushed(&mut self, session: SessionRef) {
        let Some((client, losses)) = self.sessions.get(&session).and_then(|it| it.user) else {
            return;
        };
        self.report.pushes += 1;
        self.pushes.push(Push { client, losses, pushed: self.now, told: false });
    }

    pub(crate) fn session_opened(&mut self, session: SessionRef) {
        self.sessions.insert(session, Session::default());
    }

    pub(crate) fn session_closed(&mut self, session: SessionRef) {
        self.sessions.remove(&session);
    }

    /// The server was restarted: it knows no session.
    pub(crate) fn server_restarted(&mut self) {
        for session in std::mem::take(&mut self.sessions).into_values() {
            if let Some((client, _)) = session.user {
                self.lost(client);
            }
        }
    }

    /// A handler begins.
    pub(crate) fn run(&mut self, name: SessionRef, msg_id: MsgId, query: Query) {
        self.report.runs += 1;
        let number = query.number;
        let Some(call) = self.calls.get_mut(index(number)) else {
            return self.violated(|| format!("nobody made the call {number} that is handled"));
        };
        let client = call.process.client;
        let (session, losses) = (self.sessions.entry(name).or_default(), self.losses[client]);
        session.user = session.user.max(Some((client, call.losses)));
        let is_new = session.carried_out.insert(msg_id);
        let before = call.ran.replace(self.now);
        let is_lost =
            call.losses != losses || before.is_some_and(|ran| self.now - ran >= OUTBOX_AGE_MAX);
        let is_lost = is_lost && !self.exactly_once;
        self.report.runs_again += u64::from(before.is_some());
        if !is_new {
            self.violated(|| format!("message {msg_id} of {name:?} is carried out twice"));
        } else if let Some(before) = before.filter(|_| !is_lost) {
            let before = before.as_millis();
            self.violated(|| {
                format!("call {number} of client {client} is handled again, after {before} ms")
            });
        }
    }

    /// A machine sent a packet.
    pub(crate) fn sent(&mut self, payload: &[u8]) {
        self.report.packets += 1;
        self.report.bytes += payload.len() as u64;
        let Some((key_id, rest)) = payload.split_first_chunk::<8>() else { return };
        let Some(msg_key) = rest.first_chunk::<16>() else { return };
        let folded = u64::from_le_bytes(*msg_key.first_chunk().unwrap_or(&[0; 8]));
        self.report.digest = self.report.digest.rotate_left(5) ^ folded;
        if *key_id != [0; 8] && !self.sealed.insert(*msg_key) {
            self.violated(|| format!("a packet of {} bytes is sent twice", payload.len()));
        }
    }

    /// A client learns something.
    pub(crate) fn learn(&mut self, process: Process, event: &Event) {
        match event {
            Event::Answer { request, outcome } => self.answered(process, *request, outcome),
            Event::Gap(gap) => {
                self.gaps[process.client] = self.now;
                if *gap == Gap::SessionReplaced {
                    self.lost(process.client);
                }
            }
            Event::Pong { ping, .. } => {
                self.report.pongs += 1;
                if !self.pings.remove(&(process, *ping)) {
                    self.violated(|| format!("{ping:?} of {process:?} has two pongs"));
                }
            }
            Event::Push(object) => self.told(process.client, object),
            Event::KeyMade(_) => self.report.keys_made += 1,
            Event::State(State::Closed(_)) => {
                self.lost(process.client);
                self.pings.retain(|(of, _)| *of != process);
            }
            Event::ExchangeFailed(_)
            | Event::KeyLost { .. }
            | Event::QuickAck { .. }
            | Event::State(_) => {}
        }
    }

    fn answered(
        &mut self,
        process: Process,
        request: RequestId,
        outcome: &Result<bytes::Bytes, RequestError>,
    ) {
        let Some(number) = self.requests.remove(&(process, request)) else {
            let what = || format!("{request:?} of {process:?} has a second outcome");
            return self.violated(what);
        };
        let call = &mut self.calls[index(number)];
        call.is_waiting = false;
        let is_right = match outcome {
            Ok(object) => read_answer(object) == Some(number),
            Err(RequestError::TimedOut) => call.deadline.is_some_and(|due| due <= self.now),
            Err(RequestError::Closed(_)) => true,
            Err(
                RequestError::Dropped
                | RequestError::Refused { .. }
                | RequestError::Rpc(_)
                | RequestError::Unreadable(_),
            ) => false,
        };
        if !is_right {
            let client = process.client;
            self.violated(|| format!("call {number} of client {client} ends with {outcome:?}"));
        }
    }

    fn told(&mut self, client: usize, object: &[u8]) {
        let Some(number) = read_push(object).filter(|number| *number < self.next_push()) else {
            return self.violated(|| format!("nobody pushed {object:02x?}"));
        };
        let push = &mut self.pushes[index(number)];
        let again = std::mem::replace(&mut push.told, true);
        if push.client != client {
            self.violated(|| format!("push {number} is told to client {client}"));
        } else if again {
            self.violated(|| format!("push {number} is told twice to client {client}"));
        }
    }

    /// Everything has had time to come to its end.
    pub(crate) fn close(&mut self) {
        for (number, call) in self.calls.iter().enumerate() {
            if call.is_waiting {
                let client = call.process.client;
                return self
                    .violated(|| format!("call {number} of client {client} has no outcome"));
            }
        }
        if let Some((process, ping)) = self.pings.first().copied() {
            return self.violated(|| format!("{ping:?} of {process:?} has no pong"));
        }
        for (number, push) in self.pushes.iter().enumerate().filter(|(_, push)| !push.told) {
            let is_announced = self.gaps[push.client] >= push.pushed;
            if self.losses[push.client] == push.losses && !is_announced {
                let (client, at) = (push.client, push.pushed.as_millis());
                return self.violated(|| {
                    format!("push {number} of {at} ms is not told to client {client}")
                });
            }
            self.report.pushes_lost += 1;
        }
    }
}

/// Numbers are indices.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
