//! The rows that load whole servers with `mtproto bench`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use super::process::{Listening, can_pin, on_core};
use super::relays::{self, RELAYED};
use super::{figure, table::Row};
use crate::workspace::{cargo, metadata};

/// One measurement.
pub(super) struct EndToEnd {
    pub(super) number: u32,
    what: &'static str,
    /// What `mtproto bench` is told.
    args: &'static [&'static str],
    /// What of its figures counts: each is a line.
    figures: &'static [Figure],
    unit: &'static str,
    more_is_better: bool,
    pace: Pace,
}

/// A figure of `mtproto bench`.
struct Figure {
    /// Its name in JSON.
    name: &'static str,
    /// What it says beside the others of the same runs.
    of: &'static str,
}

/// How fast a server is loaded.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Pace {
    /// As fast as it answers.
    Saturated,
    /// Half of what it can do.
    HalfOfOwn,
    /// Half of what the slowest of all can do: the same for each.
    HalfOfSlowest,
}

pub(super) const ROWS: [EndToEnd; 11] = [
    per_second(
        10,
        "handshakes/s a core",
        &["--handshakes", "--connections", "32"],
        &[Figure::alone("handshakes_per_server_core_second")],
    ),
    pings(13, "ping RPC/s a core, 64 x 1", &["--connections", "64"]),
    pings(14, "ping RPC/s a core, 64 x 32", &["--connections", "64", "--depth", "32"]),
    pings(
        15,
        "ping RPC/s a core, 64 x 8 containers of 20",
        &["--connections", "64", "--depth", "8", "--containers", "20"],
    ),
    EndToEnd {
        number: 16,
        what: "memory of an idle connection with a session",
        args: &["--idle", "5000"],
        figures: &[Figure::alone("server_bytes_per_connection")],
        unit: "B",
        more_is_better: false,
        pace: Pace::Saturated,
    },
    pings(18, "ping RPC/s a core, 1000 x 1", &["--connections", "1000"]),
    tail("p99 at half the slowest's rate", Pace::HalfOfSlowest),
    tail("p99 at half of its own rate", Pace::HalfOfOwn),
    EndToEnd {
        number: 21,
        what: "storm of 10,000, first pong of all",
        args: &["--storm", "10000"],
        figures: &[Figure::alone("all_pongs_seconds")],
        unit: "s",
        more_is_better: false,
        pace: Pace::Saturated,
    },
    pings(RELAYED, "ping RPC/s a core of a relay, 64 x 1", &["--connections", "64"]),
    // 580 pings make a packet of 16 KiB.
    pings(
        RELAYED,
        "ping RPC/s a core of a relay, 8 x 16 KiB",
        &["--connections", "8", "--containers", "580"],
    ),
];

impl Figure {
    const fn alone(name: &'static str) -> Self {
        Self { name, of: "" }
    }
}

const fn pings(number: u32, what: &'static str, args: &'static [&'static str]) -> EndToEnd {
    per_second(number, what, args, &[SATURATED])
}

/// Rates count by the server's own time, so that a pause of the load takes nothing from them.
const fn per_second(
    number: u32,
    what: &'static str,
    args: &'static [&'static str],
    figures: &'static [Figure],
) -> EndToEnd {
    let pace = Pace::Saturated;
    EndToEnd { number, what, args, figures, unit: "/s", more_is_better: true, pace }
}

/// The verdict is what most of the time is like; what the machine's pauses do to the whole run
/// stands below it.
const fn tail(what: &'static str, pace: Pace) -> EndToEnd {
    let args = &["--connections", "64"];
    let figures = &[
        Figure { name: "p99_slices_ms", of: ": median slice" },
        Figure { name: "p99_ms", of: ": whole run" },
    ];
    EndToEnd { number: 20, what, args, figures, unit: "ms", more_is_better: false, pace }
}

pub(super) fn has(row: u32) -> bool {
    ROWS.iter().any(|known| known.number == row)
}

/// The programs, built.
pub(super) struct Bench {
    /// The folder that they are in.
    release: PathBuf,
    peers: Peers,
    /// Where servers keep their state.
    work: PathBuf,
    seconds: String,
}

/// Programs of others to be measured as well.
pub(super) struct Peers {
    /// gotd's test server.
    pub(super) server: Option<PathBuf>,
    /// telemt.
    pub(super) relay: Option<PathBuf>,
}

/// What is loaded, ready.
pub(super) struct Target {
    /// What `mtproto bench` connects to; its time and memory count.
    pub(super) measured: Listening,
    /// The server behind it, of a relay.
    pub(super) behind: Option<Listening>,
    /// What `mtproto bench` has to know to speak to it.
    pub(super) args: Vec<String>,
}

/// Who is loaded.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Side {
    Limit,
    Ours,
    Peer,
}

impl Bench {
    /// Builds what is measured.
    pub(super) fn prepare(peers: Peers, seconds: u32) -> anyhow::Result<Self> {
        let mut build = cargo();
        build.args(["build", "--quiet", "--release"]);
        for package in ["mtproto-cli", "mtproto-benches", "mtproto-relay"] {
            build.args(["--package", package]);
        }
        for program in ["mtproto", "floor", "pipe", "relay"] {
            build.args(["--bin", program]);
        }
        let status = build.status()?;
        if !status.success() {
            bail!("cargo build ended with {status}");
        }
        if !can_pin() {
            eprintln!("note: there is no taskset, so server and load may share a core");
        }
        let target = metadata()?.target_directory;
        let (release, work) = (target.join("release"), target.join("bench"));
        Ok(Self { release, peers, work, seconds: seconds.to_string() })
    }

    /// Measures a row on every side there is.
    pub(super) fn measure(&self, row: &EndToEnd) -> anyhow::Result<Vec<Row>> {
        // The floor exchanges keys as ours does, and keeps no sessions whose memory would count.
        let has_limit = !matches!(row.number, 10 | 16);
        let mut sides = vec![Side::Ours];
        sides.extend(has_limit.then_some(Side::Limit));
        let peer = if row.number == RELAYED { &self.peers.relay } else { &self.peers.server };
        sides.extend(peer.is_some().then_some(Side::Peer));
        let rates = self.rates(row, &sides)?;
        let runs = sides.iter().zip(rates).map(|(side, rate)| self.runs(*side, row, rate));
        let runs = runs.collect::<anyhow::Result<Vec<_>>>()?;
        let line = |wanted: &Figure| {
            let figures = runs.iter().map(|runs| middle(runs, wanted));
            let figures = figures.collect::<anyhow::Result<Vec<_>>>()?;
            let of = |side: Side| sides.iter().position(|known| *known == side);
            Ok(Row {
                number: row.number,
                what: format!("{}{}", row.what, wanted.of),
                unit: row.unit,
                ours: figures[0],
                peer: of(Side::Peer).map(|place| figures[place]),
                limit: of(Side::Limit).map(|place| figures[place]),
                more_is_better: row.more_is_better,
            })
        };
        row.figures.iter().map(line).collect()
    }

    /// How many pings a second each side is to answer, where that is limited: half of what it does
    /// by its own time, as in row 13. By the clock's, a pause of the machine would count as well.
    fn rates(&self, row: &EndToEnd, sides: &[Side]) -> anyhow::Result<Vec<Option<f64>>> {
        if row.pace == Pace::Saturated {
            return Ok(vec![None; sides.len()]);
        }
        let saturated = sides.iter().map(|side| middle(&self.runs(*side, row, None)?, &SATURATED));
        let mut rates = saturated.collect::<anyhow::Result<Vec<f64>>>()?;
        if row.pace == Pace::HalfOfSlowest {
            let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
            rates.fill(slowest);
        }
        Ok(rates.into_iter().map(|rate| Some(rate / 2.0)).collect())
    }

    /// What runs came to, each on a server that was just started.
    fn runs(&self, side: Side, row: &EndToEnd, rate: Option<f64>) -> anyhow::Result<Vec<Value>> {
        (0..RUNS).map(|_| self.load(&self.serve(side, row)?, row.args, rate)).collect()
    }

    fn serve(&self, side: Side, row: &EndToEnd) -> anyhow::Result<Target> {
        if row.number == RELAYED {
            return relays::start(self, side);
        }
        let measured = match side {
            Side::Limit => self.start(&self.program("floor"), 0, |_| {}),
            Side::Ours => self.start_ours(0),
            Side::Peer => self.start(peer(&self.peers.server)?, 0, |_| {}),
        }?;
        Ok(Target { measured, behind: None, args: Vec::new() })
    }

    /// Our server.
    pub(super) fn start_ours(&self, core: u32) -> anyhow::Result<Listening> {
        self.start(&self.program("mtproto"), core, |command| {
            command.args(["serve", "--json", "--no-tls", "--shards", "1"]);
            command.args(["--exchanges-per-ip", "1000000"]);
        })
    }

    /// A server on a core, with a folder for its state.
    fn start(
        &self,
        program: &Path,
        core: u32,
        set_up: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Listening> {
        let name = program.file_name().unwrap_or_default();
        let dir = self.dir(&name.to_string_lossy())?;
        let mut command = on_core(core, program);
        set_up(&mut command);
        Listening::start(command.arg("--dir").arg(&dir), &dir.with_extension("log"))
    }

    /// A folder for what `name` keeps.
    pub(super) fn dir(&self, name: &str) -> anyhow::Result<PathBuf> {
        let dir = self.work.join(name);
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        Ok(dir)
    }

    /// A program of this workspace.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.release.join(name)
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Runs `mtproto bench` and reads what it says.
    fn load(&self, target: &Target, args: &[&str], rate: Option<f64>) -> anyhow::Result<Value> {
        let Target { measured, behind, args: manners } = target;
        let mut command = on_core(1, &self.program("mtproto"));
        command.args(["bench", &format!("tcp://{}", measured.address)]).args(manners);
        command.arg("--key").arg(behind.as_ref().unwrap_or(measured).public_key()?);
        command.args(["--pid", &measured.pid().to_string(), "--json", "--timeout", "60"]);
        command.args(["--seconds", &self.seconds]).args(args);
        if let Some(rate) = rate {
            command.args(["--rate", &format!("{rate:.0}")]);
        }
        let output = command.stderr(Stdio::inherit()).output().context("cannot run mtproto")?;
        if !output.status.success() {
            bail!("{command:?} ended with {}", output.status);
        }
        serde_json::from_slice(&output.stdout).context("mtproto bench prints no JSON")
    }
}

/// A peer is measured only where there is one.
pub(super) fn peer(path: &Option<PathBuf>) -> anyhow::Result<&Path> {
    path.as_deref().context("no peer was given")
}

/// The middle one of what runs say.
fn middle(runs: &[Value], wanted: &Figure) -> anyhow::Result<f64> {
    let mut figures =
        runs.iter().map(|run| figure(run, wanted.name)).collect::<anyhow::Result<Vec<f64>>>()?;
    figures.sort_by(f64::total_cmp);
    Ok(figures[figures.len() / 2])
}

/// Of which the middle one counts.
const RUNS: usize = 3;

/// How many pings a server answers in a second of its own time.
const SATURATED: Figure = Figure::alone("pongs_per_server_core_second");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_middle_run_counts_for_each_figure() -> anyhow::Result<()> {
        let runs = [(3.0, 0.1), (1.0, 0.3), (2.0, 0.2)];
        let runs = runs.map(|(whole, slices)| json!({ "p99_ms": whole, "p99_slices_ms": slices }));
        assert_eq!(middle(&runs, &Figure::alone("p99_ms"))?, 2.0);
        assert_eq!(middle(&runs, &Figure::alone("p99_slices_ms"))?, 0.2);
        assert!(middle(&runs, &SATURATED).is_err());
        Ok(())
    }

    #[test]
    fn the_first_line_of_a_tail_is_not_the_machines() {
        for row in ROWS.iter().filter(|row| row.number == 20) {
            let names: Vec<_> = row.figures.iter().map(|figure| figure.name).collect();
            assert_eq!(names, ["p99_slices_ms", "p99_ms"], "{}", row.what);
        }
    }
}
