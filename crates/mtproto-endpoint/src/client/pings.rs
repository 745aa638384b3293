//! Pings that the application waits for. Like a request, one outlives links and sessions.

use std::collections::BTreeMap;

use mtproto_session::PingId as SessionPingId;

use super::{Misuse, PingId};

/// How many pings may wait for a pong at a time.
pub const PINGS_MAX: usize = 64;

/// Pings without a pong.
#[derive(Debug, Default)]
pub(super) struct Pings {
    last: u64,
    /// With the current session's name for each; `None` while it has none on its way.
    entries: BTreeMap<PingId, Option<SessionPingId>>,
}

impl Pings {
    /// Accepts a ping.
    pub(super) fn add(&mut self) -> Result<PingId, Misuse> {
        if self.entries.len() >= PINGS_MAX {
            return Err(Misuse::TooManyPings);
        }
        self.last += 1;
        let ping = PingId(self.last);
        self.entries.insert(ping, None);
        Ok(ping)
    }

    /// Forgets a ping.
    pub(super) fn remove(&mut self, ping: PingId) {
        self.entries.remove(&ping);
    }

    /// A ping that no session has.
    pub(super) fn first_waiting(&self) -> Option<PingId> {
        self.entries.iter().find(|(_, handed_as)| handed_as.is_none()).map(|(ping, _)| *ping)
    }

    /// Records that the current session took the ping under its own name.
    pub(super) fn hand_over(&mut self, ping: PingId, handed_as: SessionPingId) {
        self.entries.insert(ping, Some(handed_as));
    }

    /// Records that a link is gone, or the session, and pings with it: all go out again.
    pub(super) fn take_back(&mut self) {
        self.entries.values_mut().for_each(|handed_as| *handed_as = None);
    }

    /// Ends the ping that the session calls `handed_as`; `None` if the application wanted none
    /// such.
    pub(super) fn finish(&mut self, handed_as: SessionPingId) -> Option<PingId> {
        let (ping, _) = self.entries.iter().find(|(_, it)| **it == Some(handed_as))?;
        let ping = *ping;
        self.entries.remove(&ping);
        Some(ping)
    }
}
