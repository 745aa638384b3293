//! A bus between nodes of one process.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::BoxStream;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::{Bus, Delivered, FRAME_LEN_MAX, Members, NodeId, NodeRef, StoreError};

/// Where the nodes of one process meet.
#[derive(Clone, Debug, Default)]
pub struct MemoryHub {
    shared: Arc<Shared>,
}

impl MemoryHub {
    /// Lets a node take part until its bus is dropped.
    #[must_use]
    pub fn join(&self, node: NodeRef) -> MemoryBus {
        self.shared.members.send_modify(|members| {
            members.0.insert(node);
        });
        MemoryBus { node, shared: Arc::clone(&self.shared) }
    }
}

/// One node's side of a [`MemoryHub`].
#[derive(Debug)]
pub struct MemoryBus {
    node: NodeRef,
    shared: Arc<Shared>,
}

#[async_trait]
impl Bus for MemoryBus {
    async fn send(&self, to: NodeId, frame: Bytes) -> Result<Delivered, StoreError> {
        StoreError::check_len("frame", frame.len(), FRAME_LEN_MAX)?;
        let inboxes = self.shared.inboxes();
        let Some(inbox) = inboxes.get(&to) else { return Ok(Delivered::NoListener) };
        Ok(match inbox.frames.try_send(frame) {
            Ok(()) => Delivered::Sent,
            Err(TrySendError::Closed(_)) => Delivered::NoListener,
            Err(TrySendError::Full(_)) => Delivered::Overflow,
        })
    }

    fn inbox(&self) -> BoxStream<'static, Bytes> {
        let (frames, inbox) = mpsc::channel(INBOX_FRAMES_MAX);
        self.shared.inboxes().insert(self.node.id, Inbox { of: self.node, frames });
        Box::pin(Frames(inbox))
    }

    fn members(&self) -> watch::Receiver<Members> {
        self.shared.members.subscribe()
    }
}

impl Drop for MemoryBus {
    fn drop(&mut self) {
        let mut inboxes = self.shared.inboxes();
        if inboxes.get(&self.node.id).is_some_and(|inbox| inbox.of == self.node) {
            inboxes.remove(&self.node.id);
        }
        self.shared.members.send_modify(|members| {
            members.0.remove(&self.node);
        });
    }
}

#[derive(Debug, Default)]
struct Shared {
    inboxes: Mutex<BTreeMap<NodeId, Inbox>>,
    members: watch::Sender<Members>,
}

impl Shared {
    fn inboxes(&self) -> MutexGuard<'_, BTreeMap<NodeId, Inbox>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Inbox {
    of: NodeRef,
    frames: mpsc::Sender<Bytes>,
}

struct Frames(mpsc::Receiver<Bytes>);

impl Stream for Frames {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(cx)
    }
}

/// How many frames wait in an inbox; one more is lost.
pub const INBOX_FRAMES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    crate::bus_suite!(async || {
        let hub = MemoryHub::default();
        let [left, right] = [1, 2].map(|n| NodeRef { id: NodeId(n), incarnation: n });
        let nodes = [left, right].map(|node| crate::conformance::Node {
            node,
            bus: Arc::new(hub.join(node)) as Arc<dyn Bus>,
        });
        (nodes, ())
    });

    #[tokio::test]
    async fn a_full_inbox_loses_the_newest_frame_and_nothing_waits() {
        let hub = MemoryHub::default();
        let node = NodeRef { id: NodeId(1), incarnation: 1 };
        let bus = hub.join(node);
        let _inbox = bus.inbox();
        for _ in 0..INBOX_FRAMES_MAX {
            assert_eq!(bus.send(node.id, Bytes::new()).await, Ok(Delivered::Sent));
        }
        assert_eq!(bus.send(node.id, Bytes::new()).await, Ok(Delivered::Overflow));
    }

    #[tokio::test]
    async fn a_late_end_of_one_start_leaves_the_next_in_place() {
        let hub = MemoryHub::default();
        let [old, new] = [1, 2].map(|incarnation| NodeRef { id: NodeId(1), incarnation });
        let first = hub.join(old);
        let _first = first.inbox();
        let second = hub.join(new);
        let _second = second.inbox();
        drop(first);
        assert_eq!(second.send(new.id, Bytes::new()).await, Ok(Delivered::Sent));
        assert_eq!(*second.members().borrow(), Members([new].into()));
    }
}
