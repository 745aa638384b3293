//! The rows that load whole servers with `mtproto bench`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;

use super::process::{Served, can_pin, on_core};
use super::{figure, table::Row};
use crate::workspace::{cargo, metadata};

/// One measurement.
pub(super) struct EndToEnd {
    pub(super) number: u32,
    what: &'static str,
    /// What `mtproto bench` is told.
    args: &'static [&'static str],
    /// What of its figures counts.
    figure: &'static str,
    unit: &'static str,
    more_is_better: bool,
    pace: Pace,
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

pub(super) const ROWS: [EndToEnd; 9] = [
    per_second(
        10,
        "handshakes/s a core",
        &["--handshakes", "--connections", "32"],
        "handshakes_per_server_core_second",
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
        figure: "server_bytes_per_connection",
        unit: "B",
        more_is_better: false,
        pace: Pace::Saturated,
    },
    pings(18, "ping RPC/s a core, 1000 x 1", &["--connections", "1000"]),
    tail("p99 at half the rate of the slowest, 64 x 1", Pace::HalfOfSlowest),
    tail("p99 at half of what each can do, 64 x 1", Pace::HalfOfOwn),
    EndToEnd {
        number: 21,
        what: "storm of 10,000, first pong of all",
        args: &["--storm", "10000"],
        figure: "all_pongs_seconds",
        unit: "s",
        more_is_better: false,
        pace: Pace::Saturated,
    },
];

const fn pings(number: u32, what: &'static str, args: &'static [&'static str]) -> EndToEnd {
    per_second(number, what, args, "pongs_per_server_core_second")
}

/// Rates count by the server's own time, so that a pause of the load takes nothing from them.
const fn per_second(
    number: u32,
    what: &'static str,
    args: &'static [&'static str],
    figure: &'static str,
) -> EndToEnd {
    let pace = Pace::Saturated;
    EndToEnd { number, what, args, figure, unit: "/s", more_is_better: true, pace }
}

const fn tail(what: &'static str, pace: Pace) -> EndToEnd {
    let args = &["--connections", "64"];
    EndToEnd { number: 20, what, args, figure: "p99_ms", unit: "ms", more_is_better: false, pace }
}

pub(super) fn has(row: u32) -> bool {
    ROWS.iter().any(|known| known.number == row)
}

/// The programs, built.
pub(super) struct Bench {
    mtproto: PathBuf,
    floor: PathBuf,
    peer: Option<PathBuf>,
    /// Where servers keep their state.
    work: PathBuf,
    seconds: String,
}

/// Who is loaded.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Side {
    Limit,
    Ours,
    Peer,
}

impl Bench {
    /// Builds what is measured.
    pub(super) fn prepare(peer: Option<PathBuf>, seconds: u32) -> anyhow::Result<Self> {
        let build = ["build", "--quiet", "--release", "--bin", "mtproto", "--bin", "floor"];
        let packages = ["--package", "mtproto-cli", "--package", "mtproto-benches"];
        let status = cargo().args(build).args(packages).status()?;
        if !status.success() {
            bail!("cargo build ended with {status}");
        }
        if !can_pin() {
            eprintln!("note: there is no taskset, so server and load may share a core");
        }
        let target = metadata()?.target_directory;
        let (release, work) = (target.join("release"), target.join("bench"));
        let (mtproto, floor) = (release.join("mtproto"), release.join("floor"));
        Ok(Self { mtproto, floor, peer, work, seconds: seconds.to_string() })
    }

    /// Measures a row on every side there is.
    pub(super) fn measure(&self, row: &EndToEnd) -> anyhow::Result<Row> {
        // The floor exchanges keys as ours does, and keeps no sessions whose memory would count.
        let has_limit = !matches!(row.number, 10 | 16);
        let mut sides = vec![Side::Ours];
        sides.extend(has_limit.then_some(Side::Limit));
        sides.extend(self.peer.is_some().then_some(Side::Peer));
        let rates = self.rates(row, &sides)?;
        let figures = sides.iter().zip(rates).map(|(side, rate)| self.median(*side, row, rate));
        let figures = figures.collect::<anyhow::Result<Vec<_>>>()?;
        let of = |wanted: Side| sides.iter().position(|side| *side == wanted);
        Ok(Row {
            number: row.number,
            what: row.what.to_owned(),
            unit: row.unit,
            ours: figures[0],
            peer: of(Side::Peer).map(|place| figures[place]),
            limit: of(Side::Limit).map(|place| figures[place]),
            more_is_better: row.more_is_better,
        })
    }

    /// How many pings a second each side is to answer, where that is limited.
    fn rates(&self, row: &EndToEnd, sides: &[Side]) -> anyhow::Result<Vec<Option<f64>>> {
        if row.pace == Pace::Saturated {
            return Ok(vec![None; sides.len()]);
        }
        let saturated = sides.iter().map(|side| {
            let report = self.load(&self.serve(*side)?, row.args, None)?;
            figure(&report, "pongs_per_second")
        });
        let mut rates = saturated.collect::<anyhow::Result<Vec<f64>>>()?;
        if row.pace == Pace::HalfOfSlowest {
            let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
            rates.fill(slowest);
        }
        Ok(rates.into_iter().map(|rate| Some(rate / 2.0)).collect())
    }

    /// The middle one of three runs, each on a server that was just started.
    fn median(&self, side: Side, row: &EndToEnd, rate: Option<f64>) -> anyhow::Result<f64> {
        let run = |_| figure(&self.load(&self.serve(side)?, row.args, rate)?, row.figure);
        let mut figures = (0..RUNS).map(run).collect::<anyhow::Result<Vec<f64>>>()?;
        figures.sort_by(f64::total_cmp);
        Ok(figures[RUNS / 2])
    }

    fn serve(&self, side: Side) -> anyhow::Result<Served> {
        let name = match side {
            Side::Limit => "floor",
            Side::Ours => "mtproto",
            Side::Peer => "peer",
        };
        let dir = self.work.join(name);
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let server = |program: &Path| on_core(0, program);
        let mut command = match side {
            Side::Limit => server(&self.floor),
            Side::Ours => {
                let mut command = server(&self.mtproto);
                command.args(["serve", "--json", "--no-tls", "--shards", "1"]);
                command.args(["--exchanges-per-ip", "1000000"]);
                command
            }
            Side::Peer => server(self.peer.as_deref().unwrap_or(Path::new("tgtest"))),
        };
        Served::start(command.arg("--dir").arg(&dir), &self.work.join(format!("{name}.log")))
    }

    /// Runs `mtproto bench` and reads what it says.
    fn load(&self, served: &Served, args: &[&str], rate: Option<f64>) -> anyhow::Result<Value> {
        let mut command = on_core(1, &self.mtproto);
        command.args(["bench", &served.uri, "--json", "--timeout", "60", "--key"]);
        command.arg(&served.public_key).args(["--pid", &served.pid().to_string()]);
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

/// Of which the middle one counts.
const RUNS: usize = 3;
