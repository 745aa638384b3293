//! Queries that wait for others: `invokeAfterMsg` and `invokeAfterMsgs`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mtproto_tl::MsgId;

use super::Request;

/// How long a query waits for one that it names and that has not arrived. One that has arrived is
/// waited for as long as it takes.
pub const AFTER_WAIT_MAX: Duration = Duration::from_secs(30);

/// How many queries of a session wait for others. Further ones are refused.
pub const HELD_MAX: usize = 512;

/// How many bytes they may have together.
pub const HELD_BYTES_MAX: usize = 1 << 20;

/// How many failed queries a session remembers, for those that are to come after them.
pub const FAILED_MAX: usize = 1024;

/// What waits, and what need not be waited for. Boxed, as few sessions ever have either.
// req: S119
#[derive(Debug, Default)]
pub(super) struct Order(Option<Box<Known>>);

#[derive(Debug, Default)]
struct Known {
    waiting: Vec<Waiting>,
    bytes: usize,
    failed: BTreeSet<MsgId>,
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    /// Ids of queries that are not done; never empty.
    before: BTreeSet<MsgId>,
    /// When to stop waiting for those that have not arrived.
    until: Option<Instant>,
}

/// Whether a query that waited may be carried out.
#[derive(Debug)]
pub(super) enum Released {
    Failed(Request),
    Ready(Request),
}

impl Order {
    /// Lets a query wait for those in `before`, of which there is at least one. Gives it back if
    /// too much waits already.
    pub(super) fn hold(
        &mut self,
        request: Request,
        before: BTreeSet<MsgId>,
        now: Instant,
    ) -> Result<(), Request> {
        debug_assert!(!before.is_empty(), "it waits for something");
        let known = self.0.get_or_insert_default();
        let bytes = known.bytes + request.wrapped.len();
        if known.waiting.len() >= HELD_MAX || bytes > HELD_BYTES_MAX {
            return Err(request);
        }
        known.bytes = bytes;
        known.waiting.push(Waiting { request, before, until: Some(now + AFTER_WAIT_MAX) });
        Ok(())
    }

    /// Whether any of these is known to have failed.
    pub(super) fn has_failed(&self, ids: &[MsgId]) -> bool {
        self.0.as_ref().is_some_and(|known| ids.iter().any(|id| known.failed.contains(id)))
    }

    /// A query is done; returns those that waited for nothing else, oldest first.
    pub(super) fn done(&mut self, id: MsgId, is_ok: bool) -> Vec<Released> {
        if !is_ok {
            let known = self.0.get_or_insert_default();
            known.failed.insert(id);
            if known.failed.len() > FAILED_MAX {
                known.failed.pop_first();
            }
        }
        let Some(known) = &mut self.0 else { return Vec::new() };
        let concerns = |waiting: &mut Waiting| {
            waiting.before.remove(&id) && (waiting.before.is_empty() || !is_ok)
        };
        let bytes = &mut known.bytes;
        let released = known.waiting.extract_if(.., concerns).map(|Waiting { request, .. }| {
            *bytes -= request.wrapped.len();
            if is_ok { Released::Ready(request) } else { Released::Failed(request) }
        });
        released.collect()
    }

    /// Takes a query that has waited too long for one that `is_known` does not know.
    pub(super) fn take_overdue(
        &mut self,
        now: Instant,
        is_known: impl Fn(MsgId) -> bool,
    ) -> Option<Request> {
        let known = self.0.as_mut()?;
        for waiting in &mut known.waiting {
            let is_due = waiting.until.is_some_and(|until| until <= now);
            if is_due && waiting.before.iter().all(|id| is_known(*id)) {
                waiting.until = None;
            }
        }
        let is_due = |it: &Waiting| it.until.is_some_and(|until| until <= now);
        let index = known.waiting.iter().position(is_due)?;
        let request = known.waiting.remove(index).request;
        known.bytes -= request.wrapped.len();
        Some(request)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.as_ref()?.waiting.iter().filter_map(|waiting| waiting.until).min()
    }
}
