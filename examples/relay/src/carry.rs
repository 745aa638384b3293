//! Packets from one link to another.

use std::future::poll_fn;
use std::task::{Context, Poll};

use mtproto_kit::frame::{Inbound, Outbound};
use mtproto_kit::transport::{Link, LinkError};

/// How many bytes are taken from one side before the other has to take them, in bytes. A packet may
/// go beyond.
const UNSENT_MAX: usize = 64 << 10;

/// Hands packets on both ways till one of the links ends; returns why.
pub(crate) async fn both_ways(client: &mut impl Link, center: &mut impl Link) -> LinkError {
    poll_fn(|cx| {
        if let Poll::Ready(why) = one_way(client, center, cx) {
            return Poll::Ready(why);
        }
        one_way(center, client, cx)
    })
    .await
}

/// Hands on what has arrived, all of it in one write. A side that takes nothing is a side for which
/// nothing is read: so the slower one sets the pace, and the memory it costs is bounded.
fn one_way(from: &mut impl Link, to: &mut impl Link, cx: &mut Context<'_>) -> Poll<LinkError> {
    loop {
        let is_empty = loop {
            if to.unsent() >= UNSENT_MAX {
                break false;
            }
            match from.poll_recv(cx) {
                Poll::Pending => break true,
                Poll::Ready(Ok(item)) => {
                    if let Err(why) = to.start_send(as_sent(item)) {
                        return Poll::Ready(why);
                    }
                }
                Poll::Ready(Err(why)) => return Poll::Ready(why),
            }
        };
        match to.poll_flush(cx) {
            Poll::Ready(Err(why)) => return Poll::Ready(why),
            Poll::Ready(Ok(())) if !is_empty => {}
            Poll::Ready(Ok(())) | Poll::Pending => return Poll::Pending,
        }
    }
}

/// What one link received, for the other to send.
pub(crate) fn as_sent(item: Inbound) -> Outbound {
    match item {
        Inbound::Error(error) => Outbound::Error(error),
        Inbound::Packet { payload, quick_ack } => {
            Outbound::Packet { payload: payload.freeze().into(), quick_ack }
        }
        Inbound::QuickAck(token) => Outbound::QuickAck(token),
    }
}
