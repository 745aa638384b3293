//! Many sessions over many connections, one each. What a wake-up brought is opened at once, and
//! what it asks for is sealed at once.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mtproto_kit::crypto::envelope::{Filler, OpenJob, Padding, SealJob, lay_out, open, seal};
use mtproto_kit::crypto::{Direction, OsRandom, SecureRandom};
use mtproto_kit::frame::Framing;

use super::net::{Arrivals, Net};
use super::server::Server;
use super::session::{Key, Seen, Session};
use crate::exit::Failure;

pub(super) struct Talk {
    net: Net,
    sessions: Vec<Session>,
    random: OsRandom,
    filler: Filler,
    /// When ping number 0 would have left.
    epoch: Instant,
    arrivals: Arrivals,
    seen: Seen,
    body: Vec<u8>,
    /// Packets that are laid out and not sealed.
    packets: Vec<u8>,
    /// Whose they are, and where.
    places: Vec<(usize, Range<usize>)>,
}

/// What came for one connection.
pub(super) enum Answer {
    /// A ping that was due at `due` was answered after `time`.
    Pong { due: Instant, time: Duration },
    /// A packet has to be made again.
    Refused,
}

impl Talk {
    pub(super) fn new(server: &Server) -> Result<Self, Failure> {
        let framing = server.wire.framing;
        Ok(Self {
            net: server.net()?,
            sessions: Vec::new(),
            random: OsRandom::new(),
            filler: if framing == Framing::Padded { Filler::Cut } else { Filler::Never },
            epoch: Instant::now(),
            arrivals: Arrivals::default(),
            seen: Seen::default(),
            body: Vec::new(),
            packets: Vec::new(),
            places: Vec::new(),
        })
    }

    /// Begins another connection with a session of its own; returns its number.
    pub(super) fn connect(&mut self, key: Arc<Key>) -> Result<usize, Failure> {
        let index = self.net.connect().map_err(explain_socket)?;
        self.sessions.push(Session::new(key, self.random.u64()));
        Ok(index)
    }

    /// Lays out one packet with `count` pings that were due at `due`.
    pub(super) fn ping(&mut self, index: usize, count: usize, due: Instant) {
        let since = due.saturating_duration_since(self.epoch).as_nanos();
        let ping_id = i64::try_from(since).unwrap_or(i64::MAX);
        let header = self.sessions[index].pings(count, ping_id, Instant::now(), &mut self.body);
        let start = self.packets.len();
        lay_out(&mut self.packets, &header, &self.body, Padding::Least, &mut self.random);
        self.places.push((index, start..self.packets.len()));
    }

    /// Seals and sends what was laid out since the last time.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let mut rest = self.packets.as_mut_slice();
        let sessions = &self.sessions;
        let jobs = self.places.iter().map(|(index, place)| {
            let (packet, others) = std::mem::take(&mut rest).split_at_mut(place.len());
            rest = others;
            SealJob::new(&sessions[*index].key.auth, Direction::ClientToServer, packet)
        });
        seal(&mut jobs.collect::<Vec<_>>());
        let mut places = self.places.drain(..).peekable();
        while let Some((index, place)) = places.next() {
            self.net.queue(index, &self.packets[place]).map_err(Failure::usage)?;
            // A connection's packets follow each other: one write for all of them.
            if places.peek().is_none_or(|(next, _)| *next != index) {
                self.net.flush(index);
            }
        }
        drop(places);
        self.packets.clear();
        Ok(())
    }

    /// Waits for answers, for `timeout` at most, and hands them out with the number of their
    /// connection.
    pub(super) fn receive(
        &mut self,
        timeout: Duration,
        mut take: impl FnMut(usize, Answer),
    ) -> Result<(), Failure> {
        self.net.wait(timeout, &mut self.arrivals).map_err(explain_socket)?;
        if let Some((index, why)) = self.arrivals.lost.pop() {
            return Err(Failure::network(format!("connection {index}: {why}")));
        }
        let now = Instant::now();
        let packets = &mut self.arrivals.packets;
        let (sessions, filler) = (&self.sessions, self.filler);
        let mut jobs: Vec<_> = packets
            .iter_mut()
            .map(|(index, packet)| {
                let key = &sessions[*index].key.auth;
                OpenJob::new(key, Direction::ServerToClient, filler, packet)
            })
            .collect();
        open(&mut jobs);
        let opened: Vec<_> = jobs.into_iter().map(|job| job.opened).collect();
        for ((index, packet), opened) in packets.drain(..).zip(opened) {
            let opened = opened.map_err(|error| lost(index, error))?;
            self.sessions[index]
                .receive(&packet, &opened, &mut self.seen)
                .map_err(|trouble| lost(index, trouble))?;
            for ping_id in self.seen.pongs.drain(..) {
                let due = self.epoch + Duration::from_nanos(ping_id.try_into().unwrap_or(0));
                let time = now.saturating_duration_since(due);
                take(index, Answer::Pong { due, time });
            }
            (0..std::mem::take(&mut self.seen.refused)).for_each(|_| take(index, Answer::Refused));
        }
        Ok(())
    }
}

/// A connection that is of no use any more.
fn lost(index: usize, why: impl std::fmt::Display) -> Failure {
    Failure::network(format!("connection {index}: {why}"))
}

/// Why there is no socket, and what can be done about it.
pub(super) fn explain_socket(error: io::Error) -> Failure {
    let fix = match error.raw_os_error() {
        Some(EMFILE) => "; allow more open files with ulimit -n",
        Some(EADDRNOTAVAIL) => "; there are no local ports left: use fewer connections",
        _ => "",
    };
    Failure::network(format!("cannot open a connection: {error}{fix}"))
}

const EMFILE: i32 = 24;
const EADDRNOTAVAIL: i32 = 99;
