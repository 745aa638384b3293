//! Programs that are measured: started on a core of their own, and ended with us.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

/// A program that listens. It is killed when dropped.
pub(super) struct Listening {
    child: Child,
    pub(super) address: SocketAddr,
    /// What it said when it began.
    said: Value,
}

impl Listening {
    /// Starts a program that says in one line of JSON where it listens; what it says besides goes
    /// to `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let child = spawn(command.stdout(Stdio::piped()), log)?;
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut listening = Self { child, address, said: Value::Null };
        let mut line = String::new();
        let stdout = listening.child.stdout.take().map(BufReader::new);
        stdout.context("its output is piped")?.read_line(&mut line)?;
        listening.said = serde_json::from_str(&line).unwrap_or_default();
        let address = listening.said["addresses"][0].as_str().and_then(|it| it.parse().ok());
        let missing = || format!("{command:?} does not say where it listens: {line:?}");
        listening.address = address.with_context(missing)?;
        Ok(listening)
    }

    /// Starts a program that was told where to listen, and waits until it does.
    pub(super) fn start_at(
        address: SocketAddr,
        command: &mut Command,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let child = spawn(command.stdout(Stdio::null()), log)?;
        let mut listening = Self { child, address, said: Value::Null };
        for _ in 0..START_TRIES {
            if let Some(status) = listening.child.try_wait()? {
                bail!("{command:?} ended with {status}; see {}", log.display());
            }
            if TcpStream::connect(address).is_ok() {
                return Ok(listening);
            }
            #[allow(clippy::disallowed_methods, reason = "nothing else is to be done meanwhile")]
            std::thread::sleep(START_PAUSE);
        }
        bail!("{command:?} does not listen on {address}; see {}", log.display())
    }

    /// Where its public key is.
    pub(super) fn public_key(&self) -> anyhow::Result<PathBuf> {
        let path = self.said["public_key"].as_str();
        Ok(path.context("a server says where its public key is")?.into())
    }

    /// Tells it to stop, as a person would, and waits until it has.
    pub(super) fn interrupt(mut self) -> anyhow::Result<()> {
        let pid = self.pid().to_string();
        let status =
            Command::new("kill").args(["-INT", &pid]).status().context("cannot run kill")?;
        if !status.success() {
            bail!("kill -INT {pid} ended with {status}");
        }
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { bail!("a server ended with {status}") }
    }

    /// Its process: `taskset` becomes the program that it starts.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let log = File::create(log).with_context(|| log.display().to_string())?;
    command
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))
}

/// How often it is tried whether a program listens, and how long in between.
const START_TRIES: u32 = 200;
const START_PAUSE: Duration = Duration::from_millis(50);
