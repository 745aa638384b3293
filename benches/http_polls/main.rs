//! What a long poll costs a server that holds ten thousand, and how soon a push reaches one of
//! them, beside one that goes over TCP.
//!
//! The server is a process of its own, this program once more, so that the memory is its alone. It
//! is what that process has, whatever for, less what it had without the polls, divided by their
//! number: the buffers that the kernel has for each socket are not in it. Every poll is of its own
//! session and auth key.

mod peer;
mod server;

use std::time::Duration;
use std::{env, fs};

use peer::{Peer, Way, pushed_at};
use serde_json::json;
use server::Server;

/// Connections that are set up side by side. The server has room for so many at its door.
const SIDE_BY_SIDE: u32 = 64;

/// Sessions that the server has known before memory is looked at, so that what it needs once is not
/// counted.
const WARM_UP: u32 = 64;

/// How long the server has to come to rest.
const REST: Duration = Duration::from_millis(500);

/// How long it is watched how much the server works while all of them wait.
const WATCH: Duration = Duration::from_secs(1);

/// File descriptors that are needed for other things.
const OTHER_FILES: u32 = 100;

fn main() {
    if server::serve_if_asked() {
        return;
    }
    let report = Report::from_args();
    let (polls, pushes) = if report.is_wanted { (10_000, 2000) } else { (20, 10) };
    let streams = pushes.min(500);
    check_files(polls + streams + WARM_UP + OTHER_FILES);

    let mut server = Server::start(polls + streams + WARM_UP);
    let _warm = hold(&server, polls + streams..polls + streams + WARM_UP);
    rest(REST);
    let before = server.memory();
    let mut held = hold(&server, 0..polls);
    rest(REST);
    let memory = server.memory() - before;
    let used = server.cpu_time();
    rest(WATCH);
    let used = (server.cpu_time() - used).as_secs_f64() / WATCH.as_secs_f64();
    assert!(held.iter().all(Peer::is_held), "the server has let go of some");
    report.print(
        &format!("{polls} polls that are held"),
        &[
            ("bytes each", memory / f64::from(polls)),
            ("bytes before", before),
            ("cpu us a second", used * 1e6),
        ],
    );

    let mut streams: Vec<_> =
        (polls..polls + streams).map(|it| settle_stream(&server, it)).collect();
    let mut delays = [Vec::new(), Vec::new()];
    for turn in 0..pushes as usize {
        let ways = [&mut held, &mut streams];
        for (peers, delays) in ways.into_iter().zip(&mut delays) {
            let count = peers.len();
            delays.push(push(&mut server, &mut peers[turn % count]));
        }
    }
    let [http, tcp] = delays.map(Delays::of);
    report.print(
        &format!("{pushes} pushes while {polls} polls are held, us"),
        &[
            ("http median", http.median),
            ("http p99", http.p99),
            ("tcp median", tcp.median),
            ("tcp p99", tcp.p99),
            ("http median - tcp median", http.median - tcp.median),
        ],
    );
}

/// Long polls with keys of these numbers.
fn hold(server: &Server, mut numbers: std::ops::Range<u32>) -> Vec<Peer> {
    let mut held = Vec::with_capacity(numbers.len());
    while !numbers.is_empty() {
        let some = numbers.by_ref().take(SIDE_BY_SIDE as usize);
        let mut some: Vec<_> =
            some.map(|number| Peer::connect(server.address, Way::Http, number)).collect();
        for peer in &mut some {
            let (created, _) = peer.receive();
            peer.poll(&created);
        }
        held.append(&mut some);
    }
    held
}

/// A session over TCP that has nothing to say.
fn settle_stream(server: &Server, number: u32) -> Peer {
    let mut peer = Peer::connect(server.address, Way::Tcp, number);
    let (created, _) = peer.receive();
    peer.poll(&created);
    peer
}

/// How long a push takes to the client, in microseconds.
fn push(server: &mut Server, peer: &mut Peer) -> f64 {
    server.push(&peer.session);
    let (messages, received) = peer.receive();
    let pushed = messages.iter().find_map(pushed_at).expect("nothing else is said");
    peer.poll(&messages);
    // So that the next finds a server that does nothing.
    rest(Duration::from_millis(1));
    received.saturating_sub(pushed).as_secs_f64() * 1e6
}

/// What is printed, as a table or in JSON.
struct Report {
    /// `cargo bench` wants figures; `cargo test` wants to know whether all of it works.
    is_wanted: bool,
    is_json: bool,
}

impl Report {
    fn from_args() -> Self {
        let has = |flag: &str| env::args().any(|arg| arg == flag);
        Self { is_wanted: has("--bench") && !has("--test"), is_json: has("--json") }
    }

    fn print(&self, work: &str, figures: &[(&str, f64)]) {
        if !self.is_wanted {
            return;
        }
        if self.is_json {
            let mut row = json!({ "layer": "http polls", "work": work });
            for (name, figure) in figures {
                row[*name] = json!(figure);
            }
            return println!("{row}");
        }
        println!("\nhttp polls: {work}");
        for (name, figure) in figures {
            println!("  {name:<32} {figure:>14.1}");
        }
    }
}

/// Lets the server do what it still has to do.
fn rest(time: Duration) {
    #[allow(clippy::disallowed_methods, reason = "nothing else is to be done meanwhile")]
    std::thread::sleep(time);
}

struct Delays {
    median: f64,
    p99: f64,
}

impl Delays {
    fn of(mut delays: Vec<f64>) -> Self {
        delays.sort_by(f64::total_cmp);
        let at = |part: usize| delays[(delays.len() - 1) * part / 100];
        Self { median: at(50), p99: at(99) }
    }
}

/// Makes sure that a process may have so many files.
fn check_files(needed: u32) {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux tells");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = limit.and_then(|limit| limit.split_whitespace().next()?.parse::<u32>().ok());
    assert!(
        soft.is_none_or(|soft| soft >= needed),
        "{needed} files are needed at a time: say `ulimit -n {needed}` first"
    );
}
