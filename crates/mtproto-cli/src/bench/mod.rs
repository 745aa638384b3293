//! `mtproto bench`: load for a server, and what the server made of it.
//!
//! What is driven here is not the client of this project but as little as a server will talk to, so
//! that the server is what is measured.

mod contact;
mod exchange;
mod handshakes;
mod histogram;
mod net;
mod pings;
mod process;
mod progress;
mod report;
mod server;
mod session;
mod talk;
mod times;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args, value_parser};
use mtproto_kit::frame::{Framing, Secret};

use crate::connect::{Target, seconds};
use crate::exit::Failure;
use crate::ping::milliseconds;
use contact::{AT_ONCE, Contact, Pace};
use pings::Plan;
use process::Process;
use progress::{Goal, watch};
use report::Report;
use server::Server;
use session::Key;
use times::Times;

/// Load any MTProto server over TCP and measure what it does
///
/// Without another workload: pings, in as many packets as --connections, --depth and --containers
/// say, each followed by another as soon as it is answered.
///
/// To measure one core of a server, give it one, and this command another:
///
///   taskset -c 0 mtproto serve --dir DIR --shards 1 --exchanges-per-ip 1000000
///   taskset -c 1 mtproto bench tcp://127.0.0.1:PORT --key DIR/public.pem --pid PID
///
/// While "generator busy percent" is below 100 per thread, the server is what was measured.
///
/// At a --rate a ping's time counts from when it was due. "p99 ms" is of the whole run, which a
/// pause of the machine for milliseconds may decide. "p99 slices ms" is what most of the time is
/// like: the p99 of each tenth of a second by when its pings were due, and the middle one of those.
/// What stalls in fewer than half of the slices does not move it. It takes 10,000 pings a second;
/// of fewer, a slice's p99 is close to its longest.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
#[command(group = ArgGroup::new("workload").args(["handshakes", "idle", "storm", "rate"]))]
pub(crate) struct BenchArgs {
    /// Where the server is: tcp://HOST:PORT, or a proxy link without fake TLS
    #[arg(value_name = "URI")]
    address: Target,
    /// The server's public RSA key, a PEM file; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    /// Make key exchanges instead of pings, each over a connection of its own
    #[arg(long)]
    handshakes: bool,
    /// Hold this many connections with a session each, and send nothing
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=CONNECTIONS_MAX))]
    idle: Option<u32>,
    /// Open this many connections at once with keys that the server knows, and wait for the first
    /// pong of each
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=CONNECTIONS_MAX))]
    storm: Option<u32>,
    /// Pings per second, of all connections together, whether or not they are answered; a thread
    /// that keeps to a rate does not sleep
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,
    /// Connections that ping, or exchange keys
    #[arg(long, default_value_t = 64, value_name = "N")]
    #[arg(value_parser = value_parser!(u32).range(1..=CONNECTIONS_MAX))]
    connections: u32,
    /// Packets in flight on each connection
    #[arg(long, default_value_t = 1, value_name = "D")]
    #[arg(value_parser = value_parser!(u32).range(1..=DEPTH_MAX))]
    #[arg(conflicts_with = "rate")]
    depth: u32,
    /// Pings in each packet
    #[arg(long, default_value_t = 1, value_name = "C")]
    #[arg(value_parser = value_parser!(u32).range(1..=CONTAINERS_MAX))]
    containers: u32,
    /// Seconds to measure, or to hold idle connections
    #[arg(long, default_value_t = 5.0, value_name = "S", value_parser = seconds)]
    seconds: f64,
    /// Threads that ping
    #[arg(long, default_value_t = 1, value_name = "N")]
    #[arg(value_parser = value_parser!(u32).range(1..=THREADS_MAX))]
    threads: u32,
    /// Auth keys that the connections share; by default one for every 64, as many sessions as a
    /// server may grant a key
    #[arg(long, value_name = "N")]
    keys: Option<NonZeroU32>,
    /// The server's process on this machine: also show what it used
    #[arg(long)]
    pid: Option<u32>,
    /// How packets are framed: abridged, intermediate, padded or full; intermediate unless a secret
    /// wants padded
    #[arg(long)]
    framing: Option<Framing>,
    /// Obfuscate the stream
    #[arg(long)]
    obfuscated: bool,
    /// Proxy secret, as hex, base64 or base64url; implies --obfuscated
    #[arg(long)]
    secret: Option<Secret>,
    /// Data centre to name in the key exchange
    #[arg(long, default_value_t = 2, value_name = "ID", allow_negative_numbers = true)]
    dc: i16,
    /// Seconds to wait for a key or a first pong
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    timeout: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let bench = Bench {
        args,
        server: Server::new(args)?,
        process: args.pid.map(Process::find).transpose()?,
    };
    let report = match (args.handshakes, args.idle, args.storm) {
        (true, ..) => bench.handshakes(),
        (_, Some(connections), _) => bench.idle(connections as usize),
        (_, _, Some(connections)) => bench.storm(connections as usize),
        _ => bench.pings(),
    };
    report?.print(args.json);
    Ok(())
}

struct Bench<'a> {
    args: &'a BenchArgs,
    server: Server,
    process: Option<Process>,
}

impl Bench<'_> {
    fn handshakes(&self) -> Result<Report, Failure> {
        let usage = Usage::now(self.process);
        let connections = self.args.connections as usize;
        let tally = watch("handshakes", Goal::Time(self.span()), |count| {
            handshakes::measure(&self.server, connections, self.span(), count)
        })?;
        let mut report = Report::new("handshakes");
        report.count("connections", connections as u64);
        report.count("handshakes", tally.times.total());
        report.count("failed", tally.failed);
        report.rate("handshakes_per_second", tally.times.total(), tally.elapsed);
        report.times(&tally.times);
        usage.add_to(&mut report, "handshakes_per_server_core_second", tally.times.total());
        Ok(report)
    }

    fn idle(&self, connections: usize) -> Result<Report, Failure> {
        let keys = self.keys(connections)?;
        let memory = || self.process.and_then(Process::memory);
        let before = memory();
        let Contact { mut talk, elapsed, .. } =
            self.contact(&keys, connections, Pace { at_once: AT_ONCE, pings: 2 })?;
        let end = Instant::now() + self.span();
        watch("idle", Goal::Time(self.span()), |_| {
            while let Some(left) = end.checked_duration_since(Instant::now()) {
                talk.receive(left, |_, _| {})?;
            }
            Ok(())
        })?;
        let mut report = Report::new("idle");
        report.count("connections", connections as u64);
        report.count("keys", keys.len() as u64);
        report.measure("set_up_seconds", elapsed.as_secs_f64());
        if let Some((before, after)) = before.zip(memory()) {
            report.count("server_bytes_before", before);
            report.count("server_bytes_after", after);
            let each = after.saturating_sub(before) / connections as u64;
            report.count("server_bytes_per_connection", each);
        }
        Ok(report)
    }

    fn storm(&self, connections: usize) -> Result<Report, Failure> {
        let keys = self.keys(connections)?;
        let usage = Usage::now(self.process);
        let contact = self.contact(&keys, connections, Pace { at_once: connections, pings: 1 })?;
        let mut report = Report::new("storm");
        report.count("connections", connections as u64);
        report.count("keys", keys.len() as u64);
        report.measure("all_pongs_seconds", contact.elapsed.as_secs_f64());
        report.rate("connections_per_second", connections as u64, contact.elapsed);
        report.times(&contact.times);
        usage.add_to(&mut report, "connections_per_server_core_second", connections as u64);
        Ok(report)
    }

    fn pings(&self) -> Result<Report, Failure> {
        let connections = self.args.connections as usize;
        let threads = (self.args.threads as usize).min(connections);
        let keys = self.keys(connections)?;
        let shares = (0..threads).map(|thread| share(connections, threads, thread));
        let talks = shares.map(|share| {
            let contact = self.contact(&keys, share, Pace { at_once: AT_ONCE, pings: 1 })?;
            Ok((contact.talk, share))
        });
        let talks = talks.collect::<Result<Vec<_>, Failure>>()?;

        let plan = Plan {
            depth: self.args.depth as usize,
            containers: self.args.containers as usize,
            rate: self.args.rate.map(|rate| f64::from(rate.get()) / threads as f64),
            span: self.span(),
        };
        let usage = Usage::now(self.process);
        let tallies = watch("pings", Goal::Time(self.span()), |count| load(talks, plan, count))?;

        let mut times = Times::new();
        tallies.iter().for_each(|tally| times.merge(&tally.times));
        let elapsed = tallies.iter().map(|tally| tally.elapsed).max().unwrap_or_default();
        let mut report = Report::new("pings");
        report.count("connections", connections as u64);
        if self.args.rate.is_none() {
            report.count("depth", plan.depth as u64);
        }
        report.count("containers", plan.containers as u64);
        report.count("threads", threads as u64);
        report.count("pongs", times.whole().total());
        report.count("unanswered", tallies.iter().map(|tally| tally.unanswered).sum());
        report.rate("pongs_per_second", times.whole().total(), elapsed);
        report.times(times.whole());
        report.measure("p99_slices_ms", milliseconds(times.p99_of_slices()));
        usage.add_to(&mut report, "pongs_per_server_core_second", times.whole().total());
        Ok(report)
    }

    fn span(&self) -> Duration {
        Duration::from_secs_f64(self.args.seconds)
    }

    fn keys(&self, connections: usize) -> Result<Vec<Arc<Key>>, Failure> {
        let asked = self.args.keys.map(|keys| keys.get() as usize);
        let wanted = asked.unwrap_or(connections.div_ceil(SESSIONS_PER_KEY)).min(connections);
        watch("keys", Goal::Count(wanted), |count| handshakes::keys(&self.server, wanted, count))
    }

    fn contact(
        &self,
        keys: &[Arc<Key>],
        connections: usize,
        pace: Pace,
    ) -> Result<Contact, Failure> {
        watch("connections", Goal::Count(connections), |count| {
            contact::make(&self.server, keys, connections, pace, count)
        })
    }
}

/// Loads every thread's connections at the same time.
fn load(
    talks: Vec<(talk::Talk, usize)>,
    plan: Plan,
    count: &AtomicU64,
) -> Result<Vec<pings::Tally>, Failure> {
    thread::scope(|scope| {
        let start = |(mut talk, connections)| {
            scope.spawn(move || pings::run(&mut talk, connections, plan, count))
        };
        let threads: Vec<_> = talks.into_iter().map(start).collect();
        let tallies = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        tallies.collect()
    })
}

/// How many connections one thread of several has.
fn share(connections: usize, threads: usize, thread: usize) -> usize {
    connections / threads + usize::from(thread < connections % threads)
}

/// What server and generator had used at a time.
struct Usage {
    at: Instant,
    own: Option<Duration>,
    server: Option<(Process, Duration)>,
}

impl Usage {
    fn now(server: Option<Process>) -> Self {
        let server = server.and_then(|server| Some((server, server.cpu_time()?)));
        Self { at: Instant::now(), own: Process::own_cpu_time(), server }
    }

    /// Adds what they have used since, and how many of `count` things a core of the server does in
    /// a second.
    fn add_to(&self, report: &mut Report, name: &'static str, count: u64) {
        let elapsed = self.at.elapsed();
        let since = |before: Duration, now: Option<Duration>| now?.checked_sub(before);
        let own = self.own.and_then(|own| since(own, Process::own_cpu_time()));
        if let Some(own) = own {
            let busy = own.as_secs_f64() / elapsed.as_secs_f64() * 100.0;
            report.count("generator_busy_percent", busy.round() as u64);
        }
        let server = self.server.and_then(|(server, cpu)| since(cpu, server.cpu_time()));
        if let Some(server) = server {
            report.measure("server_cpu_seconds", server.as_secs_f64());
            report.rate(name, count, server);
        }
    }
}

/// More than the local ports towards one server.
const CONNECTIONS_MAX: i64 = 1 << 20;
/// More than what a server keeps of a session.
const DEPTH_MAX: i64 = 1024;
/// As many as a container may have, and something to acknowledge.
const CONTAINERS_MAX: i64 = 1019;
const THREADS_MAX: i64 = 256;

/// How many sessions a key has; mtproto serve ends the oldest of more.
const SESSIONS_PER_KEY: usize = 64;
