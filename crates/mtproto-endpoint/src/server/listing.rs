//! What sessions there are, for whoever looks after the server.

use mtproto_session::LinkId;
use mtproto_tl::{AuthKeyId, ServerTime};

use super::keys::{Key, Session};
use super::{ServerEndpoint, SessionRef};

/// Sessions described in one go, so that nobody waits long for the others.
pub const SESSIONS_PAGE_MAX: usize = 256;

/// A session that a client has begun, as it is at this moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionInfo {
    /// Its name.
    pub name: SessionRef,
    /// The permanent key on whose behalf it speaks: its own, or the one its temporary key is bound
    /// to. `None` while a temporary key is not bound.
    pub identity: Option<AuthKeyId>,
    /// The links that carry it, oldest first. Answers go to the last.
    pub links: Vec<LinkId>,
    /// Queries that are being carried out.
    pub running_requests: usize,
    /// Messages that wait to be acknowledged.
    pub queued_messages: usize,
    /// Bytes of these.
    pub queued_bytes: usize,
    /// When its first packet came.
    pub created: ServerTime,
    /// When its last packet came.
    pub last_active: ServerTime,
}

impl ServerEndpoint {
    /// Describes sessions in the order of their names, [`SESSIONS_PAGE_MAX`] at most: the first
    /// ones, or those that come after `after`. None are left if it returns none. Between two calls
    /// sessions may come and go; one that stays is told of once.
    #[must_use]
    pub fn sessions(&self, after: Option<SessionRef>) -> Vec<SessionInfo> {
        let sessions = self.keys.sessions_after(after);
        let begun = sessions.filter(|(_, _, session)| session.machine.is_established());
        let page = begun.take(SESSIONS_PAGE_MAX);
        page.map(|(name, key, session)| self.describe(name, key, session)).collect()
    }

    fn describe(&self, name: SessionRef, key: &Key, session: &Session) -> SessionInfo {
        let Session { machine, created, last_packet, .. } = session;
        SessionInfo {
            name,
            identity: key.identity(),
            links: machine.links().collect(),
            running_requests: machine.running_requests(),
            queued_messages: machine.queued_messages(),
            queued_bytes: machine.queued_bytes(),
            created: *created,
            last_active: *last_packet,
        }
    }
}
