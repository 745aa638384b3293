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
        let body = object.to_bytes();
        if self.waiting.len() < NOTICES_MAX && self.bytes + body.len() <= NOTICES_BYTES_MAX {
            self.bytes += body.len();
            self.waiting.push_back(Notice { link, body, author });
        }
    }

    /// The link that the next notice is for.
    pub(crate) fn next_link(&self) -> Option<LinkId> {
        self.waiting.front().map(|notice| notice.link)
    }

    /// Takes the next notice if it is for `link` and satisfies `fits`.
    pub(crate) fn take_next(
        &mut self,
        link: LinkId,
        fits: impl FnOnce(usize) -> bool,
    ) -> Option<Notice> {
        let next = self.waiting.front()?;
        if next.link != link || !fits(next.body.len()) {
            return None;
        }
        self.bytes -= next.body.len();
        self.waiting.pop_front()
    }

    /// Drops what was for a link that is gone.
    pub(crate) fn forget_link(&mut self, link: LinkId) {
        self.waiting.retain(|notice| notice.link != link);
        self.bytes = self.waiting.iter().map(|notice| notice.body.len()).sum();
    }
}
