//! Links that take turns, as over HTTP: each packet of ours brings one item of the server, which
//! says nothing unless one of ours is open. So one always is: a long poll if nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mtproto_tl::types::HttpWait;

use crate::LinkId;

/// The most packets of a session that are open on one link: fewer than a link over HTTP has
/// connections, so that an exchange, or another session, finds one free.
pub const CLIENT_TURNS_MAX: usize = 5;

/// How long a long poll is held open while the server has nothing to say.
pub const POLL_WAIT: Duration = Duration::from_secs(25);

/// How long the server gathers messages for a long poll: as long as a ping takes, between these.
// req: S64
pub const POLL_DELAY_MIN: Duration = Duration::from_millis(30);
/// See [`POLL_DELAY_MIN`].
pub const POLL_DELAY_MAX: Duration = Duration::from_secs(1);

/// Time between two long polls if the first came to nothing sooner than that.
pub const POLL_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Lets the server answer at once.
pub(super) const AT_ONCE: HttpWait = HttpWait { max_delay: 0, wait_after: 0, max_wait: 0 };

/// The links of a session that take turns.
#[derive(Debug, Default)]
pub(super) struct Turns {
    links: BTreeMap<LinkId, Turn>,
    /// What a ping took last over such a link.
    round_trip: Duration,
}

#[derive(Debug, Default)]
struct Turn {
    /// Packets that are open.
    open: usize,
    /// When the last long poll left.
    polled: Option<Instant>,
    /// What came last brought nothing new.
    is_fruitless: bool,
}

impl Turns {
    /// A link is there.
    pub(super) fn attach(&mut self, link: LinkId) {
        self.links.insert(link, Turn::default());
    }

    /// A link, of whatever kind, is gone.
    pub(super) fn detach(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// Whether a link takes turns.
    pub(super) fn takes(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// Whether a packet may be sent over a link, of whatever kind.
    pub(super) fn has_room(&self, link: LinkId) -> bool {
        self.links.get(&link).is_none_or(|turn| turn.open < CLIENT_TURNS_MAX)
    }

    /// Whether the next packet is the last that may be sent before one has ended.
    pub(super) fn is_last(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|turn| turn.open + 1 >= CLIENT_TURNS_MAX)
    }

    /// Whether a long poll is to be sent: nothing is open.
    pub(super) fn wants_poll(&self, link: LinkId, now: Instant) -> bool {
        self.links
            .get(&link)
            .is_some_and(|turn| turn.open == 0 && turn.not_before().is_none_or(|at| at <= now))
    }

    /// When a long poll is to be sent that must not be yet.
    pub(super) fn deadline(&self, link: LinkId) -> Option<Instant> {
        self.links.get(&link).filter(|turn| turn.open == 0)?.not_before()
    }

    /// A packet leaves over a link, of whatever kind.
    pub(super) fn sent(&mut self, link: LinkId) {
        if let Some(turn) = self.links.get_mut(&link) {
            turn.open += 1;
        }
    }

    /// A long poll leaves.
    pub(super) fn polled(&mut self, link: LinkId, now: Instant) {
        if let Some(turn) = self.links.get_mut(&link) {
            turn.polled = Some(now);
        }
    }

    /// An item came over a link, of whatever kind: one packet is not open any more.
    pub(super) fn ended(&mut self, link: LinkId) {
        if let Some(turn) = self.links.get_mut(&link) {
            turn.open = turn.open.saturating_sub(1);
            turn.is_fruitless = true;
        }
    }

    /// The item that came last brought something new.
    pub(super) fn was_fruitful(&mut self, link: LinkId) {
        if let Some(turn) = self.links.get_mut(&link) {
            turn.is_fruitless = false;
        }
    }

    /// A ping over a link, of whatever kind, took so long.
    pub(super) fn measured(&mut self, link: LinkId, round_trip: Duration) {
        if self.takes(link) {
            self.round_trip = round_trip;
        }
    }

    /// What a long poll asks for: the longer the way, the more messages travel together.
    // req: S64
    pub(super) fn poll(&self) -> HttpWait {
        let max_delay = self.round_trip.clamp(POLL_DELAY_MIN, POLL_DELAY_MAX);
        let ms = |span: Duration| i32::try_from(span.as_millis()).unwrap_or(i32::MAX);
        HttpWait {
            max_delay: ms(max_delay),
            wait_after: ms(max_delay / 3),
            max_wait: ms(POLL_WAIT),
        }
    }
}

impl Turn {
    /// A server that answers long polls at once, with nothing, is not asked without a pause.
    fn not_before(&self) -> Option<Instant> {
        self.polled.filter(|_| self.is_fruitless).map(|polled| polled + POLL_INTERVAL_MIN)
    }
}
