//! The promises of a [`Bus`].

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::stream::BoxStream;
use tokio::time::timeout;

use crate::{Bus, Delivered, FRAME_LEN_MAX, NodeId, NodeRef, StoreError};

/// One of the nodes that a suite is given.
pub struct Node {
    /// Which node it is.
    pub node: NodeRef,
    /// Its side of the bus.
    pub bus: Arc<dyn Bus>,
}

/// How long a frame or a change of members may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

async fn next(inbox: &mut BoxStream<'static, Bytes>) -> Option<Bytes> {
    timeout(PATIENCE, poll_fn(|cx| inbox.as_mut().poll_next(cx))).await.expect("a frame arrives")
}

/// Frames of one sender keep their order.
pub async fn frames_arrive_in_order([left, right]: [Node; 2]) {
    let mut inbox = right.bus.inbox();
    for n in 0..100_u8 {
        let sent = left.bus.send(right.node.id, Bytes::copy_from_slice(&[n])).await;
        assert_eq!(sent, Ok(Delivered::Sent));
    }
    for n in 0..100_u8 {
        assert_eq!(next(&mut inbox).await.as_deref(), Some(&[n][..]));
    }
}

/// A node may send to itself, so that its caller need not know where it is.
pub async fn a_node_reaches_itself([left, _right]: [Node; 2]) {
    let mut inbox = left.bus.inbox();
    let sent = left.bus.send(left.node.id, Bytes::from_static(b"me")).await;
    assert_eq!(sent, Ok(Delivered::Sent));
    assert_eq!(next(&mut inbox).await.as_deref(), Some(&b"me"[..]));
}

/// The sender is told at once.
pub async fn nobody_listens_at_an_unknown_node([left, right]: [Node; 2]) {
    let to_nobody = left.bus.send(NodeId(u64::MAX), Bytes::new()).await;
    assert_eq!(to_nobody, Ok(Delivered::NoListener));
    let before_inbox = left.bus.send(right.node.id, Bytes::new()).await;
    assert_eq!(before_inbox, Ok(Delivered::NoListener));
}

/// There is one reader.
pub async fn a_second_inbox_ends_the_first([left, right]: [Node; 2]) {
    let mut first = right.bus.inbox();
    let mut second = right.bus.inbox();
    let sent = left.bus.send(right.node.id, Bytes::from_static(b"frame")).await;
    assert_eq!(sent, Ok(Delivered::Sent));
    assert_eq!(next(&mut first).await, None);
    assert_eq!(next(&mut second).await.as_deref(), Some(&b"frame"[..]));
}

/// The longest frame passes, one byte more does not.
pub async fn a_long_frame_is_refused([left, right]: [Node; 2]) {
    let mut inbox = right.bus.inbox();
    let frame = Bytes::from(vec![0; FRAME_LEN_MAX + 1]);
    let refused = left.bus.send(right.node.id, frame.clone()).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { max: FRAME_LEN_MAX, .. })));
    let sent = left.bus.send(right.node.id, frame.slice(1..)).await;
    assert_eq!(sent, Ok(Delivered::Sent));
    assert_eq!(next(&mut inbox).await.map(|frame| frame.len()), Some(FRAME_LEN_MAX));
}

/// Both nodes are seen, and one that ends is missed.
pub async fn members_come_and_go([left, right]: [Node; 2]) {
    let mut members = left.bus.members();
    let both =
        members.wait_for(|members| members.contains(left.node) && members.contains(right.node));
    drop(timeout(PATIENCE, both).await.expect("both are seen").unwrap());
    drop(right.bus);
    let one = members.wait_for(|members| !members.contains(right.node));
    drop(timeout(PATIENCE, one).await.expect("the end is seen").unwrap());
    assert!(left.bus.members().borrow().contains(left.node));
}
