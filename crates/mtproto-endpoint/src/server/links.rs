//! Links: what each carries, and how it ends.

use std::collections::VecDeque;

use mtproto_frame::{Outbound, TransportError};
use mtproto_session::LinkId;

use super::exchanges::ExchangeRef;
use super::{CloseReason, Output, ServerEndpoint, SessionRef};

/// What the endpoint knows of a link.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Those that it carries, oldest first.
    pub(super) sessions: VecDeque<SessionRef>,
    /// Those that it began, oldest first.
    pub(super) exchanges: VecDeque<ExchangeRef>,
}

impl ServerEndpoint {
    /// A link is gone, or is about to be closed; `false` if it was before. Its sessions stay. The
    /// one place where a link ends.
    pub(super) fn drop_link(&mut self, link: LinkId) -> bool {
        let Some(lost) = self.links.remove(&link) else { return false };
        for session in lost.sessions {
            self.detach(session, link);
        }
        true
    }

    pub(super) fn close(&mut self, link: LinkId, reason: CloseReason) {
        if self.drop_link(link) {
            self.outputs.push_back(Output::Close { link, reason });
        }
    }

    /// Tells the peer what is wrong and closes. Every refusal looks alike.
    // req: S114
    pub(super) fn refuse(&mut self, link: LinkId, error: TransportError) {
        self.send(link, Outbound::Error(error));
        self.close(link, CloseReason::Refused(error));
    }

    /// Writes to a link unless it is gone.
    pub(super) fn send(&mut self, link: LinkId, item: Outbound) {
        if self.links.contains_key(&link) {
            self.outputs.push_back(Output::Send { link, item });
        }
    }
}
