//! `cargo xtask bench`: the rows of `docs/performance.md`, measured.

pub(crate) mod allocations;
mod end_to_end;
pub(crate) mod instructions;
mod layers;
mod process;
mod relays;
mod table;

use std::path::PathBuf;

use anyhow::bail;
use serde_json::Value;

use end_to_end::{Bench, Peers};

/// Measures the rows of docs/performance.md, ours beside a peer and the limit in the same run.
///
/// Rows of one layer are those of `cargo bench -p mtproto-benches`. The others load a server
/// from end to end: it has core 0 for itself, and `mtproto bench` core 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this row; may be given several times. Without it all of them.
    #[arg(long, value_name = "N")]
    row: Vec<u32>,
    /// The binary of gotd's test server, to be measured as well:
    /// `cd tests/interop/gotd && go build -o PATH ./tgtest`.
    #[arg(long, value_name = "PATH")]
    peer: Option<PathBuf>,
    /// The binary of telemt, a proxy, to be measured beside our example of a relay:
    /// `cargo build --release` in a checkout of github.com/telemt/telemt.
    #[arg(long, value_name = "PATH")]
    relay_peer: Option<PathBuf>,
    /// Seconds of each end-to-end measurement, of which there are three.
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Count instructions of codec and session rows instead, and fail if there are too many; says
    /// so and does nothing where valgrind is missing.
    #[arg(long, conflicts_with_all = ["row", "peer", "relay_peer"])]
    instructions: bool,
    /// Count how often the server allocates for a ping instead, and fail if it is too often; says
    /// so and does nothing where valgrind is missing.
    #[arg(long, conflicts_with_all = ["row", "peer", "relay_peer", "instructions"])]
    allocations: bool,
    /// One JSON object a row.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.instructions || arguments.allocations {
        if !instructions::can_count() {
            println!("nothing is counted: {}", instructions::NO_VALGRIND);
            return Ok(());
        }
        let count = if arguments.allocations { allocations::run } else { instructions::run };
        return count(arguments.json);
    }
    let known = |row: &&u32| layers::has(**row) || end_to_end::has(**row);
    if let Some(row) = arguments.row.iter().find(|row| !known(row)) {
        bail!("row {row}: there is none; docs/performance.md lists them");
    }
    let peers = Peers { server: arguments.peer.clone(), relay: arguments.relay_peer.clone() };
    for (flag, path) in [("--peer", &peers.server), ("--relay-peer", &peers.relay)] {
        if let Some(path) = path.iter().find(|path| !path.is_file()) {
            bail!("{flag} {}: no such file; build it as --help says", path.display());
        }
    }
    let wants = |row: u32| arguments.row.is_empty() || arguments.row.contains(&row);
    let mut print = table::Printer::new(arguments.json);
    layers::measure(wants, |row| print.row(&row))?;
    if end_to_end::ROWS.iter().any(|row| wants(row.number)) {
        let bench = Bench::prepare(peers, arguments.seconds)?;
        for row in end_to_end::ROWS.iter().filter(|row| wants(row.number)) {
            bench.measure(row)?.iter().for_each(|line| print.row(line));
        }
    }
    Ok(())
}

/// Reads a figure that a program printed.
fn figure(object: &Value, name: &str) -> anyhow::Result<f64> {
    match object.get(name).and_then(Value::as_f64) {
        Some(figure) => Ok(figure),
        None => bail!("there is no {name} in {object}"),
    }
}
