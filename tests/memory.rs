//! Promise: what clients do not acknowledge cannot take more memory than the server may have, and
//! the server says in its metrics that it had to forget.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use mtproto_kit::auth::KeyKind;
use mtproto_kit::crypto::{SecureRandom, SeededRandom};
use mtproto_kit::frame::{Framing, WireConfig};
use mtproto_kit::server::{Limits, handler_fn};
use mtproto_kit::tl::AuthKeyId;
use mtproto_tests::{HandSession, PATIENCE, Peer, address, echo, server};

/// What all sessions of the server may have queued, in bytes.
const MEMORY: usize = 2 << 20;
const PUSH: usize = 256 << 10;
const SESSIONS: u64 = 4;

/// Counts what is counted.
#[derive(Clone, Default)]
struct Counters(Arc<Mutex<HashMap<String, Arc<AtomicU64>>>>);

impl Counters {
    fn get(&self, name: &str) -> u64 {
        let counters = self.0.lock().expect("nobody panicked");
        counters.get(name).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counters = self.0.lock().expect("nobody panicked");
        Counter::from_arc(Arc::clone(counters.entry(key.name().to_owned()).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

// req: S100
#[tokio::test]
async fn sessions_that_acknowledge_nothing_share_a_budget_and_the_metrics_say_so() {
    let counters = Counters::default();
    metrics::set_global_recorder(counters.clone()).expect("it is the first");
    let mut limits = Limits::default();
    limits.queued_bytes_max = MEMORY;
    let one = NonZeroUsize::MIN;
    let server = server().limits(limits).shards(one).serve(handler_fn(echo)).await;
    let server = server.expect("a free port");
    let mut peer =
        Peer::connect(address(&server), &WireConfig::plain(Framing::Intermediate), 1).await;
    let key = peer.make_key(KeyKind::Permanent).await;
    let mut sessions = Vec::new();
    for seed in 0..SESSIONS {
        let mut session = HandSession::new(&key, seed);
        session.settle(&mut peer).await;
        sessions.push(session.id);
    }
    // Nobody is there to take it, so all of it waits.
    peer.finish().await;

    let push = |session, seed| {
        let mut noise = vec![0; PUSH];
        SeededRandom::new(seed).fill(&mut noise);
        let handle = server.session(AuthKeyId(key.key.id()), session);
        async move { handle.push_bytes(noise.into()).await }
    };
    let within = MEMORY / PUSH - 1;
    for (number, session) in (0..within as u64).zip(sessions.iter().cycle()) {
        push(*session, number).await.expect("there is room");
    }
    assert_eq!(counters.get("mtproto_shed_bytes_total"), 0, "all of it fits");
    for (number, session) in (0..2 * SESSIONS).zip(sessions.iter().cycle()) {
        push(*session, number).await.expect("the oldest makes room");
    }
    // A push is taken before the drain that makes room for it.
    let due = (within as u64 + 2 * SESSIONS) * PUSH as u64 - MEMORY as u64;
    let shed = async {
        while counters.get("mtproto_shed_bytes_total") < due {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, shed).await.expect("what is over the budget is forgotten");
}
