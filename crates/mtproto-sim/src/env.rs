//! What every part of the world shares: time, the agenda, the links, the books and the dice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_auth::is_plain;
use mtproto_frame::Outbound;
use mtproto_tl::ServerTime;

use crate::agenda::{Agenda, Event};
use crate::dice::Dice;
use crate::faults::Plan;
use crate::invariants::Books;
use crate::net::{LinkNo, Net, Way};
use crate::store::Store;
use crate::trace::Trace;

/// How many packets somebody who listens to all links remembers.
const RECORDED_MAX: usize = 512;

/// Outputs of one machine between two inputs. More is a machine that spins.
pub(crate) const OUTPUTS_MAX: usize = 100_000;

/// What the parts of the world share.
pub(crate) struct Env<'a> {
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) plan: Plan,
    pub(crate) agenda: Agenda,
    pub(crate) net: Net,
    pub(crate) store: Store,
    pub(crate) books: Books,
    pub(crate) dice: Dice,
    pub(crate) trace: Option<Trace<'a>>,
    pub(crate) recorded: VecDeque<Recorded>,
    /// Nothing goes wrong any more.
    pub(crate) is_quiet: bool,
}

/// A packet that somebody listened to.
#[derive(Clone)]
pub(crate) struct Recorded {
    pub(crate) link: LinkNo,
    pub(crate) way: Way,
    pub(crate) payload: Bytes,
}

impl Env<'_> {
    /// The time on the server.
    pub(crate) fn server_time(&self) -> ServerTime {
        ServerTime::from_unix(BEGINNING + (self.now - self.start))
    }

    pub(crate) fn later(&mut self, delay: Duration, event: Event) {
        self.agenda.add(self.now + delay, event);
    }

    /// A machine sends something.
    pub(crate) fn transmit(&mut self, link: LinkNo, way: Way, item: &Outbound) {
        if let Outbound::Packet { payload, .. } = item {
            self.books.sent(payload);
            if !is_plain(payload) {
                if self.recorded.len() >= RECORDED_MAX {
                    self.recorded.pop_front();
                }
                self.recorded.push_back(Recorded {
                    link,
                    way,
                    payload: payload.clone().into_bytes(),
                });
            }
        }
        if let Some(trace) = &mut self.trace {
            let who = self.net.owner(link).map(|owner| owner.client);
            trace.item((self.now - self.start, who, link, way), item, &self.store);
        }
        self.net.send(link, way, item);
    }

    /// What was sent since the last time goes on its way.
    pub(crate) fn flush(&mut self) {
        for (at, link, way) in self.net.flush(self.now, &mut self.dice) {
            self.agenda.add(at, Event::Arrive(link, way));
        }
    }

    /// One side leaves a link in good order.
    pub(crate) fn close(&mut self, link: LinkNo, way: Way) {
        self.flush();
        if let Some(at) = self.net.close(link, way, self.now) {
            self.agenda.add(at, Event::Arrive(link, way));
        }
    }

    /// A link breaks; each side notices at once or after a while.
    pub(crate) fn cut(&mut self, link: LinkNo) {
        self.flush();
        let notices = Way::BOTH.map(|_| match self.dice.below(3) {
            0 => Duration::ZERO,
            1 => self.dice.ms(0..=1_000),
            _ => self.dice.ms(0..=40_000),
        });
        for (at, link, way) in self.net.cut(link, notices, self.now, &mut self.dice) {
            self.agenda.add(at, Event::Arrive(link, way));
        }
        self.note(|| format!("link {} is cut", link.0));
    }

    /// Writes down what happened, if somebody reads it.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.note(self.now - self.start, &text());
        }
    }
}

/// The server's clock at the beginning.
pub(crate) const BEGINNING: Duration = Duration::from_secs(1_700_000_000);
