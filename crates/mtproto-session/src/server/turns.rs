//! Packets that wait for an answer, and what goes into it: the session over HTTP.

use std::time::Instant;

use mtproto_tl::MsgId;
use mtproto_tl::types::HttpWait;

use super::ServerSession;
use super::links::Links;
use super::outbox::Entry;
use crate::notices::{Manner, Notice};
use crate::packet::Packet;
use crate::{LinkId, LongPoll, News, Outgoing};

/// The most packets of one session that wait for an answer at a time. A link that brings one more
/// must close.
pub const TURNS_MAX: usize = 32;

/// How often a message that nobody acknowledges ends the wait of a packet. From then on it goes
/// along when something else does, or when the wait is over, so that a client that acknowledges
/// late or never is not answered without a pause.
pub const TURN_SENDS_MAX: u8 = 3;

/// The packets of a session that wait for an answer, oldest first. There is one at most for each
/// link.
#[derive(Debug, Default)]
pub(super) struct Turns {
    open: Vec<Turn>,
}

#[derive(Debug)]
struct Turn {
    link: LinkId,
    poll: LongPoll,
    /// The highest id of ours when it came: what is not above was there before.
    above: MsgId,
    /// It waits for nothing but the answers to its own queries.
    is_released: bool,
}

impl Turns {
    /// Whether a packet of `link` may wait.
    pub(super) fn has_room(&self, link: LinkId) -> bool {
        self.open.len() < TURNS_MAX || self.is_open(link)
    }

    /// A packet of `link` waits for an answer. `above` is the highest id of ours till then.
    pub(super) fn open(&mut self, link: LinkId, poll: LongPoll, above: MsgId) {
        self.close(link);
        // Nearly all sessions have one.
        self.open.reserve_exact(1);
        self.open.push(Turn { link, poll, above, is_released: false });
    }

    /// The packet of `link` is answered, or nobody waits for that.
    pub(super) fn close(&mut self, link: LinkId) {
        self.open.retain(|turn| turn.link != link);
        if self.open.is_empty() {
            self.open = Vec::new();
        }
    }

    /// Whether a packet of `link` waits.
    pub(super) fn is_open(&self, link: LinkId) -> bool {
        self.open.iter().any(|turn| turn.link == link)
    }

    /// Lets all of them wait for nothing but the answers to their own queries.
    pub(super) fn release(&mut self) {
        self.open.iter_mut().for_each(|turn| turn.is_released = true);
    }

    fn first(&self) -> Option<LinkId> {
        self.open.first().map(|turn| turn.link)
    }

    /// The one that gets what is not for one of them: of those that the client holds open for that
    /// the oldest, else the oldest.
    fn preferred(&self, links: &Links) -> Option<LinkId> {
        let mut attached = self.open.iter().filter(|turn| links.contains(turn.link));
        let oldest = attached.clone().next();
        attached.find(|turn| turn.poll.is_governed()).or(oldest).map(|turn| turn.link)
    }
}

/// How something leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// Over this link, whenever it is ready.
    Stream(LinkId),
    /// In answer to the packet of this link.
    Turn(LinkId),
    /// In answer to any packet of the session.
    AnyTurn,
    /// It stays: there is no link.
    Nowhere,
}

/// Who knows how something leaves.
#[derive(Clone, Copy)]
pub(super) struct Ways<'a> {
    pub(super) links: &'a Links,
    pub(super) turns: &'a Turns,
}

impl Ways<'_> {
    /// How a message that is ready leaves. What the client asked for over a link goes there, while
    /// it can; all else to the newest link.
    // req: S5, S85, S91, S93
    pub(super) fn of_message(self, entry: &Entry) -> Way {
        if let Some(claimed) = entry.link
            && (self.turns.is_open(claimed) || entry.sends > 0 && !self.links.takes_turns(claimed))
        {
            return self.of_link(claimed);
        }
        match self.links.newest().or(entry.link) {
            None => Way::Nowhere,
            Some(_) if self.links.take_turns() => Way::AnyTurn,
            Some(link) => Way::Stream(link),
        }
    }

    /// How what is for `link` leaves.
    pub(super) fn of_link(self, link: LinkId) -> Way {
        match self.turns.is_open(link) {
            true => Way::Turn(link),
            false if self.links.takes_turns(link) => Way::AnyTurn,
            false => Way::Stream(link),
        }
    }
}

impl ServerSession {
    /// Answers every packet that waits, with nothing if there is nothing to say, apart from those
    /// whose own queries are being carried out: these are answered with the first answer. For a
    /// server that is about to stop.
    // req: S90
    pub fn release_turns(&mut self, now: Instant) {
        self.now = now;
        self.turns.release();
    }

    /// The last answers to all packets that wait: the session is about to be forgotten.
    pub fn end_turns(&mut self, now: Instant) -> Vec<Outgoing> {
        self.now = now;
        std::iter::from_fn(|| self.answer_turn(self.turns.first()?)).collect()
    }

    /// A packet of `link` waits for an answer from now on, as long as its `http_wait` says.
    pub(super) fn open_turn(&mut self, link: LinkId, wait: Option<HttpWait>) {
        self.turns.open(link, LongPoll::new(self.now, wait), self.ids.last());
    }

    /// Answers a packet whose time has come.
    pub(super) fn answer_due_turn(&mut self) -> Option<Outgoing> {
        let now = self.now;
        let (link, _) = self.turn_dues().find(|(_, due)| *due <= now)?;
        self.answer_turn(link)
    }

    /// When the next packet is to be answered, if nothing more comes.
    pub(super) fn turn_deadline(&self) -> Option<Instant> {
        self.turn_dues().map(|(_, due)| due).min()
    }

    /// Answers the packet of `link`: with what is for it, with what is for any, or with nothing.
    // req: S61, S65, S85, S88, S90, S91
    fn answer_turn(&mut self, link: LinkId) -> Option<Outgoing> {
        let mut packet = Packet::default();
        // A link that has only shown a duplicate may be anybody's.
        let is_attached = self.links.contains(link);
        let is_alone = self.add_alone(&mut packet, Way::Turn(link))
            || is_attached && self.add_alone(&mut packet, Way::AnyTurn);
        if !is_alone {
            self.add(&mut packet, link, Way::Turn(link));
            if is_attached {
                self.add(&mut packet, link, Way::AnyTurn);
                self.add_acks(link, &mut packet, true);
            }
        }
        if !is_attached {
            self.desk.iter_mut().for_each(|desk| desk.notices.forget_link(link));
        }
        self.turns.close(link);
        if packet.is_empty() {
            packet.wrap();
        }
        self.finish(link, packet)
    }

    /// When each of the packets that wait is to be answered.
    fn turn_dues(&self) -> impl Iterator<Item = (LinkId, Instant)> {
        let preferred = self.turns.preferred(&self.links);
        self.turns.open.iter().map(move |turn| {
            let waits = self.links.contains(turn.link)
                && (!turn.is_released || self.requests.any_running_of(turn.link));
            let due = match waits {
                true => turn.poll.due(&self.news(turn, preferred == Some(turn.link))),
                false => turn.poll.opened(),
            };
            (turn.link, due)
        })
    }

    /// What there is to say in a turn; what is for any of them counts in the `preferred` one.
    fn news(&self, turn: &Turn, is_preferred: bool) -> News {
        let ways = Ways { links: &self.links, turns: &self.turns };
        let counts = |way| way == Way::Turn(turn.link) || is_preferred && way == Way::AnyTurn;
        let mut news = News::default();
        for entry in self.outbox.ready() {
            let way = ways.of_message(entry);
            if !counts(way) || way == Way::AnyTurn && entry.sends >= TURN_SENDS_MAX {
                continue;
            }
            if entry.message.id <= turn.above {
                news.add_old();
            } else {
                news.add(entry.queued, entry.answers.is_some());
            }
        }
        for Notice { link, manner, since, .. } in
            self.desk.iter().flat_map(|desk| desk.notices.iter())
        {
            if *manner != Manner::Along && counts(ways.of_link(*link)) {
                news.add(*since, true);
            }
        }
        news
    }
}
