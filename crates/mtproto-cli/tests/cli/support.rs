//! Runs the binary.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// How long any command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Its exit code.
    pub(crate) code: i32,
    /// What it wrote to standard output.
    pub(crate) stdout: String,
    /// What it wrote to standard error.
    pub(crate) stderr: String,
}

/// The binary, deaf to the environment of whoever runs the tests.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtproto"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs a command to its end, which must come within [`PATIENCE`].
pub(crate) fn mtproto(args: &[&str]) -> Outcome {
    let mut command = command(args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the binary runs");
    let pid = child.id();
    let (ended, watched) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if watched.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            send_signal(pid, "-KILL");
        }
    });
    let output = child.wait_with_output().expect("it is our child");
    drop(ended);
    watchdog.join().expect("it does not panic");
    assert!(output.status.code().is_some(), "{args:?} does not end: {output:?}");
    Outcome {
        code: output.status.code().expect("no signal ends it"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Runs a command that must succeed; returns what it printed.
pub(crate) fn succeed(args: &[&str]) -> String {
    let outcome = mtproto(args);
    assert_eq!(outcome.code, 0, "{args:?}: {outcome:?}");
    outcome.stdout
}

/// A `mtproto serve` with a directory of its own, killed when dropped.
pub(crate) struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The first line it printed.
    pub(crate) first_line: String,
    /// Where it listens, `HOST:PORT`.
    pub(crate) address: String,
}

impl Served {
    /// Starts one and waits until it listens.
    pub(crate) fn start(dir: &Path, args: &[&str]) -> Self {
        let mut all = vec!["serve", "--dir", text(dir)];
        all.extend(args);
        let mut child = command(&all)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut first_line = String::new();
        stdout.read_line(&mut first_line).expect("text");
        let start = first_line.find("127.0.0.1:").expect("the first line names the address");
        let address = first_line.get(start..).unwrap_or_default();
        let address = address.split(['"', ' ']).next().unwrap_or_default().to_owned();
        Self { child, stdout, first_line, address }
    }

    /// Where it listens.
    pub(crate) fn uri(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it prints from now until it ends.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut rest).expect("text");
        rest
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was killed");
    }

    /// Asks it to stop as `kill -SIGNAL` does.
    pub(crate) fn signal(&self, signal: &str) {
        send_signal(self.child.id(), signal);
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it is our child")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send_signal(pid: u32, signal: &str) {
    let kill = Command::new("kill").arg(signal).arg(pid.to_string()).status();
    assert!(kill.expect("a kill command").success());
}

/// A directory that vanishes with the test.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Where a server with this directory keeps its public key.
pub(crate) fn public_key(dir: &Path) -> PathBuf {
    dir.join("public.pem")
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// Waits; processes cannot be asked how far they are.
pub(crate) fn pause(duration: Duration) {
    #[allow(clippy::disallowed_methods, reason = "a test is a driver")]
    thread::sleep(duration);
}
