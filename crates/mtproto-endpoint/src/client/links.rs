//! The links to the server: those being opened and those that are open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use mtproto_session::LinkId;

use super::dialing::STABLE_MIN;

/// How many links one endpoint may want.
pub const LINKS_MAX: usize = 8;

/// Links, by the names that the endpoint gives them.
#[derive(Debug, Default)]
pub(super) struct Links {
    last: u64,
    dialing: BTreeSet<LinkId>,
    open: BTreeMap<LinkId, Link>,
}

/// An open link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    opened: Instant,
    /// Whether a packet came over it that only the server can have sealed.
    proven: bool,
    /// Whether each packet sent over it brings exactly one item.
    takes_turns: bool,
}

impl Link {
    /// Whether it was worth dialing.
    pub(super) fn was_stable(&self, now: Instant) -> bool {
        self.proven && self.opened + STABLE_MIN <= now
    }

    /// When it opened.
    pub(super) fn opened(&self) -> Instant {
        self.opened
    }
}

impl Links {
    /// Names a link that is to be dialed.
    pub(super) fn dial(&mut self) -> LinkId {
        self.last += 1;
        let id = LinkId(self.last);
        self.dialing.insert(id);
        id
    }

    /// Records that a dialed link is open; false if nobody wants it any more.
    pub(super) fn opened(&mut self, id: LinkId, takes_turns: bool, now: Instant) -> bool {
        let wanted = self.dialing.remove(&id);
        if wanted {
            self.open.insert(id, Link { opened: now, proven: false, takes_turns });
        }
        wanted
    }

    /// Records that a dial failed; false if nobody waits for it any more.
    pub(super) fn dial_failed(&mut self, id: LinkId) -> bool {
        self.dialing.remove(&id)
    }

    /// Forgets an open link.
    pub(super) fn end(&mut self, id: LinkId) -> Option<Link> {
        self.open.remove(&id)
    }

    /// Gives up every dial.
    pub(super) fn stop_dialing(&mut self) {
        self.dialing.clear();
    }

    /// Records that a packet of the server came over it.
    pub(super) fn prove(&mut self, id: LinkId) {
        if let Some(link) = self.open.get_mut(&id) {
            link.proven = true;
        }
    }

    /// Whether the link is open.
    pub(super) fn is_open(&self, id: LinkId) -> bool {
        self.open.contains_key(&id)
    }

    /// Whether each packet sent over the link brings exactly one item.
    pub(super) fn takes_turns(&self, id: LinkId) -> bool {
        self.open.get(&id).is_some_and(|link| link.takes_turns)
    }

    /// Whether a link is open over which the server has spoken.
    pub(super) fn is_proven(&self) -> bool {
        self.open.values().any(|link| link.proven)
    }

    /// Whether any link is open.
    pub(super) fn any_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The open links, oldest first.
    pub(super) fn open(&self) -> impl Iterator<Item = LinkId> {
        self.open.keys().copied()
    }

    /// Whether a link is being opened.
    pub(super) fn is_dialing(&self) -> bool {
        !self.dialing.is_empty()
    }

    /// How many links there are, or will be.
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.dialing.len()
    }
}
