//! Links: two streams of bytes each, with what lives at their ends to frame and to cut them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mtproto_endpoint::client::LinkId;
use mtproto_frame::{Framing, Inbound, Outbound, ServerWireConfig, Wire, WireConfig};

use crate::dice::Dice;

/// Names a link. The server calls it so too; a client has a name of its own.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct LinkNo(pub(crate) u64);

/// The two streams of a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::Up, Self::Down];
}

/// Who dialed a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Owner {
    pub(crate) client: usize,
    /// The client's process: one that was started anew has none of the links of the one before.
    pub(crate) life: u32,
    /// What the client calls the link.
    pub(crate) link: LinkId,
}

/// What reaches an end of a link.
#[derive(Debug)]
pub(crate) enum Arrival {
    Item(Inbound),
    /// The other side has gone, or what came makes no sense.
    End,
}

/// All links.
pub(crate) struct Net {
    links: BTreeMap<LinkNo, Link>,
    opened: u64,
    wire_config: Arc<ServerWireConfig>,
    /// Streams with bytes that are not on their way yet.
    written: Vec<(LinkNo, Way)>,
}

struct Link {
    /// None: somebody dialed it who has only recordings of others.
    owner: Option<Owner>,
    client: Wire,
    server: Wire,
    up: Pipe,
    down: Pipe,
    works: bool,
}

/// One stream.
#[derive(Default)]
struct Pipe {
    /// Framed in this drain.
    written: Vec<u8>,
    flight: VecDeque<(Instant, Chunk)>,
    /// Nothing arrives before what went earlier.
    free_at: Option<Instant>,
    /// Arrived, and not a whole frame yet.
    input: BytesMut,
    /// The receiver has gone.
    is_deaf: bool,
    /// The sender has gone.
    is_ended: bool,
}

enum Chunk {
    Bytes(Vec<u8>),
    End,
}

impl Net {
    pub(crate) fn new() -> Self {
        let wire_config = Arc::new(ServerWireConfig::open());
        Self { links: BTreeMap::new(), opened: 0, wire_config, written: Vec::new() }
    }

    /// A link is there. What it speaks is chance.
    pub(crate) fn open(&mut self, owner: Option<Owner>, dice: &mut Dice) -> LinkNo {
        self.opened += 1;
        let name = LinkNo(self.opened);
        let config = match dice.below(7) {
            0 => WireConfig::plain(Framing::Abridged),
            1 => WireConfig::plain(Framing::Full),
            2 => WireConfig::plain(Framing::Padded),
            3 => WireConfig::obfuscated(Framing::Abridged),
            4 => WireConfig::obfuscated(Framing::Padded),
            _ => WireConfig::plain(Framing::Intermediate),
        };
        let client = Wire::client(&config, &mut dice.split()).expect("these layers go together");
        let server = Wire::server(Arc::clone(&self.wire_config), &mut dice.split());
        let (up, down) = (Pipe::default(), Pipe::default());
        self.links.insert(name, Link { owner, client, server, up, down, works: true });
        name
    }

    /// Frames an item. It leaves when the net is flushed.
    pub(crate) fn send(&mut self, name: LinkNo, way: Way, item: &Outbound) {
        let Some(link) = self.links.get_mut(&name) else { return };
        let (pipe, wire) = match way {
            Way::Up => (&mut link.up, &mut link.client),
            Way::Down => (&mut link.down, &mut link.server),
        };
        if !link.works || pipe.is_ended {
            return;
        }
        if pipe.written.is_empty() {
            self.written.push((name, way));
        }
        // A server can only be made to speak first by a recording sent down a link that is new.
        let _ = wire.send(item, &mut pipe.written);
    }

    /// Sends what was framed on its way; says what arrives when.
    pub(crate) fn flush(&mut self, now: Instant, dice: &mut Dice) -> Vec<(Instant, LinkNo, Way)> {
        let mut arrivals = Vec::new();
        for (name, way) in std::mem::take(&mut self.written) {
            let Some(pipe) = self.pipe_mut(name, way) else { continue };
            let bytes = std::mem::take(&mut pipe.written);
            // Now and then the parts of a frame arrive at different moments.
            let cut = if dice.chance(50) { dice.index(bytes.len().max(1)) } else { 0 };
            let (first, rest) = bytes.split_at(cut);
            for part in [first, rest].into_iter().filter(|part| !part.is_empty()) {
                let at = pipe.add(now + latency(dice), Chunk::Bytes(part.to_vec()));
                arrivals.push((at, name, way));
            }
        }
        arrivals
    }

    /// Takes what has reached the end of a stream.
    pub(crate) fn arrive(&mut self, name: LinkNo, way: Way, now: Instant) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        let Some(link) = self.links.get_mut(&name) else { return arrivals };
        let (pipe, wire) = match way {
            Way::Up => (&mut link.up, &mut link.server),
            Way::Down => (&mut link.down, &mut link.client),
        };
        while let Some((_, chunk)) = pipe.flight.pop_front_if(|(at, _)| *at <= now) {
            match chunk {
                Chunk::Bytes(bytes) => pipe.input.extend_from_slice(&bytes),
                Chunk::End => arrivals.push(Arrival::End),
            }
            loop {
                match wire.receive(&mut pipe.input) {
                    Ok(None) => break,
                    Ok(Some(item)) => arrivals.push(Arrival::Item(item)),
                    Err(_) => {
                        arrivals.push(Arrival::End);
                        break;
                    }
                }
            }
        }
        if pipe.is_deaf {
            arrivals.clear();
        }
        arrivals
    }

    /// The sender of `way` goes; what it wrote before still arrives, and then its end. It hears
    /// nothing more. Returns when that is.
    pub(crate) fn close(&mut self, name: LinkNo, way: Way, now: Instant) -> Option<Instant> {
        let link = self.links.get_mut(&name)?;
        let (pipe, back) = match way {
            Way::Up => (&mut link.up, &mut link.down),
            Way::Down => (&mut link.down, &mut link.up),
        };
        back.is_deaf = true;
        if pipe.is_deaf {
            self.links.remove(&name);
            return None;
        }
        if std::mem::replace(&mut pipe.is_ended, true) || !link.works {
            return None;
        }
        if !pipe.written.is_empty() {
            let bytes = std::mem::take(&mut pipe.written);
            pipe.add(now + LATENCY_MIN, Chunk::Bytes(bytes));
        }
        Some(pipe.add(now + LATENCY_MIN, Chunk::End))
    }

    /// Breaks a link, perhaps in the middle of a frame. Each side notices in its own time; returns
    /// when.
    pub(crate) fn cut(
        &mut self,
        name: LinkNo,
        notices: [Duration; 2],
        now: Instant,
        dice: &mut Dice,
    ) -> Vec<(Instant, LinkNo, Way)> {
        let Some(link) = self.links.get_mut(&name) else { return Vec::new() };
        if !std::mem::replace(&mut link.works, false) {
            return Vec::new();
        }
        let mut arrivals = Vec::new();
        for (way, notice) in Way::BOTH.into_iter().zip(notices) {
            let pipe = if way == Way::Up { &mut link.up } else { &mut link.down };
            pipe.written.clear();
            pipe.lose_end(dice);
            pipe.is_ended = true;
            arrivals.push((pipe.add(now + notice, Chunk::End), name, way));
        }
        arrivals
    }

    /// Nothing new arrives over the link for a while.
    pub(crate) fn stall(&mut self, name: LinkNo, span: Duration, now: Instant) {
        for way in Way::BOTH {
            if let Some(pipe) = self.pipe_mut(name, way) {
                pipe.free_at = pipe.free_at.max(Some(now + span));
            }
        }
    }

    pub(crate) fn owner(&self, name: LinkNo) -> Option<Owner> {
        self.links.get(&name)?.owner
    }

    /// The links that work.
    pub(crate) fn working(&self) -> Vec<LinkNo> {
        let working = self.links.iter().filter(|(_, link)| link.works && !link.up.is_ended);
        working.map(|(name, _)| *name).collect()
    }

    /// Every link that has an end somewhere.
    pub(crate) fn all(&self) -> Vec<LinkNo> {
        self.links.keys().copied().collect()
    }

    fn pipe_mut(&mut self, name: LinkNo, way: Way) -> Option<&mut Pipe> {
        let link = self.links.get_mut(&name)?;
        Some(if way == Way::Up { &mut link.up } else { &mut link.down })
    }
}

impl Pipe {
    fn add(&mut self, at: Instant, chunk: Chunk) -> Instant {
        let at = self.free_at.map_or(at, |free_at| free_at.max(at));
        self.free_at = Some(at);
        self.flight.push_back((at, chunk));
        at
    }

    /// Of what is in flight only a part arrives.
    fn lose_end(&mut self, dice: &mut Dice) {
        let in_flight = self.flight.iter().map(|(_, chunk)| match chunk {
            Chunk::Bytes(bytes) => bytes.len(),
            Chunk::End => 0,
        });
        let mut left = dice.index(in_flight.sum::<usize>() + 1);
        self.flight.retain_mut(|(_, chunk)| match chunk {
            Chunk::Bytes(bytes) => {
                bytes.truncate(left);
                left -= bytes.len();
                !bytes.is_empty()
            }
            Chunk::End => false,
        });
    }
}

fn latency(dice: &mut Dice) -> Duration {
    dice.ms(5..=80)
}

const LATENCY_MIN: Duration = Duration::from_millis(5);
