//! What a server asks its client: whether it has what was sent to it again and again.

use mtproto_tl::MsgId;

use crate::LinkId;

/// The question that is to be asked, and the one that was asked last. Boxed, as few sessions ever
/// have one.
#[derive(Debug, Default)]
pub(super) struct Questions {
    waiting: Option<Box<(LinkId, Vec<MsgId>)>>,
    asked: Option<Box<(MsgId, Vec<MsgId>)>>,
}

impl Questions {
    /// Asks over `link` about these messages, instead of what has not been asked yet.
    pub(super) fn ask(&mut self, link: LinkId, ids: Vec<MsgId>) {
        if !ids.is_empty() {
            self.waiting = Some(Box::new((link, ids)));
        }
    }

    /// The link that the next question is for.
    pub(super) fn next_link(&self) -> Option<LinkId> {
        self.waiting.as_ref().map(|waiting| waiting.0)
    }

    /// Takes the next question if it is for a link that is `chosen`.
    pub(super) fn take(&mut self, chosen: impl Fn(LinkId) -> bool) -> Option<Vec<MsgId>> {
        self.waiting.take_if(|waiting| chosen(waiting.0)).map(|taken| taken.1)
    }

    /// The message `question` asks about these.
    pub(super) fn asked(&mut self, question: MsgId, ids: Vec<MsgId>) {
        self.asked = Some(Box::new((question, ids)));
    }

    /// Takes what `question` asked about; `None` unless it was the last.
    pub(super) fn answered(&mut self, question: MsgId) -> Option<Vec<MsgId>> {
        self.asked.take_if(|asked| asked.0 == question).map(|taken| taken.1)
    }

    /// Drops what was for a link that is gone.
    pub(super) fn forget_link(&mut self, link: LinkId) {
        self.take(|next| next == link);
    }
}
