//! `cargo xtask sim`: many seeds of the simulator, optimised and on all cores.

use anyhow::bail;

use crate::workspace::cargo;

/// Simulates many seeds; fails if any of them breaks an invariant.
///
/// See one of them: `mtproto sim --seed N --minutes M --trace`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Simulated minutes in which things go wrong.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
}

impl Arguments {
    /// What the gate runs.
    pub(crate) fn short() -> Self {
        Self { seeds: 20, first: 0, minutes: 10 }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { seeds, first, minutes } = arguments;
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "mtproto-sim", "--"]);
    for (name, value) in [("--seeds", seeds), ("--first", first), ("--minutes", minutes)] {
        command.args([name, &value.to_string()]);
    }
    let status = command.status()?;
    if status.success() { Ok(()) } else { bail!("the simulator ended with {status}") }
}
