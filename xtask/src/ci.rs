//! `cargo xtask ci`: the whole gate.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::bench::{allocations, instructions};
use crate::workspace::{cargo, metadata};
use crate::{codegen, fuzz, layers, sim, spec, tidy};

/// Runs everything that has to pass before a change goes in.
///
/// A step that fails does not keep the others from running; all that failed are named at the end.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Run this step and no other; may be repeated.
    #[arg(long, value_name = "STEP", conflicts_with = "skip")]
    only: Vec<Step>,
    /// Leave this step out; may be repeated.
    #[arg(long, value_name = "STEP")]
    skip: Vec<Step>,
}

/// A step of the gate, in the order in which they run: quick ones first.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Step {
    /// Formatting: `cargo fmt --check`.
    Fmt,
    /// Lines, functions, files: `cargo xtask tidy`.
    Tidy,
    /// Who depends on whom: `cargo xtask layers`.
    Layers,
    /// Requirements with their code and tests: `cargo xtask spec --check`.
    Spec,
    /// Generated code is fresh: `cargo xtask codegen --check`.
    Codegen,
    /// Lints, every warning an error: `cargo clippy`.
    Clippy,
    /// Documentation, every warning an error: `cargo doc`.
    Doc,
    /// Tests: `cargo test --workspace`.
    Test,
    /// Every path of the processor against the portable one, a million times each.
    Paths,
    /// A few seeds of the simulator: `cargo xtask sim`.
    Sim,
    /// Instructions of codec and session, allocations of the server: two of `cargo xtask bench`.
    Count,
    /// The targets of `cargo xtask fuzz` compile.
    Fuzz,
    /// Every crate compiles with no feature and with all.
    Features,
    /// The full schema of Telegram's API: `cargo xtask codegen --api-check`.
    Api,
    /// Licences, sources and bans of dependencies: `cargo deny`.
    Deny,
    /// The oldest compiler that the manifests promise.
    Oldest,
}

/// How a step that did not fail ended.
enum Outcome {
    Passed,
    /// It could not run here; why, and what to do.
    Skipped(String),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let is_wanted = |step: &Step| {
        (arguments.only.is_empty() || arguments.only.contains(step))
            && !arguments.skip.contains(step)
    };
    let mut failed = Vec::new();
    let mut lines = Vec::new();
    for step in Step::value_variants().iter().copied().filter(is_wanted) {
        println!("\n==== {}", step.name());
        let (outcome, took) = timed(|| step.run());
        let verdict = match outcome {
            Ok(Outcome::Passed) => "passed".to_owned(),
            Ok(Outcome::Skipped(reason)) => format!("skipped: {reason}"),
            Err(error) => {
                failed.push(step.name());
                format!("FAILED: {error:#}")
            }
        };
        let line = format!("{:<8} {:>6.1} s  {verdict}", step.name(), took.as_secs_f64());
        println!("{line}");
        lines.push(line);
    }
    println!("\n{}", lines.join("\n"));
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

#[allow(clippy::disallowed_methods, reason = "a tool may look at the clock")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed())
}

impl Step {
    fn name(self) -> String {
        self.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default()
    }

    fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Fmt => succeed(cargo().args(["fmt", "--all", "--check"])),
            Self::Tidy => tidy::run(&tidy::Arguments::default()).map(|()| Outcome::Passed),
            Self::Layers => layers::run(&layers::Arguments {}).map(|()| Outcome::Passed),
            Self::Spec => spec::run(&spec::Arguments::check()).map(|()| Outcome::Passed),
            Self::Codegen => codegen::run(&codegen::Arguments::check()).map(|()| Outcome::Passed),
            Self::Clippy => succeed(cargo().args(CLIPPY)),
            Self::Doc => succeed(cargo().args(DOC).env("RUSTDOCFLAGS", "-D warnings")),
            Self::Test => succeed(cargo().args(["test", "--workspace"])),
            Self::Paths => succeed(cargo().args(PATHS)),
            Self::Sim => sim::run(&sim::Arguments::short()).map(|()| Outcome::Passed),
            Self::Count => count(),
            Self::Fuzz => fuzz_targets(),
            Self::Features => features(),
            Self::Api => codegen::run(&codegen::Arguments::api()).map(|()| Outcome::Passed),
            Self::Deny => deny(),
            Self::Oldest => oldest(),
        }
    }
}

fn count() -> anyhow::Result<Outcome> {
    if !instructions::can_count() {
        return Ok(Outcome::Skipped(instructions::NO_VALGRIND.to_owned()));
    }
    instructions::run(false)?;
    allocations::run(false).map(|()| Outcome::Passed)
}

/// Runs `command`, whose output goes where ours goes.
fn succeed(command: &mut Command) -> anyhow::Result<Outcome> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if status.success() { Ok(Outcome::Passed) } else { bail!("{status}") }
}

/// Checks each published crate by itself, so that it does not live on features that others turn on.
fn features() -> anyhow::Result<Outcome> {
    let mut failed = Vec::new();
    for package in metadata()?.packages.iter().filter(|it| layers::row_of(&it.name).is_some()) {
        for features in ["--no-default-features", "--all-features"] {
            let mut command = cargo();
            command.args(["check", "--quiet", "--package", &package.name, features]);
            if succeed(&mut command).is_err() {
                failed.push(format!("{} {features}", package.name));
            }
        }
    }
    if failed.is_empty() { Ok(Outcome::Passed) } else { bail!("{}", failed.join(", ")) }
}

/// What is fuzzed is no part of the workspace, so that nothing above compiles it.
fn fuzz_targets() -> anyhow::Result<Outcome> {
    succeed(&mut fuzz::check())
        .context("if its lock file is too old: cargo check --manifest-path fuzz/Cargo.toml")
}

fn deny() -> anyhow::Result<Outcome> {
    let version = cargo().args(["deny", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        let install = "not installed: cargo install --locked cargo-deny@0.20.2";
        return Ok(Outcome::Skipped(install.to_owned()));
    }
    succeed(cargo().args(["deny", "check", "bans", "sources", "licenses"]))
}

/// What ran above ran on the installed compiler; when that is not the oldest one, the oldest one
/// has to compile all of it as well.
fn oldest() -> anyhow::Result<Outcome> {
    let packages = metadata()?.packages;
    let mut versions = packages.iter().filter_map(|it| it.rust_version.as_deref());
    let promised = versions.next().context("no `rust-version` in the manifests")?;
    if let Some(other) = versions.find(|version| *version != promised) {
        bail!("`rust-version` is {promised} here and {other} there");
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().context("cannot run rustc")?;
    let installed = String::from_utf8_lossy(&output.stdout).into_owned();
    if is_version(&installed, promised) {
        println!("{promised} is what ran the other steps: {}", installed.trim());
        return Ok(Outcome::Passed);
    }
    let toolchain = format!("+{promised}");
    // The `cargo` of rustup, since only that one takes a toolchain.
    let mut command = Command::new("cargo");
    command.current_dir(crate::workspace::root());
    succeed(command.args([&toolchain, "check", "--workspace", "--all-targets"]))
        .with_context(|| format!("to have it: rustup toolchain install {promised}"))
}

/// Whether `rustc 1.95.0 (…)` is version `1.95`.
fn is_version(rustc: &str, version: &str) -> bool {
    let number = rustc.split_whitespace().nth(1).unwrap_or_default();
    number == version || number.strip_prefix(version).is_some_and(|rest| rest.starts_with('.'))
}

const CLIPPY: [&str; 7] =
    ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];

/// In release, where these tests have so many cases.
const PATHS: [&str; 8] =
    ["test", "--release", "--package", "mtproto-crypto", "--all-features", "--lib", "--", "cpu::"];

const DOC: [&str; 4] = ["doc", "--workspace", "--no-deps", "--all-features"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_parts() {
        assert!(is_version("rustc 1.95.0 (59807616e 2026-04-14)", "1.95"));
        assert!(is_version("rustc 1.95.0", "1.95.0"));
        assert!(!is_version("rustc 1.950.0", "1.95"));
        assert!(!is_version("rustc 1.96.0", "1.95"));
        assert!(!is_version("", "1.95"));
    }
}
