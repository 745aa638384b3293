//! What is said once, to one link, and not kept: pongs, acknowledgements of states, refusals.

use std::collections::VecDeque;

use bytes::Bytes;
use mtproto_tl::{Author, Encode};

use crate::LinkId;

/// The most notices that wait for a drain. Beyond it they are not made: the client asks again.
pub const NOTICES_MAX: usize = 4096;

/// The most bytes of notices that wait for a drain.
pub const NOTICES_BYTES_MAX: usize = 1 << 20;

/// One message that needs no acknowledgement.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) link: LinkId,
    pub(crate) body: Bytes,
    pub(crate) author: Author,
    is_alone: bool,
}

/// Notices that wait for the next drain, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    waiting: VecDeque<Notice>,
    bytes: usize,
}

impl Notices {
    /// Says something to `link`.
    pub(crate) fn add(&mut self, link: LinkId, author: Author, object: &impl Encode) {
        self.push(Notice { link, body: object.to_bytes(), author, is_alone: false });
    }

    /// Says something to `link` in a packet of its own.
    pub(crate) fn add_alone(&mut self, link: LinkId, author: Author, object: &impl Encode) {
        self.push(Notice { link, body: object.to_bytes(), author, is_alone: true });
    }

    fn push(&mut self, notice: Notice) {
        let len = notice.body.len();
        if self.waiting.len() < NOTICES_MAX && self.bytes + len <= NOTICES_BYTES_MAX {
            self.bytes += len;
            self.waiting.push_back(notice);
        }
    }

    /// The link that the next notice is for.
    pub(crate) fn next_link(&self) -> Option<LinkId> {
        self.waiting.front().map(|notice| notice.link)
    }

    /// Takes the next notice if it is for `link` and goes alone.
    pub(crate) fn take_alone(&mut self, link: LinkId) -> Option<Notice> {
        self.take_next_if(|next| next.link == link && next.is_alone)
    }

    /// Takes the next notice if it is for `link`, need not go alone and satisfies `fits`.
    pub(crate) fn take_next(
        &mut self,
        link: LinkId,
        fits: impl FnOnce(usize) -> bool,
    ) -> Option<Notice> {
        self.take_next_if(|next| next.link == link && !next.is_alone && fits(next.body.len()))
    }

    fn take_next_if(&mut self, is_wanted: impl FnOnce(&Notice) -> bool) -> Option<Notice> {
        let notice = self.waiting.pop_front_if(|next| is_wanted(next))?;
        self.bytes -= notice.body.len();
        Some(notice)
    }

    /// Drops what was for a link that is gone.
    pub(crate) fn forget_link(&mut self, link: LinkId) {
        self.waiting.retain(|notice| notice.link != link);
        self.bytes = self.waiting.iter().map(|notice| notice.body.len()).sum();
    }
}
