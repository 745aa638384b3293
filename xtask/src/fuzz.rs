//! `cargo xtask fuzz`: bytes that nobody meant, for as long as one likes.

use std::process::Command;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::workspace::{cargo, root};

/// Fuzzes rows 0 to 3; fails if an input breaks what must hold.
///
/// Goes on from what earlier runs found worth keeping, in `fuzz/corpus`. An input that fails is
/// kept in `fuzz/artifacts`; to see it again:
/// `cargo run --manifest-path fuzz/Cargo.toml --bin TARGET -- FILE`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this one; without it all of them, one after the other.
    target: Option<Target>,
    /// How long each runs, in seconds.
    #[arg(long, value_name = "N", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// What is fuzzed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// Streams that look like TLS.
    #[value(name = "fake_tls")]
    FakeTls,
    /// A client and a server, and everything that can happen to them.
    Operations,
    /// Containers, gzip, results, wrappers.
    Pack,
    /// Every decoder of the service schema.
    Tl,
    /// Recognition, obfuscation and framings.
    Wire,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let version = cargo().args(["fuzz", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        bail!("cargo-fuzz is not installed: cargo install --locked cargo-fuzz@0.13.2");
    }
    let targets = match &arguments.target {
        Some(target) => std::slice::from_ref(target),
        None => Target::value_variants(),
    };
    targets.iter().try_for_each(|target| fuzz(*target, arguments.seconds))
}

fn fuzz(target: Target, seconds: u32) -> anyhow::Result<()> {
    let name = name(target);
    println!("\n==== {name}: {seconds} s");
    let mut command = cargo();
    // Hardly anything of ours is unsafe: without a sanitizer there are twice as many runs.
    command.args(["fuzz", "run", "--sanitizer", "none", &name, "--"]);
    // Long inputs from the beginning: a conversation takes many bytes.
    command.args(["-len_control=0", "-max_len=4096", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}"));
    // What instruments the code is not for stable compilers, unless they are told that it is.
    let status = command.env("RUSTC_BOOTSTRAP", "1").status().context("cannot run cargo fuzz")?;
    if status.success() { Ok(()) } else { bail!("{name} ended with {status}") }
}

/// What its binary is called.
fn name(target: Target) -> String {
    target.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default()
}

/// Checks that the targets compile, which needs neither cargo-fuzz nor libFuzzer.
pub(crate) fn check() -> Command {
    let mut command = cargo();
    command.current_dir(root().join("fuzz"));
    command.args(["check", "--locked", "--all-targets"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_name_here() {
        let files = crate::workspace::files(&root().join("fuzz/targets"), &["rs"]).unwrap();
        let files: Vec<_> = files.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
        let targets: Vec<_> = Target::value_variants().iter().map(|it| name(*it)).collect();
        assert_eq!(files, targets);
    }
}
