//! Keepalive: a ping now and then, and what it means when no pong comes.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::output::PingId;
use crate::LinkId;

/// The most pings that wait for a pong; the oldest is given up for a further one.
pub const PINGS_MAX: usize = 64;

/// When a client pings, and how long it waits.
// req: S30
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PingConfig {
    /// Time between two pings of the keepalive.
    pub interval: Duration,
    /// After how long without another ping the server is to close the link, in whole seconds.
    pub disconnect_delay: Duration,
    /// How long a link may be silent while a pong is due.
    pub pong_timeout: Duration,
}

impl Default for PingConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            disconnect_delay: Duration::from_secs(75),
            pong_timeout: Duration::from_secs(15),
        }
    }
}

/// The pings of a session.
#[derive(Debug)]
pub(super) struct Pings {
    config: PingConfig,
    last: u64,
    /// Wanted by the caller and not sent yet.
    wanted: VecDeque<PingId>,
    /// When the keepalive pings next; `None` while there is no link.
    due: Option<Instant>,
    /// Links that the keepalive is to ping, with how long each may then be silent.
    probes: BTreeMap<LinkId, Duration>,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    ping: PingId,
    link: LinkId,
    is_keepalive: bool,
    /// How long the link may be silent from now on.
    limit: Duration,
    sent: Instant,
    /// When the link was last heard of, but not before the ping.
    heard: Instant,
}

impl Pings {
    pub(super) fn new(config: PingConfig) -> Self {
        let (wanted, waiting) = (VecDeque::new(), VecDeque::new());
        Self { config, last: 0, wanted, due: None, probes: BTreeMap::new(), waiting }
    }

    /// A ping that the caller wants, as soon as there is a link.
    pub(super) fn want(&mut self) -> PingId {
        if self.wanted.len() >= PINGS_MAX {
            self.wanted.pop_front();
        }
        let ping = self.next();
        self.wanted.push_back(ping);
        ping
    }

    /// The keepalive begins at once on a new link: it tells the server that we are there.
    pub(super) fn link_attached(&mut self, link: LinkId, now: Instant) {
        self.probe(link, self.config.pong_timeout);
        self.due.get_or_insert(now + self.config.interval);
    }

    /// Lets the keepalive ping all links when it is due: the server closes one that it hears none
    /// from. Tells whether it is.
    // req: S30
    pub(super) fn keep_alive(&mut self, links: &[LinkId], now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = Some(now + self.config.interval);
            links.iter().for_each(|link| self.probe(*link, self.config.pong_timeout));
        }
        is_due
    }

    /// A link is to show within `limit` that it is alive.
    pub(super) fn probe(&mut self, link: LinkId, limit: Duration) {
        self.probes.insert(link, limit);
    }

    /// A link that the keepalive has to ping, of those that `can_send`.
    pub(super) fn next_probe(&self, can_send: impl Fn(LinkId) -> bool) -> Option<LinkId> {
        self.probes.keys().copied().find(|link| can_send(*link))
    }

    pub(super) fn link_detached(&mut self, link: LinkId, is_last: bool) {
        self.probes.remove(&link);
        self.waiting.retain(|waiting| waiting.link != link);
        if is_last {
            self.due = None;
        }
    }

    /// Another session begins: no pong of this one will come in it, so what the caller wants goes
    /// out again, and the server has to be told of us.
    pub(super) fn restart(&mut self, now: Instant) {
        let waiting = std::mem::take(&mut self.waiting).into_iter().rev();
        for lost in waiting.filter(|waiting| !waiting.is_keepalive) {
            self.wanted.push_front(lost.ping);
        }
        self.wanted.truncate(PINGS_MAX);
        self.due = self.due.map(|_| now);
    }

    /// Something has come over `link`, so it is alive.
    pub(super) fn heard(&mut self, link: LinkId, now: Instant) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.link == link) {
            waiting.heard = now;
        }
    }

    /// The ping to be sent over `link` now, if one is due, and the `disconnect_delay` that it
    /// carries in seconds.
    pub(super) fn take_due(&mut self, link: LinkId, now: Instant) -> Option<(PingId, Option<i32>)> {
        let probed = self.probes.remove(&link);
        let (ping, delay) = if probed.is_some() {
            let delay = i32::try_from(self.config.disconnect_delay.as_secs()).unwrap_or(i32::MAX);
            (self.next(), Some(delay))
        } else {
            (self.wanted.pop_front()?, None)
        };
        if self.waiting.len() >= PINGS_MAX {
            self.waiting.pop_front();
        }
        let is_keepalive = delay.is_some();
        let limit = probed.unwrap_or(self.config.pong_timeout);
        self.waiting.push_back(Waiting { ping, link, is_keepalive, limit, sent: now, heard: now });
        Some((ping, delay))
    }

    /// A pong came; the link and the time the ping took.
    pub(super) fn pong(&mut self, ping: PingId, now: Instant) -> Option<(LinkId, Duration)> {
        let index = self.waiting.iter().position(|waiting| waiting.ping == ping)?;
        let waiting = self.waiting.remove(index)?;
        Some((waiting.link, now.saturating_duration_since(waiting.sent)))
    }

    /// The server refused a ping: it goes out again, that of the keepalive as another.
    pub(super) fn refused(&mut self, ping: PingId) {
        let refused = self.waiting.iter().position(|waiting| waiting.ping == ping);
        let Some(refused) = refused.and_then(|index| self.waiting.remove(index)) else { return };
        if refused.is_keepalive {
            self.probe(refused.link, refused.limit);
        } else {
            self.wanted.push_front(ping);
        }
    }

    /// Takes a link that is silent while it owes a pong.
    pub(super) fn take_silent(&mut self, now: Instant) -> Option<LinkId> {
        let is_silent = |waiting: &&Waiting| waiting.heard + waiting.limit <= now;
        let link = self.waiting.iter().find(is_silent)?.link;
        self.waiting.retain(|waiting| waiting.link != link);
        Some(link)
    }

    /// When a ping is due, or a pong overdue.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let silence = self.waiting.iter().map(|waiting| waiting.heard + waiting.limit);
        self.due.into_iter().chain(silence).min()
    }

    /// A number for a ping.
    pub(super) fn next(&mut self) -> PingId {
        self.last += 1;
        PingId(self.last)
    }
}
