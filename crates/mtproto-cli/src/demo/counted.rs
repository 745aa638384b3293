//! A dialler whose links count what goes over them, so that the demonstration can show that packing
//! really happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use mtproto_kit::frame::{Inbound, Outbound};
use mtproto_kit::transport::{Dial, DialError, Link, LinkError, Peer};

/// What went over the links of one client, in each direction.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    packets_in: AtomicU64,
    bytes_in: AtomicU64,
    packets_out: AtomicU64,
    bytes_out: AtomicU64,
}

/// The traffic up to a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) packets_in: u64,
    pub(super) bytes_in: u64,
    pub(super) packets_out: u64,
    pub(super) bytes_out: u64,
}

impl Traffic {
    pub(super) fn read(&self) -> Reading {
        let [packets_in, bytes_in, packets_out, bytes_out] =
            [&self.packets_in, &self.bytes_in, &self.packets_out, &self.bytes_out]
                .map(|counter| counter.load(Ordering::Relaxed));
        Reading { packets_in, bytes_in, packets_out, bytes_out }
    }
}

impl Reading {
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            packets_in: self.packets_in - earlier.packets_in,
            bytes_in: self.bytes_in - earlier.bytes_in,
            packets_out: self.packets_out - earlier.packets_out,
            bytes_out: self.bytes_out - earlier.bytes_out,
        }
    }
}

/// Dials as `dial` does, and counts.
pub(super) struct Counted {
    pub(super) dial: Arc<dyn Dial>,
    pub(super) traffic: Arc<Traffic>,
}

#[async_trait]
impl Dial for Counted {
    async fn dial(&self) -> Result<Box<dyn Link>, DialError> {
        let link = self.dial.dial().await?;
        Ok(Box::new(CountedLink { link, traffic: Arc::clone(&self.traffic) }))
    }
}

struct CountedLink {
    link: Box<dyn Link>,
    traffic: Arc<Traffic>,
}

impl Link for CountedLink {
    fn start_send(&mut self, item: Outbound) -> Result<(), LinkError> {
        if let Outbound::Packet { payload, .. } = &item {
            count(&self.traffic.packets_out, &self.traffic.bytes_out, payload.len());
        }
        self.link.start_send(item)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.link.poll_flush(cx)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LinkError>> {
        let received = self.link.poll_recv(cx);
        if let Poll::Ready(Ok(Inbound::Packet { payload, .. })) = &received {
            count(&self.traffic.packets_in, &self.traffic.bytes_in, payload.len());
        }
        received
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.link.poll_close(cx)
    }

    fn unsent(&self) -> usize {
        self.link.unsent()
    }

    fn peer(&self) -> Peer {
        self.link.peer()
    }

    fn takes_turns(&self) -> bool {
        self.link.takes_turns()
    }
}

fn count(packets: &AtomicU64, bytes: &AtomicU64, len: usize) {
    packets.fetch_add(1, Ordering::Relaxed);
    bytes.fetch_add(u64::try_from(len).unwrap_or(0), Ordering::Relaxed);
}
