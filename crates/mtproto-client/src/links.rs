//! The open links of a client, driven together.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, ready};

use mtproto_endpoint::client::LinkId;
use mtproto_frame::{Inbound, Outbound};
use mtproto_transport::{Link, LinkError};

/// How many things are taken from one link in one go.
const BATCH_MAX: usize = 64;

/// What a link brought, or why it ended.
pub(crate) type Arrival = (LinkId, Result<Inbound, LinkError>);

/// The open links.
#[derive(Default)]
pub(crate) struct Links {
    open: BTreeMap<LinkId, Open>,
}

struct Open {
    link: Box<dyn Link>,
    /// What the link has no room for yet: at most what the endpoint may have under way.
    waiting: VecDeque<Outbound>,
}

impl Links {
    pub(crate) fn insert(&mut self, id: LinkId, link: Box<dyn Link>) {
        self.open.insert(id, Open { link, waiting: VecDeque::new() });
    }

    /// Takes a link out, to be closed. What it has no room for is lost.
    pub(crate) fn remove(&mut self, id: LinkId) -> Option<Box<dyn Link>> {
        self.open.remove(&id).map(|open| open.link)
    }

    /// Queues `item` on the link; it leaves while the links are polled.
    pub(crate) fn send(&mut self, id: LinkId, item: Outbound) {
        let Some(open) = self.open.get_mut(&id) else { return };
        // An error is met again, and reported, when the link is polled.
        if !open.waiting.is_empty() || open.link.start_send(item.clone()).is_err() {
            open.waiting.push_back(item);
        }
    }

    /// Whether a link has more to send than it has room for.
    pub(crate) fn are_congested(&self) -> bool {
        self.open.values().any(|open| !open.waiting.is_empty())
    }

    /// Sends what can be sent and, unless `paused`, waits for whatever arrives first, taking what
    /// came with it; returns too, empty, when all links have room again. A link that ended is gone
    /// afterwards.
    ///
    /// Cancel-safe: nothing is taken from a link without being returned.
    pub(crate) async fn next(&mut self, paused: bool) -> Vec<Arrival> {
        std::future::poll_fn(|cx| self.poll_next(cx, paused)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, paused: bool) -> Poll<Vec<Arrival>> {
        let was_congested = self.are_congested();
        let mut batch = Vec::new();
        self.open.retain(|id, open| {
            let ended = open.poll(cx, paused, &mut |arrival| batch.push((*id, Ok(arrival))));
            let goes_on = ended.is_none();
            batch.extend(ended.map(|error| (*id, Err(error))));
            goes_on
        });
        let has_room_again = was_congested && !self.are_congested();
        if batch.is_empty() && !has_room_again { Poll::Pending } else { Poll::Ready(batch) }
    }
}

impl Open {
    /// Sends and receives what it can; returns why the link has ended, if it has.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        paused: bool,
        take: &mut dyn FnMut(Inbound),
    ) -> Option<LinkError> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Some(error);
        }
        if paused {
            return None;
        }
        for _ in 0..BATCH_MAX {
            match self.link.poll_recv(cx) {
                Poll::Pending => return None,
                Poll::Ready(Ok(arrival)) => take(arrival),
                Poll::Ready(Err(error)) => return Some(error),
            }
        }
        None
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        loop {
            while let Some(item) = self.waiting.front() {
                match self.link.start_send(item.clone()) {
                    Ok(()) => drop(self.waiting.pop_front()),
                    Err(LinkError::Full { .. }) => break,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            ready!(self.link.poll_flush(cx))?;
            if self.waiting.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
