//! How the nodes of one server reach each other.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use tokio::sync::watch;

use crate::StoreError;

/// Carries frames between nodes: at most once, in order from one sender, unordered across senders.
/// Whoever needs more asks again.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Hands a frame to a node without waiting for it to be read.
    ///
    /// # Errors
    /// If the frame is longer than [`FRAME_LEN_MAX`] or the bus does not answer.
    async fn send(&self, to: NodeId, frame: Bytes) -> Result<Delivered, StoreError>;

    /// The frames sent to this node from now on. A second call ends the stream of the first.
    fn inbox(&self) -> BoxStream<'static, Bytes>;

    /// The nodes that are alive, this one included, as they come and go.
    fn members(&self) -> watch::Receiver<Members>;
}

/// Names a node. Its operator gives it, and it stays over a restart.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId(pub u64);

/// A node from one start to its end.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeRef {
    /// Which node.
    pub id: NodeId,
    /// Which start of it: a number that no other start has.
    pub incarnation: u64,
}

/// The nodes that are alive.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Members(pub BTreeSet<NodeRef>);

impl Members {
    /// Whether that very start of the node is alive.
    #[must_use]
    pub fn contains(&self, node: NodeRef) -> bool {
        self.0.contains(&node)
    }
}

/// How far a frame came.
#[must_use]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivered {
    /// It waits in the node's inbox; the node may still end before it reads it.
    Sent,
    /// Nobody listens at that node.
    NoListener,
    /// The node's inbox is full and the frame is lost.
    Overflow,
}

/// The longest frame, in bytes: the largest packet of a client and room for its address.
pub const FRAME_LEN_MAX: usize = (1 << 20) + (16 << 10);
