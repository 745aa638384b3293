//! What a client takes for one link in turns is as many connections as it has packets open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use mtproto_session::LinkId;
use mtproto_session::client::CLIENT_TURNS_MAX;

/// The connections that links in turns consist of, by the names that the server knows them by.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// Links that take turns.
    links: BTreeSet<LinkId>,
    last: u64,
    open: BTreeMap<LinkId, Connection>,
}

#[derive(Debug)]
struct Connection {
    /// As the client knows it.
    link: LinkId,
    /// `None` while a packet waits for its answer, else when that is there.
    free: Option<Instant>,
}

impl Connections {
    /// A link takes turns.
    pub(super) fn add(&mut self, link: LinkId) {
        self.links.insert(link);
    }

    /// Whether a link takes turns.
    pub(super) fn belong_to(&self, link: LinkId) -> bool {
        self.links.contains(&link)
    }

    /// Whether the server knows a connection by this name.
    pub(super) fn contain(&self, id: LinkId) -> bool {
        self.open.contains_key(&id)
    }

    /// A connection for a packet, and whether it is a new one.
    pub(super) fn take(&mut self, link: LinkId, now: Instant) -> (LinkId, bool) {
        let of_link = self.open.iter_mut().filter(|(_, it)| it.link == link);
        let mut free = of_link.filter(|(_, it)| it.free.is_some_and(|free| free <= now));
        if let Some((id, connection)) = free.next() {
            connection.free = None;
            return (*id, false);
        }
        self.last += 1;
        let id = LinkId(1000 + self.last);
        self.open.insert(id, Connection { link, free: None });
        let count = self.open.values().filter(|it| it.link == link).count();
        assert!(count <= CLIENT_TURNS_MAX + 1, "{count} connections");
        (id, true)
    }

    /// The packet of a connection is answered; the link, unless it is gone.
    pub(super) fn answered(&mut self, id: LinkId, free: Instant) -> Option<LinkId> {
        let connection = self.open.get_mut(&id)?;
        assert_eq!(connection.free.replace(free), None, "one answer for each packet");
        Some(connection.link)
    }

    /// The server closes a connection, which it may only once it has answered.
    pub(super) fn close(&mut self, id: LinkId) {
        let connection = self.open.remove(&id);
        assert!(connection.is_none_or(|it| it.free.is_some()), "no packet is left unanswered");
    }

    /// A link ends: its connections.
    pub(super) fn end(&mut self, link: LinkId) -> Vec<LinkId> {
        self.open.extract_if(.., |_, it| it.link == link).map(|(id, _)| id).collect()
    }
}
