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
}

pub(super) const ROWS: [EndToEnd; 8] = [
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
    },
    pings(18, "ping RPC/s a core, 1000 x 1", &["--connections", "1000"]),
    EndToEnd {
        number: 20,
        what: "p99 at half the saturated rate, 64 x 1",
        args: &["--connections", "64"],
        figure: "p99_ms",
        unit: "ms",
        more_is_better: false,
    },
    EndToEnd {
        number: 21,
        what: "storm of 10,000, first pong of all",
        args: &["--storm", "10000"],
        figure: "all_pongs_seconds",
        unit: "s",
        more_is_better: false,
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
    EndToEnd { number, what, args, figure, unit: "/s", more_is_better: true }
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
#[derive(Clone, Copy)]
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
        let peer = self.peer.is_some().then(|| self.median(Side::Peer, row)).transpose()?;
        let limit = has_limit.then(|| self.median(Side::Limit, row)).transpose()?;
        Ok(Row {
            number: row.number,
            what: row.what.to_owned(),
            unit: row.unit,
            ours: self.median(Side::Ours, row)?,
            peer,
            limit,
            more_is_better: row.more_is_better,
        })
    }

    /// The middle one of three runs, each on a server that was just started.
    fn median(&self, side: Side, row: &EndToEnd) -> anyhow::Result<f64> {
        let mut figures = Vec::new();
        for _ in 0..RUNS {
            let served = self.serve(side)?;
            let mut args: Vec<String> = row.args.iter().map(|&arg| arg.to_owned()).collect();
            if row.number == 20 {
                let saturated = self.load(&served, &args)?;
                let rate = figure(&saturated, "pongs_per_second")? / 2.0;
                args.extend(["--rate".to_owned(), format!("{rate:.0}")]);
            }
            figures.push(figure(&self.load(&served, &args)?, row.figure)?);
        }
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
    fn load(&self, served: &Served, args: &[String]) -> anyhow::Result<Value> {
        let mut command = on_core(1, &self.mtproto);
        command.args(["bench", &served.uri, "--json", "--timeout", "60", "--key"]);
        command.arg(&served.public_key).args(["--pid", &served.pid().to_string()]);
        command.args(["--seconds", &self.seconds]).args(args);
        let output = command.stderr(Stdio::inherit()).output().context("cannot run mtproto")?;
        if !output.status.success() {
            bail!("{command:?} ended with {}", output.status);
        }
        serde_json::from_slice(&output.stdout).context("mtproto bench prints no JSON")
    }
}

/// Of which the middle one counts.
const RUNS: usize = 3;
