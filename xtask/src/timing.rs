//! `cargo xtask timing`: whether secrets can be told from times.

use anyhow::bail;

use crate::workspace::cargo;

/// Looks for secrets in times; fails if there are any.
///
/// Times the comparison of `msg_key`, RSA with its paddings, and the powers of a key exchange, each
/// on inputs of two classes in random order, and compares the classes by Welch's t-test, as dudect
/// does. A t of 10 or more is a difference. One case is known to leak and has to be found. Choose a
/// quiet machine: others that use the same core hide what is looked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long each case is timed, in seconds.
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "mtproto-benches"]);
    command.args(["--example", "timing", "--", &arguments.seconds.to_string()]);
    let status = command.status()?;
    if status.success() { Ok(()) } else { bail!("the times of secrets ended with {status}") }
}
