//! The server, in a process of its own, and how the benchmark talks to it.

use std::io::{BufRead, BufReader, Write, stdin};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{env, fs};

use mtproto_crypto::{SecureRandom, SeededRandom};
use mtproto_kit::auth::{KeyKind, NewKey};
use mtproto_kit::crypto::AuthKey;
use mtproto_kit::server::handler_fn;
use mtproto_kit::store::{self, Inserted, KeyRecord, KeyStore, MemoryKeyStore};
use mtproto_kit::tl::{AuthKeyId, Salt, ServerTime, SessionId};
use mtproto_tests::{HandSession, PUSHED, address, echo, object, server};

/// Says how many keys the server of this process knows, if it is one.
const KEYS: &str = "HTTP_POLLS_KEYS";

/// The server's process. It ends with this.
pub(crate) struct Server {
    child: Child,
    commands: ChildStdin,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server that knows so many keys.
    pub(crate) fn start(keys: u32) -> Self {
        let mut child = Command::new(env::current_exe().expect("this program has a name"))
            .env(KEYS, keys.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let (commands, output) = (child.stdin.take(), child.stdout.take());
        let mut line = String::new();
        BufReader::new(output.expect("it is piped")).read_line(&mut line).expect("the server says");
        let address = line.trim().parse().expect("where it listens");
        Self { child, commands: commands.expect("it is piped"), address }
    }

    /// Lets it push to a session, by this machine's clock, when that is.
    pub(crate) fn push(&mut self, session: &HandSession) {
        let (key, id) = (session.key.id(), session.id.0);
        writeln!(self.commands, "{key} {id}").expect("the server listens");
    }

    /// What the process has in memory, in bytes; pages that it shares count in part.
    pub(crate) fn memory(&self) -> f64 {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let rollup = fs::read_to_string(path).expect("Linux tells");
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = pss.and_then(|pss| pss.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        kib.expect("it is a number") * 1024.0
    }

    /// How long its thread has been on a processor so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        let path = format!("/proc/{}/schedstat", self.child.id());
        let times = fs::read_to_string(path).expect("Linux tells");
        let nanos = times.split_whitespace().next().and_then(|it| it.parse().ok());
        Duration::from_nanos(nanos.expect("it is a number"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves, if this process is the server.
pub(crate) fn serve_if_asked() -> bool {
    let Ok(keys) = env::var(KEYS) else { return false };
    let keys = keys.parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(serve(keys));
    true
}

async fn serve(keys: u32) {
    let store = MemoryKeyStore::new(&mut SeededRandom::new(0));
    for number in 0..keys {
        let NewKey { key, first_salt, server_time: created, kind } = key(number);
        let kind = match kind {
            KeyKind::Permanent => store::KeyKind::Permanent,
            KeyKind::Temporary { .. } => unreachable!("all of them last"),
        };
        let record = KeyRecord { key, created, first_salt, kind };
        let inserted = store.insert_new(&record, ServerTime::from_unix(unix_time())).await;
        assert_eq!(inserted, Ok(Inserted::Created));
    }
    let server = server().store(Arc::new(store)).serve(handler_fn(echo)).await;
    let server = server.expect("a free port");
    println!("{}", address(&server));
    while let Some((key, id)) = tokio::task::spawn_blocking(read_command).await.expect("no panic") {
        let nanos = unix_time().as_nanos() as u64;
        let pushed = object(PUSHED, &[nanos as u32, (nanos >> 32) as u32]);
        let session = server.session(AuthKeyId(key), SessionId(id));
        session.push_bytes(pushed).await.expect("the session is known");
    }
}

/// To which session of which key something is to be pushed.
fn read_command() -> Option<(u64, u64)> {
    let mut line = String::new();
    stdin().read_line(&mut line).ok()?;
    let (key, id) = line.trim().split_once(' ')?;
    Some((key.parse().ok()?, id.parse().ok()?))
}

/// The key of this number, which server and client make each for itself.
pub(crate) fn key(number: u32) -> NewKey {
    let random = &mut SeededRandom::new(u64::from(number) + 1);
    let first_salt = Salt(random.u64());
    let mut key = [0; 256];
    random.fill(&mut key);
    let server_time = unix_time().as_secs() as u32;
    NewKey { key: AuthKey::new(key), first_salt, server_time, kind: KeyKind::Permanent }
}

/// This machine's clock, which both processes go by.
pub(crate) fn unix_time() -> Duration {
    #[allow(clippy::disallowed_methods, reason = "a stopwatch for two processes")]
    SystemTime::UNIX_EPOCH.elapsed().expect("it is later than 1970")
}
