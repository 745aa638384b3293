//! Pings as fast as they are answered, or as fast as they are asked for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::talk::{Answer, Talk};
use super::times::Times;
use crate::exit::Failure;

/// What each connection does.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// Packets in flight; not for a fixed rate.
    pub(super) depth: usize,
    /// Pings in a packet.
    pub(super) containers: usize,
    /// Pings per second, of all connections together.
    pub(super) rate: Option<f64>,
    pub(super) span: Duration,
}

/// What came of it.
pub(super) struct Tally {
    /// Of every pong within the span: from when its ping was due.
    pub(super) times: Times,
    /// Pings at a fixed rate that had no pong a second after the end.
    pub(super) unanswered: u64,
    pub(super) elapsed: Duration,
}

/// Loads connections by `plan`. `count` follows the pongs.
pub(super) fn run(
    talk: &mut Talk,
    connections: usize,
    plan: Plan,
    count: &AtomicU64,
) -> Result<Tally, Failure> {
    match plan.rate {
        None => saturate(talk, connections, plan, count),
        Some(rate) => pace(talk, connections, plan, rate, count),
    }
}

/// A packet follows as soon as one is answered.
fn saturate(
    talk: &mut Talk,
    connections: usize,
    plan: Plan,
    count: &AtomicU64,
) -> Result<Tally, Failure> {
    let start = Instant::now();
    // One entry a packet that has to leave.
    let mut ready: Vec<usize> =
        (0..connections).flat_map(|index| std::iter::repeat_n(index, plan.depth)).collect();
    let mut answered = vec![0; connections];
    let mut times = Times::new();
    loop {
        let now = Instant::now();
        let left = plan.span.saturating_sub(now - start);
        if left.is_zero() {
            return Ok(Tally { times, unanswered: 0, elapsed: now - start });
        }
        ready.drain(..).for_each(|index| talk.ping(index, plan.containers, now));
        talk.flush()?;
        talk.receive(left, |index, answer| match answer {
            Answer::Pong { due, time } => {
                times.record(due.saturating_duration_since(start), time);
                count.fetch_add(1, Ordering::Relaxed);
                answered[index] += 1;
                if answered[index] == plan.containers {
                    answered[index] = 0;
                    ready.push(index);
                }
            }
            Answer::Refused => ready.push(index),
        })?;
    }
}

/// A packet leaves when it is due, whatever became of those before it: so a server that stalls has
/// to answer for all the time that it made others wait.
fn pace(
    talk: &mut Talk,
    connections: usize,
    plan: Plan,
    rate: f64,
    count: &AtomicU64,
) -> Result<Tally, Failure> {
    let start = Instant::now();
    let interval = plan.containers as f64 / rate;
    let packets = (plan.span.as_secs_f64() / interval).ceil().max(1.0) as u64;
    let wanted = packets * plan.containers as u64;
    let mut times = Times::new();
    let (mut sent, mut again) = (0, Vec::new());
    loop {
        let now = Instant::now();
        again.drain(..).for_each(|index| talk.ping(index, plan.containers, now));
        while sent < packets {
            let due = start + Duration::from_secs_f64(interval * sent as f64);
            if due > now {
                break;
            }
            talk.ping((sent % connections as u64) as usize, plan.containers, due);
            sent += 1;
        }
        talk.flush()?;
        let is_over = now - start >= plan.span + STRAGGLERS_MAX;
        if times.whole().total() >= wanted || is_over {
            let unanswered = wanted.saturating_sub(times.whole().total());
            return Ok(Tally { times, unanswered, elapsed: (now - start).min(plan.span) });
        }
        // No sleep: a timer's milliseconds are longer than what is measured.
        talk.receive(Duration::ZERO, |index, answer| match answer {
            Answer::Pong { due, time } => {
                times.record(due.saturating_duration_since(start), time);
                count.fetch_add(1, Ordering::Relaxed);
            }
            Answer::Refused => again.push(index),
        })?;
    }
}

/// How long pongs may come in after the end.
const STRAGGLERS_MAX: Duration = Duration::from_secs(1);
