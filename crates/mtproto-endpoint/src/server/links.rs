//! Links: what each carries, and how it ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mtproto_frame::{Outbound, TransportError};
use mtproto_session::LinkId;
use smallvec::SmallVec;

use super::exchanges::ExchangeRef;
use super::{CloseReason, Event, Output, ServerEndpoint, SessionRef};

/// What the endpoint knows of a link.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Those that it carries, oldest first. Nearly all carry one.
    pub(super) sessions: SmallVec<[SessionRef; 1]>,
    /// Those that it began, oldest first. Most links begin none, and none for long.
    #[expect(clippy::box_collection, reason = "the table of links has much room")]
    pub(super) exchanges: Option<Box<VecDeque<ExchangeRef>>>,
    /// When it is closed, because one of its sessions wanted that last.
    disconnect_at: Option<Instant>,
    turn: Turn,
}

impl Link {
    /// Forgets the exchanges that it began and that are `over`.
    pub(super) fn forget_exchanges(&mut self, over: impl Fn(ExchangeRef) -> bool) {
        if let Some(begun) = &mut self.exchanges {
            begun.retain(|name| !over(*name));
        }
        self.exchanges.take_if(|begun| begun.is_empty());
    }
}

/// When a link may be written to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Turn {
    /// At any time.
    #[default]
    Always,
    /// Once: a packet waits for its answer.
    Ours,
    /// Not before its next packet.
    Theirs,
}

impl ServerEndpoint {
    /// A link is gone, or is about to be closed; `false` if it was before. Its sessions stay. The
    /// one place where a link ends.
    pub(super) fn drop_link(&mut self, link: LinkId) -> bool {
        let Some(mut lost) = self.links.remove(&link) else { return false };
        self.disconnects.set(link, &mut lost.disconnect_at, None);
        for session in lost.sessions {
            self.detach(session, link);
        }
        true
    }

    /// Closes a link. No packet is left without an answer, so the last may get an error.
    pub(super) fn close(&mut self, link: LinkId, reason: CloseReason) {
        if self.awaits_answer(link) {
            self.send(link, Outbound::Error(TransportError::NotFound));
        }
        if self.drop_link(link) {
            self.outputs.push_back(Output::Close { link, reason });
        }
    }

    /// Closes a link when so much time has passed, unless it is told another one meanwhile.
    // req: S29
    pub(super) fn close_after(&mut self, link: LinkId, delay: Duration) {
        if let Some(state) = self.links.get_mut(&link) {
            let at = self.now + delay;
            self.disconnects.set(link, &mut state.disconnect_at, Some(at));
            self.outputs.push_back(Output::Event(Event::LinkTimer(link, at)));
        }
    }

    /// Tells the peer what is wrong and closes. Every refusal looks alike.
    // req: S114
    pub(super) fn refuse(&mut self, link: LinkId, error: TransportError) {
        self.send(link, Outbound::Error(error));
        self.close(link, CloseReason::Refused(error));
    }

    /// A packet that came over the link waits for exactly one answer; `false` if one does already,
    /// so that nobody could tell which of them is answered.
    // req: S85
    pub(super) fn begin_turn(&mut self, link: LinkId) -> bool {
        let turn =
            self.links.get_mut(&link).map(|state| std::mem::replace(&mut state.turn, Turn::Ours));
        turn != Some(Turn::Ours)
    }

    /// Whether a packet of the link waits for its answer.
    pub(super) fn awaits_answer(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|state| state.turn == Turn::Ours)
    }

    /// Writes to a link unless it is gone. One that takes turns is written to once for each of its
    /// packets.
    // req: S85
    pub(super) fn send(&mut self, link: LinkId, item: Outbound) {
        let Some(state) = self.links.get_mut(&link) else { return };
        match (state.turn, &item) {
            (Turn::Always, _) => (),
            (Turn::Ours, Outbound::Packet { .. } | Outbound::Error(_)) => state.turn = Turn::Theirs,
            (Turn::Ours, Outbound::QuickAck(_)) | (Turn::Theirs, _) => return,
        }
        self.outputs.push_back(Output::Send { link, item });
    }
}

#[cfg(test)]
impl ServerEndpoint {
    /// Checks that the moments at which links are closed are noted alike on both sides.
    pub(super) fn assert_links_sound(&self) {
        let closing = self.links.values().filter(|link| link.disconnect_at.is_some()).count();
        assert_eq!(self.disconnects.len(), closing, "links that are to be closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known of a link that carries a session, in bytes. The table has room for up to twice
    /// as many.
    const LINK_LEN_MAX: usize = 56;

    #[test]
    fn an_idle_link_is_small() {
        assert!(size_of::<Link>() <= LINK_LEN_MAX, "{} bytes", size_of::<Link>());
    }
}
