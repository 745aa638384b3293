//! Instructions of codec and session works, beside those of a floor that does the least.
//!
//! A processor's time depends on what else the machine does; how many instructions a work takes
//! does not. Valgrind counts them, and a ratio to the floor survives another compiler.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::json;

use crate::workspace::{cargo, metadata};

/// A work, and how many times as many instructions as its floor it may take.
struct Work {
    name: &'static str,
    ratio_max: f64,
}

/// The bounds are a tenth above what was counted when they were set; who makes a work cheaper
/// lowers its bound.
const WORKS: [Work; 6] = [
    Work { name: "ack-out", ratio_max: 1.2 },
    Work { name: "ack-in", ratio_max: 1.4 },
    Work { name: "ack-in-owned", ratio_max: 2.3 },
    Work { name: "container-in", ratio_max: 3.2 },
    Work { name: "container-in-owned", ratio_max: 14.3 },
    Work { name: "session", ratio_max: 5.1 },
];

/// Counts, prints, and fails if a work takes too many.
pub(crate) fn run(as_json: bool) -> anyhow::Result<()> {
    let build = ["build", "--quiet", "--release", "--package", "mtproto-benches"];
    let status = cargo().args(build).args(["--bin", "instructions"]).status()?;
    if !status.success() {
        bail!("cargo build ended with {status}");
    }
    let program = metadata()?.target_directory.join("release/instructions");
    let mut over = Vec::new();
    if !as_json {
        println!("{:<20}{:>14}{:>14}{:>9}{:>9}", "work", "instructions", "floor", "ratio", "bound");
    }
    for Work { name, ratio_max } in WORKS {
        let ours = count_each(&program, name)?;
        let floor = count_each(&program, &format!("{name}-floor"))?;
        let ratio = ours / floor;
        if as_json {
            let line = json!({
                "work": name, "ours": ours, "floor": floor, "ratio": ratio, "ratio_max": ratio_max,
            });
            println!("{line}");
        } else {
            println!("{name:<20}{ours:>14.0}{floor:>14.0}{ratio:>9.2}{ratio_max:>9.2}");
        }
        if ratio > ratio_max {
            over.push(name);
        }
    }
    if !over.is_empty() {
        bail!("more instructions than the bound allows: {}", over.join(", "));
    }
    Ok(())
}

pub(crate) fn can_count() -> bool {
    let mut valgrind = Command::new("valgrind");
    let outcome = valgrind.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    outcome.is_ok_and(|status| status.success())
}

/// Instructions of a work done once: how many more it takes to do it more often, so that starting
/// the program is no part of it.
fn count_each(program: &Path, work: &str) -> anyhow::Result<f64> {
    let (few, many) = (count(program, work, FEW)?, count(program, work, MANY)?);
    Ok((many - few) / f64::from(MANY - FEW))
}

fn count(program: &Path, work: &str, times: u32) -> anyhow::Result<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(program).args([work, &times.to_string()]);
    let output = valgrind.output().context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    match counted(&said) {
        Some(count) if output.status.success() => Ok(count),
        _ => bail!("valgrind counts nothing of {work}: {}", said.trim()),
    }
}

/// The number in `==1== Collected : 123`.
fn counted(said: &str) -> Option<f64> {
    let (_, after) = said.split_once("Collected : ")?;
    after.lines().next()?.trim().parse().ok()
}

/// Why nothing is counted, and what to do.
pub(crate) const NO_VALGRIND: &str = "there is no valgrind; install it to count what a work takes";

const FEW: u32 = 100;
const MANY: u32 = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_valgrind_says_is_read() {
        let said = "==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n";
        assert_eq!(counted(said), Some(1_234_567.0));
        assert_eq!(counted("valgrind: no such file"), None);
    }
}
