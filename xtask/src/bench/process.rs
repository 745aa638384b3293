//! Programs that are measured: started on a core of their own, and ended with us.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

/// A program on one core, where there is `taskset`; anywhere otherwise.
pub(super) fn on_core(core: u32, program: &Path) -> Command {
    if !can_pin() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

pub(super) fn can_pin() -> bool {
    let mut taskset = Command::new("taskset");
    let outcome = taskset.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    outcome.is_ok_and(|status| status.success())
}

/// A server that says in one line of JSON where it listens. It is killed when dropped.
pub(super) struct Served {
    child: Child,
    pub(super) uri: String,
    pub(super) public_key: PathBuf,
}

impl Served {
    /// Starts it; what it says besides goes to `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let log = File::create(log).with_context(|| log.display().to_string())?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().map(BufReader::new);
        stdout.context("its output is piped")?.read_line(&mut line)?;
        let found = serde_json::from_str(&line).ok().and_then(|line: Value| {
            let address = line["addresses"][0].as_str()?;
            Some((format!("tcp://{address}"), line["public_key"].as_str()?.into()))
        });
        let Some((uri, public_key)) = found else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("{command:?} does not say where it listens: {line:?}");
        };
        Ok(Self { child, uri, public_key })
    }

    /// Its process: `taskset` becomes the program that it starts.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
