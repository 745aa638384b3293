//! How often the server asks the allocator for memory, per ping that it answers.
//!
//! It is the server of `mtproto serve`, loaded by `mtproto bench`, under valgrind, which counts.
//! What a short run takes more is taken by a longer one as well, so what the longer one takes more
//! is taken by its pings. Load changes how many those are, not what each takes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::figure;
use super::process::Listening;
use crate::workspace::{cargo, metadata};

/// A load, and how many allocations a ping of it may cost.
struct Work {
    name: &'static str,
    /// What `mtproto bench` is told.
    args: &'static [&'static str],
    each_max: f64,
}

/// One allocation in a ping on its own is one too many: what is allowed is what tables cost that
/// grow for a while. Where many arrive together, each list of them may take one.
const WORKS: [Work; 2] = [
    Work { name: "ping alone", args: &["--depth", "1"], each_max: 0.02 },
    Work { name: "32 pings in flight", args: &["--depth", "32"], each_max: 0.2 },
];

/// Counts, prints, and fails if a ping takes too many.
pub(crate) fn run(as_json: bool) -> anyhow::Result<()> {
    let build = ["build", "--quiet", "--release", "--package", "mtproto-cli", "--bin", "mtproto"];
    let status = cargo().args(build).status()?;
    if !status.success() {
        bail!("cargo build ended with {status}");
    }
    let target = metadata()?.target_directory;
    let (program, dir) = (target.join("release/mtproto"), target.join("bench/allocations"));
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let bench = Bench { program, dir };
    // The first run makes the server's key.
    bench.load(&WORKS[0], SECONDS_FEW)?;
    if !as_json {
        println!("{:<20}{:>12}{:>14}{:>9}", "work", "pings", "allocations", "bound");
    }
    let mut over = Vec::new();
    for work in &WORKS {
        let Work { name, each_max, .. } = work;
        let (few, many) = (bench.load(work, SECONDS_FEW)?, bench.load(work, SECONDS_MANY)?);
        let pings = many.pongs - few.pongs;
        if pings < PINGS_MIN {
            bail!("{name}: only {pings} more pings in {SECONDS_MANY} seconds, nothing is counted");
        }
        let each = (many.allocations - few.allocations) / pings;
        if as_json {
            println!("{}", json!({ "work": name, "each": each, "each_max": each_max }));
        } else {
            println!("{name:<20}{pings:>12.0}{each:>14.3}{each_max:>9.2}");
        }
        if each > *each_max {
            over.push(*name);
        }
    }
    if !over.is_empty() {
        bail!("more allocations a ping than the bound allows: {}", over.join(", "));
    }
    Ok(())
}

struct Bench {
    program: PathBuf,
    /// Where the server keeps its state.
    dir: PathBuf,
}

/// What a run came to.
struct Counted {
    pongs: f64,
    allocations: f64,
}

impl Bench {
    /// Loads a server for so many seconds.
    fn load(&self, work: &Work, seconds: u32) -> anyhow::Result<Counted> {
        let said = self.dir.with_extension("valgrind");
        let mut serve = Command::new("valgrind");
        serve.arg("--leak-check=no").arg(format!("--log-file={}", said.display()));
        serve.arg(&self.program).args(["serve", "--json", "--no-tls", "--shards", "1", "--dir"]);
        let server = Listening::start(serve.arg(&self.dir), &self.dir.with_extension("log"))?;
        let pongs = self.pings(&server, work, seconds)?;
        server.interrupt()?;
        let said = fs::read_to_string(&said).with_context(|| said.display().to_string())?;
        let allocations = counted(&said);
        let allocations =
            allocations.with_context(|| format!("valgrind counts nothing: {said}"))?;
        Ok(Counted { pongs, allocations })
    }

    /// How many pings are answered in so many seconds.
    fn pings(&self, server: &Listening, work: &Work, seconds: u32) -> anyhow::Result<f64> {
        let mut bench = Command::new(&self.program);
        bench.args(["bench", &format!("tcp://{}", server.address), "--json"]);
        bench.arg("--key").arg(server.public_key()?).args(["--connections", "8"]);
        bench.args(["--seconds", &seconds.to_string(), "--timeout", "60"]).args(work.args);
        let output = bench.output().context("cannot run mtproto")?;
        if !output.status.success() {
            bail!("{bench:?} ended with {}", output.status);
        }
        let report: Value = serde_json::from_slice(&output.stdout)?;
        figure(&report, "pongs")
    }
}

/// The number in `==1==   total heap usage: 1,234 allocs, 1,200 frees`.
fn counted(said: &str) -> Option<f64> {
    let (_, after) = said.split_once("total heap usage: ")?;
    let (count, _) = after.split_once(" allocs")?;
    count.replace(',', "").parse().ok()
}

const SECONDS_FEW: u32 = 1;
const SECONDS_MANY: u32 = 6;

/// With fewer, what happens once would count.
const PINGS_MIN: f64 = 2000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_valgrind_says_is_read() {
        let said = "==7==   total heap usage: 1,013,438 allocs, 3,341 frees, 1,563 bytes allocated";
        assert_eq!(counted(said), Some(1_013_438.0));
        assert_eq!(counted("valgrind: no such file"), None);
    }
}
