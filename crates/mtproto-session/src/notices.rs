//! What is said once, to one link, and not kept: pongs, acknowledgements of states, refusals.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use mtproto_tl::{Author, Encode};

use crate::LinkId;

/// The most notices that wait for a drain. Beyond it they are not made: the client asks again.
pub const NOTICES_MAX: usize = 4096;

/// The most bytes of notices that wait for a drain.
pub const NOTICES_BYTES_MAX: usize = 1 << 20;

/// Room that is made for bodies at a time, in bytes. A pong has 20.
const BODIES_LEN: usize = 512;

/// Room that is made to write one down, in bytes. Few are longer.
const DRAFT_LEN: usize = 64;

/// One message that needs no acknowledgement.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) link: LinkId,
    pub(crate) body: Bytes,
    pub(crate) author: Author,
    pub(crate) manner: Manner,
    /// When it was made.
    pub(crate) since: Instant,
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
    bytes: usize,
    /// Room for further bodies, behind those that wait.
    bodies: BytesMut,
    /// What the last body was written to.
    draft: Vec<u8>,
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
        self.draft.clear();
        self.draft.reserve(DRAFT_LEN);
        object.encode(&mut self.draft);
        let len = self.draft.len();
        if self.waiting.len() < NOTICES_MAX && self.bytes + len <= NOTICES_BYTES_MAX {
            self.bytes += len;
            let body = self.keep_draft();
            self.waiting.push_back(Notice { link, body, author, manner, since });
        }
    }

    /// Pongs come in crowds, so many of them share one piece of memory.
    fn keep_draft(&mut self) -> Bytes {
        if self.bodies.capacity() < self.draft.len() {
            self.bodies = BytesMut::with_capacity(self.draft.len().max(BODIES_LEN));
        }
        self.bodies.extend_from_slice(&self.draft);
        self.bodies.split().freeze()
    }

    /// All that wait, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Notice> {
        self.waiting.iter()
    }

    /// Takes the first notice for a link that is `chosen` if it goes alone.
    pub(crate) fn take_alone(&mut self, chosen: impl Fn(LinkId) -> bool) -> Option<Notice> {
        self.take_first_if(chosen, |first| first.manner == Manner::Alone)
    }

    /// Takes the first notice for a link that is `chosen` if it need not go alone and satisfies
    /// `fits`.
    pub(crate) fn take_next(
        &mut self,
        chosen: impl Fn(LinkId) -> bool,
        fits: impl FnOnce(usize) -> bool,
    ) -> Option<Notice> {
        self.take_first_if(chosen, |first| first.manner != Manner::Alone && fits(first.body.len()))
    }

    fn take_first_if(
        &mut self,
        chosen: impl Fn(LinkId) -> bool,
        is_wanted: impl FnOnce(&Notice) -> bool,
    ) -> Option<Notice> {
        let first = self.waiting.iter().position(|notice| chosen(notice.link))?;
        if !is_wanted(self.waiting.get(first)?) {
            return None;
        }
        let notice = self.waiting.remove(first)?;
        self.bytes -= notice.body.len();
        if self.waiting.is_empty() {
            // With its memory: most sessions are idle.
            *self = Self::default();
        }
        Some(notice)
    }

    /// Drops what was for a link that is gone.
    pub(crate) fn forget_link(&mut self, link: LinkId) {
        self.waiting.retain(|notice| notice.link != link);
        self.bytes = self.waiting.iter().map(|notice| notice.body.len()).sum();
    }
}
