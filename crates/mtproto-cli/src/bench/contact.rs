//! The first pongs of every connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::histogram::Histogram;
use super::server::Server;
use super::session::Key;
use super::talk::{Answer, Talk};
use crate::exit::Failure;

/// Connections that all have a session.
pub(super) struct Contact {
    pub(super) talk: Talk,
    /// From the beginning of a connection to its first pong.
    pub(super) times: Histogram,
    /// From the beginning of the first connection to the last pong.
    pub(super) elapsed: Duration,
}

/// How connections are made.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// How many are on their way at a time.
    pub(super) at_once: usize,
    /// How many pings each has answered then. The second one acknowledges what came with the first
    /// pong.
    pub(super) pings: u32,
}

/// Opens `connections` with a session each, dealing out `keys`, and waits for their pongs.
pub(super) fn make(
    server: &Server,
    keys: &[Arc<Key>],
    connections: usize,
    pace: Pace,
    count: &AtomicU64,
) -> Result<Contact, Failure> {
    let mut talk = Talk::new(server)?;
    let (mut times, mut began, mut again) = (Histogram::new(), Vec::new(), Vec::new());
    let start = Instant::now();
    let mut deadline = start + server.patience;
    let mut keys = keys.iter().cycle();
    let (mut answered, mut pongs) = (0, vec![0; connections]);
    while answered < connections {
        while began.len() < connections.min(answered + pace.at_once) {
            let key = keys.next().ok_or_else(|| Failure::usage("there is no key"))?;
            began.push(Instant::now());
            again.push(talk.connect(key.clone())?);
        }
        again.drain(..).for_each(|index| talk.ping(index, 1, Instant::now()));
        talk.flush()?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let (missing, seconds) = (connections - answered, server.patience.as_secs_f64());
            let what = format!("{missing} of {connections} connections have no pong");
            return Err(Failure::network(format!("{what}, and none came within {seconds} s")));
        }
        let before = answered;
        talk.receive(left, |index, answer| match answer {
            Answer::Pong { .. } => {
                if pongs[index] == 0 {
                    times.record(began[index].elapsed());
                }
                pongs[index] += 1;
                if pongs[index] < pace.pings {
                    again.push(index);
                } else {
                    answered += 1;
                }
            }
            Answer::Refused => again.push(index),
        })?;
        if answered > before {
            deadline = Instant::now() + server.patience;
            count.store(answered as u64, Ordering::Relaxed);
        }
    }
    Ok(Contact { talk, times, elapsed: start.elapsed() })
}

/// As many as a server's queue of connections surely takes.
pub(super) const AT_ONCE: usize = 100;
