//! The links of a server session.

use smallvec::SmallVec;

use crate::LinkId;

/// The most links of one session. A further one takes the place of the oldest, which still gets the
/// answers to its own service messages.
pub const LINKS_MAX: usize = 16;

/// The links that showed the session a new message, oldest first. Nearly always there is one, and
/// there are many sessions.
#[derive(Debug, Default)]
pub(super) struct Links {
    attached: SmallVec<[Attached; 1]>,
}

#[derive(Debug)]
struct Attached {
    link: LinkId,
    takes_turns: bool,
}

impl Links {
    /// Adds a link as the newest; returns whether it is a new one. A known one becomes the newest
    /// again if it `takes_turns` and the newest does not, or the other way round: the client has
    /// gone back to it.
    // req: S5
    pub(super) fn attach(&mut self, link: LinkId, takes_turns: bool) -> bool {
        let known = self.attached.iter().position(|attached| attached.link == link);
        if let Some(known) = known {
            if self.take_turns() != takes_turns {
                let again = self.attached.remove(known);
                self.attached.push(again);
            }
            return false;
        }
        if self.attached.len() >= LINKS_MAX {
            self.attached.remove(0);
        }
        self.attached.push(Attached { link, takes_turns });
        true
    }

    pub(super) fn detach(&mut self, link: LinkId) {
        self.attached.retain(|attached| attached.link != link);
    }

    /// The one that answers go to, unless the session goes on in turns.
    // req: L19
    pub(super) fn newest(&self) -> Option<LinkId> {
        self.attached.last().map(|attached| attached.link)
    }

    /// Whether the session goes on in turns: the newest link takes them.
    pub(super) fn take_turns(&self) -> bool {
        self.attached.last().is_some_and(|attached| attached.takes_turns)
    }

    /// Whether the link is there and takes turns.
    pub(super) fn takes_turns(&self, link: LinkId) -> bool {
        self.attached.iter().any(|attached| attached.link == link && attached.takes_turns)
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
}
