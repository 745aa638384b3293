//! What is said once, to one link, and not kept: pongs, acknowledgements of states, refusals.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use mtproto_tl::{Author, Encode};

use crate::LinkId;

/// The most notices that wait for a drain. Beyond it they are not made: the client asks again.
pub const NOTICES_MAX: usize = 4096;

/// The most bytes of notices that wait for a drain.
pub const NOTICES_BYTES_MAX: usize = 1 << 20;

/// Room that is made for bodies at first, in bytes. A pong has 20.
const BODIES_LEN_MIN: usize = 64;

/// One message that needs no acknowledgement.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) link: LinkId,
    pub(crate) manner: Manner,
    /// When it was made.
    pub(crate) since: Instant,
    author: Author,
    /// Where its body is written.
    body: Range<usize>,
}

/// How a notice leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    /// In a packet of its own.
    Alone,
    /// With others, but it is no reason to answer a packet that is held open.
    Along,
    /// With others.
    Shared,
}

/// Notices that wait for the next drain, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    waiting: VecDeque<Notice>,
    /// The bodies of those that wait, and of some that have left before them.
    written: Vec<u8>,
    /// Bytes of those that wait.
    bytes: usize,
}

impl Notices {
    /// Says something to `link`.
    pub(crate) fn add(
        &mut self,
        link: LinkId,
        author: Author,
        object: &impl Encode,
        manner: Manner,
        since: Instant,
    ) {
        if self.written.len() > 2 * self.bytes + BODIES_LEN_MIN {
            self.compact();
        }
        if self.written.is_empty() {
            self.written.reserve(BODIES_LEN_MIN);
        }
        let start = self.written.len();
        object.encode(&mut self.written);
        let (end, bytes) = (self.written.len(), self.bytes + self.written.len() - start);
        if self.waiting.len() < NOTICES_MAX && bytes <= NOTICES_BYTES_MAX {
            self.bytes = bytes;
            self.waiting.push_back(Notice { link, manner, since, author, body: start..end });
        } else {
            self.written.truncate(start);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Gives all memory back once nothing waits.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Bytes that it has, in use or not.
    pub(crate) fn memory(&self) -> usize {
        self.waiting.capacity() * size_of::<Notice>() + self.written.capacity()
    }

    /// All that wait, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Notice> {
        self.waiting.iter()
    }

    /// Hands the first notice for a link that is `chosen` to `take` if it goes alone; returns
    /// whether it does.
    pub(crate) fn take_alone(
        &mut self,
        chosen: impl Fn(LinkId) -> bool,
        take: impl FnOnce(Author, &[u8]),
    ) -> bool {
        let Some(first) = self.waiting.iter().position(|notice| chosen(notice.link)) else {
            return false;
        };
        let notice = self.waiting.get(first).filter(|notice| notice.manner == Manner::Alone);
        let Some(notice) = notice else { return false };
        take(notice.author, self.body(notice));
        self.remove(first);
        self.forget_written();
        true
    }

    /// Hands the notices for links that are `chosen` to `take`, which returns whether it has room
    /// for it, oldest first until there is one that must go alone or has no room.
    pub(crate) fn take_shared(
        &mut self,
        chosen: impl Fn(LinkId) -> bool,
        mut take: impl FnMut(Author, &[u8]) -> bool,
    ) {
        let mut next = 0;
        while let Some(notice) = self.waiting.get(next) {
            if !chosen(notice.link) {
                next += 1;
            } else if notice.manner != Manner::Alone && take(notice.author, self.body(notice)) {
                self.remove(next);
            } else {
                break;
            }
        }
        self.forget_written();
    }

    /// Drops what was for a link that is gone.
    pub(crate) fn forget_link(&mut self, link: LinkId) {
        self.waiting.retain(|notice| notice.link != link);
        self.bytes = self.waiting.iter().map(|notice| notice.body.len()).sum();
        self.forget_written();
    }

    fn body(&self, notice: &Notice) -> &[u8] {
        self.written.get(notice.body.clone()).unwrap_or_default()
    }

    fn remove(&mut self, index: usize) {
        let removed = match index {
            0 => self.waiting.pop_front(),
            _ => self.waiting.remove(index),
        };
        self.bytes -= removed.map_or(0, |notice| notice.body.len());
    }

    /// Frees the room of those that have left.
    fn compact(&mut self) {
        let mut kept = Vec::with_capacity(self.bytes);
        for Notice { body, .. } in &mut self.waiting {
            let start = kept.len();
            kept.extend_from_slice(self.written.get(body.clone()).unwrap_or_default());
            *body = start..kept.len();
        }
        self.written = kept;
    }

    /// Once all have left, nothing that was written for them matters.
    fn forget_written(&mut self) {
        if self.waiting.is_empty() {
            self.written.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use mtproto_tl::types::Pong;
    use mtproto_tl::{Decode, MsgId};

    use super::*;
    use crate::tests::start;

    fn add(notices: &mut Notices, link: u64, ping_id: i64) {
        let pong = Pong { msg_id: MsgId(4), ping_id };
        notices.add(LinkId(link), Author::ServerReply, &pong, Manner::Shared, start());
    }

    fn taken(notices: &mut Notices, link: u64) -> Vec<i64> {
        let mut pings = Vec::new();
        notices.take_shared(
            |to| to == LinkId(link),
            |_, body| {
                pings.push(Pong::from_slice(body).expect("a pong").ping_id);
                true
            },
        );
        pings
    }

    #[test]
    fn one_link_may_wait_while_another_goes_on_for_ever() {
        let mut notices = Notices::default();
        (0..3).for_each(|ping| add(&mut notices, 1, ping));
        for ping in 0..10_000 {
            add(&mut notices, 2, ping);
            assert_eq!(taken(&mut notices, 2), [ping]);
        }
        assert!(notices.written.capacity() <= 1024, "{}", notices.written.capacity());
        assert_eq!(taken(&mut notices, 1), [0, 1, 2]);
        assert_eq!((notices.bytes, notices.written.len()), (0, 0));
        notices.rest();
        assert_eq!(notices.written.capacity(), 0);
    }

    #[test]
    fn beyond_the_bound_nothing_is_said() {
        let mut notices = Notices::default();
        (0..=NOTICES_MAX).for_each(|ping| add(&mut notices, 1, i64::try_from(ping).unwrap()));
        assert_eq!(taken(&mut notices, 1).len(), NOTICES_MAX);
    }
}
