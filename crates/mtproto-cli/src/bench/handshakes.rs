//! Key exchanges, many at once, each over a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use mtproto_kit::auth::PlainMessage;
use mtproto_kit::frame::Misuse;
use mtproto_kit::session::MsgIds;
use mtproto_kit::tl::{Author, ServerTime};

use super::exchange::{Agreed, Exchange, Exchanger, Step};
use super::histogram::Histogram;
use super::net::{Arrivals, Net};
use super::server::Server;
use super::session::Key;
use super::talk::explain_socket;
use crate::exit::Failure;

/// What a while of exchanges came to.
pub(super) struct Tally {
    pub(super) times: Histogram,
    pub(super) failed: u64,
    pub(super) elapsed: Duration,
}

/// Makes exchanges for so long, over so many connections at once.
pub(super) fn measure(
    server: &Server,
    connections: usize,
    span: Duration,
    count: &AtomicU64,
) -> Result<Tally, Failure> {
    let mut handshakes = Handshakes::start(server, connections, usize::MAX)?;
    let (mut times, mut made) = (Histogram::new(), Vec::new());
    // The first one of all may check the group, which is no exchange's own work.
    handshakes.until_one_is_made(server, &mut made)?;
    made.clear();
    let start = Instant::now();
    let mut left = span;
    while !left.is_zero() {
        handshakes.step(left, &mut made)?;
        count.fetch_add(made.len() as u64, Ordering::Relaxed);
        made.drain(..).for_each(|(_, time)| times.record(time));
        left = span.saturating_sub(start.elapsed());
    }
    Ok(Tally { times, failed: handshakes.failed, elapsed: start.elapsed() })
}

/// Makes keys that the server knows.
pub(super) fn keys(
    server: &Server,
    wanted: usize,
    count: &AtomicU64,
) -> Result<Vec<Arc<Key>>, Failure> {
    let mut handshakes = Handshakes::start(server, wanted.min(AT_ONCE), wanted)?;
    let (mut keys, mut made) = (Vec::with_capacity(wanted), Vec::new());
    while keys.len() < wanted {
        handshakes.until_one_is_made(server, &mut made)?;
        for (agreed, _) in made.drain(..) {
            let clock = ServerTime::from_unix(Duration::from_secs(u64::from(agreed.server_time)));
            let clock = (Instant::now(), clock);
            let auth = handshakes.exchanger.key(&agreed).map_err(Failure::network)?;
            keys.push(Arc::new(Key { auth, salt: agreed.salt, clock }));
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(keys)
}

struct Handshakes {
    net: Net,
    exchanger: Exchanger,
    under_way: Vec<UnderWay>,
    arrivals: Arrivals,
    /// How many exchanges are still to be begun. None is begun in vain: there are servers that do
    /// not survive a client that leaves before it has said anything.
    to_begin: usize,
    made: u64,
    failed: u64,
}

/// The exchange of one connection.
struct UnderWay {
    exchange: Option<Exchange>,
    since: Instant,
    ids: MsgIds,
}

impl Handshakes {
    fn start(server: &Server, connections: usize, exchanges: usize) -> Result<Self, Failure> {
        let mut handshakes = Self {
            net: server.net()?,
            exchanger: server.exchanger(),
            under_way: Vec::with_capacity(connections),
            arrivals: Arrivals::default(),
            to_begin: exchanges - connections,
            made: 0,
            failed: 0,
        };
        for _ in 0..connections {
            let index = handshakes.net.connect().map_err(explain_socket)?;
            let ids = MsgIds::default();
            handshakes.under_way.push(UnderWay { exchange: None, since: Instant::now(), ids });
            handshakes.begin(index)?;
        }
        Ok(handshakes)
    }

    fn until_one_is_made(
        &mut self,
        server: &Server,
        made: &mut Vec<(Agreed, Duration)>,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + server.patience;
        while made.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seconds = server.patience.as_secs_f64();
                let fix = "check the address, --framing and --secret";
                return Err(Failure::network(format!("no key within {seconds} s; {fix}")));
            }
            self.step(left, made)?;
        }
        Ok(())
    }

    /// Waits for answers, for `timeout` at most; adds what exchanges came to, and begins others in
    /// their place.
    fn step(
        &mut self,
        timeout: Duration,
        made: &mut Vec<(Agreed, Duration)>,
    ) -> Result<(), Failure> {
        self.net.wait(timeout, &mut self.arrivals).map_err(explain_socket)?;
        for (index, packet) in std::mem::take(&mut self.arrivals.packets) {
            let answer = PlainMessage::decode(&packet.freeze());
            match answer.map_err(|error| error.to_string()).and_then(|it| self.take(index, &it)) {
                Ok(None) => {}
                Ok(Some(agreed)) => {
                    made.push((agreed, self.under_way[index].since.elapsed()));
                    self.made += 1;
                    self.renew(index)?;
                }
                Err(why) => self.fail(index, &why)?,
            }
        }
        for (index, why) in std::mem::take(&mut self.arrivals.lost) {
            if self.under_way[index].exchange.is_some() {
                self.fail(index, &why)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, index: usize, answer: &PlainMessage) -> Result<Option<Agreed>, String> {
        // What comes after the end of an exchange, or for one that was here before, is nobody's.
        let Some(exchange) = self.under_way[index].exchange.take() else { return Ok(None) };
        match self.exchanger.handle(exchange, &answer.body).map_err(|fault| fault.to_string())? {
            Step::Done(agreed) => Ok(Some(agreed)),
            Step::Query(exchange, query) => self
                .send(index, exchange, query)
                .map(|()| None)
                .map_err(|misuse| misuse.to_string()),
        }
    }

    /// Counts an exchange that came to nothing. A few may: of some servers one in a hundred does.
    fn fail(&mut self, index: usize, why: &str) -> Result<(), Failure> {
        self.failed += 1;
        if self.failed > FAILED_MAX + self.made / 8 {
            let fix = "check the address, --key and --dc; a server may limit exchanges, as \
                       mtproto serve does by --exchanges-per-ip";
            let (failed, made) = (self.failed, self.made);
            let what = format!("{failed} key exchanges failed and {made} did not: {why}; {fix}");
            return Err(Failure::network(what));
        }
        self.to_begin = self.to_begin.saturating_add(1);
        self.renew(index)
    }

    /// Begins another exchange in the place of one that is over, if another is wanted.
    fn renew(&mut self, index: usize) -> Result<(), Failure> {
        let Some(left) = self.to_begin.checked_sub(1) else { return Ok(()) };
        self.to_begin = left;
        self.net.replace(index).map_err(explain_socket)?;
        self.begin(index)
    }

    fn begin(&mut self, index: usize) -> Result<(), Failure> {
        let (exchange, query) = self.exchanger.start();
        self.under_way[index].since = Instant::now();
        self.send(index, exchange, query).map_err(Failure::usage)
    }

    fn send(&mut self, index: usize, exchange: Exchange, body: Bytes) -> Result<(), Misuse> {
        let UnderWay { exchange: place, ids, .. } = &mut self.under_way[index];
        *place = Some(exchange);
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let msg_id = ids.issue(ServerTime::from_unix(time), Author::Client);
        self.net.send(index, &PlainMessage { msg_id, body }.to_packet())
    }
}

/// Exchanges under way at once when keys are made.
const AT_ONCE: usize = 8;

/// Exchanges that may fail before the first has not.
const FAILED_MAX: u64 = 16;
