//! Coming back: at the pace that is set, after a sleep, with every call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use mtproto_tl::ServerTime;
use mtproto_transport::{Dial, DialError, Link};
use tokio::time::{sleep, timeout};

use super::served::{Order, public_key};
use super::{SECOND, builder, connected, event};
use crate::clock::{WallClock, now};
use crate::{Client, Event, Gap, ReconnectPolicy};

/// A local clock that goes with tokio's, ahead of it by so many seconds.
pub(super) fn wall_clock(ahead: &Arc<AtomicU64>) -> WallClock {
    let (ahead, start) = (Arc::clone(ahead), now());
    Arc::new(move || {
        let ahead = Duration::from_secs(ahead.load(Ordering::Relaxed));
        ServerTime::from_unix(Duration::from_secs(1_800_000_000) + (now() - start) + ahead)
    })
}

// req: S118
#[tokio::test(start_paused = true)]
async fn a_sleep_is_noticed_and_a_dead_link_replaced_within_seconds() {
    let (builder, server) = builder();
    let ahead = Arc::default();
    let client = builder.wall_clock(wall_clock(&ahead)).connect().await.unwrap();
    let mut events = client.events().unwrap();
    assert!(client.call("in the evening..").await.is_ok());
    server.orders.send(Order::Fade).unwrap();
    sleep(SECOND).await;
    // Eight hours later.
    ahead.store(8 * 3600, Ordering::Relaxed);
    let woken = now();
    assert!(client.call("in the morning..").await.is_ok());
    assert!(now() - woken < 12 * SECOND);
    event(&mut events, |event| matches!(event, Event::Gap(Gap::Slept { .. }))).await;
}

// req: S118
#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_is_dialed_no_more_often_than_the_policy_says() {
    let eager = ReconnectPolicy {
        first_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(1),
        jitter_percent: 0,
        dials_per_minute_max: 10,
    };
    let patient = ReconnectPolicy { max_delay: 20 * SECOND, ..ReconnectPolicy::default() };
    for (policy, least, most) in [(eager, 9, 10), (patient, 2, 12)] {
        let refusing = Refusing::default();
        let all = Arc::clone(&refusing.dials);
        let connecting = Client::builder()
            .dial(refusing)
            .server_key(public_key())
            .reconnect(policy)
            .connect_timeout(600 * SECOND)
            .connect();
        assert!(timeout(605 * SECOND, connecting).await.unwrap().is_err());
        let dials = all.lock().unwrap().clone();
        let minute = |from: &Instant| *from..*from + 60 * SECOND;
        for from in dials.iter().filter(|from| **from < dials[0] + 540 * SECOND) {
            let count = dials.iter().filter(|at| minute(from).contains(*at)).count();
            assert!((least..=most).contains(&count), "{count} dials in a minute");
        }
        // It was told to stop, and has.
        sleep(600 * SECOND).await;
        assert_eq!(all.lock().unwrap().len(), dials.len());
    }
}

// req: S118
#[tokio::test(start_paused = true)]
async fn a_hundred_calls_in_flight_survive_twenty_cut_links() {
    let (client, server) = connected().await;
    let calls: Vec<_> = (0..100)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { (n, client.call(format!("slow {n:03}")).await) })
        })
        .collect();
    for _ in 0..20 {
        sleep(3 * SECOND).await;
        server.orders.send(Order::Cut).unwrap();
    }
    assert!(calls.iter().all(|call| !call.is_finished()));
    for call in calls {
        let (n, outcome) = timeout(300 * SECOND, call).await.unwrap().unwrap();
        assert_eq!(outcome, Ok(Bytes::from(format!("slow {n:03}"))));
    }
}

/// Nobody is there.
#[derive(Default)]
struct Refusing {
    dials: Arc<Mutex<Vec<Instant>>>,
}

#[async_trait]
impl Dial for Refusing {
    async fn dial(&self) -> Result<Box<dyn Link>, DialError> {
        self.dials.lock().unwrap().push(now());
        Err(DialError::Timeout { target: "test".to_owned(), limit: SECOND })
    }
}
