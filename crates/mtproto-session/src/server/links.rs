//! The links of a server session.

use std::time::{Duration, Instant};

use crate::LinkId;

/// The most links of one session. A further one takes the place of the oldest, which still gets the
/// answers to its own service messages.
pub const LINKS_MAX: usize = 16;

/// The longest delay that a `ping_delay_disconnect` can ask for.
pub const DISCONNECT_DELAY_MAX: Duration = Duration::from_secs(3600);

/// The links that showed the session a new message, oldest first.
#[derive(Debug, Default)]
pub(super) struct Links {
    attached: Vec<Attached>,
}

#[derive(Debug)]
struct Attached {
    link: LinkId,
    disconnect_at: Option<Instant>,
}

impl Links {
    /// Adds a link as the newest; returns whether it is a new one.
    pub(super) fn attach(&mut self, link: LinkId) -> bool {
        if self.contains(link) {
            return false;
        }
        if self.attached.len() >= LINKS_MAX {
            self.attached.remove(0);
        }
        self.attached.push(Attached { link, disconnect_at: None });
        true
    }

    pub(super) fn detach(&mut self, link: LinkId) {
        self.attached.retain(|attached| attached.link != link);
    }

    /// The one that answers go to.
    // req: L19
    pub(super) fn newest(&self) -> Option<LinkId> {
        self.attached.last().map(|attached| attached.link)
    }

    pub(super) fn contains(&self, link: LinkId) -> bool {
        self.attached.iter().any(|attached| attached.link == link)
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = LinkId> {
        self.attached.iter().map(|attached| attached.link)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// Sets or resets the time at which the link is to be closed.
    // req: S29
    pub(super) fn disconnect_after(&mut self, link: LinkId, seconds: i32, now: Instant) {
        let delay = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let at = now + delay.min(DISCONNECT_DELAY_MAX);
        for attached in self.attached.iter_mut().filter(|attached| attached.link == link) {
            attached.disconnect_at = Some(at);
        }
    }

    /// Takes a link whose time has come; its timer will not go off again.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Option<LinkId> {
        let is_due = |attached: &&mut Attached| attached.disconnect_at.is_some_and(|at| at <= now);
        let attached = self.attached.iter_mut().find(is_due)?;
        attached.disconnect_at = None;
        Some(attached.link)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.attached.iter().filter_map(|attached| attached.disconnect_at).min()
    }
}
