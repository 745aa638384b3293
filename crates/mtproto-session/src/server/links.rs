//! The links of a server session.

use crate::LinkId;

/// The most links of one session. A further one takes the place of the oldest, which still gets the
/// answers to its own service messages.
pub const LINKS_MAX: usize = 16;

/// The links that showed the session a new message, oldest first.
#[derive(Debug, Default)]
pub(super) struct Links {
    attached: Vec<LinkId>,
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
        self.attached.push(link);
        true
    }

    pub(super) fn detach(&mut self, link: LinkId) {
        self.attached.retain(|attached| *attached != link);
    }

    /// The one that answers go to.
    // req: L19
    pub(super) fn newest(&self) -> Option<LinkId> {
        self.attached.last().copied()
    }

    pub(super) fn contains(&self, link: LinkId) -> bool {
        self.attached.contains(&link)
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = LinkId> {
        self.attached.iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }
}
