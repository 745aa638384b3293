//! A server whose application does what its queries say.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mtproto_kit::auth::KeyKind;
use mtproto_kit::frame::{Framing, WireConfig};
use mtproto_kit::pack::{RpcError, object_id};
use mtproto_kit::server::method_invalid;
use mtproto_kit::server::{Request, Server, ServerBuilder, SessionHandle, handler_fn};
use mtproto_kit::tl::AuthKeyId;
use tokio::time::{sleep, sleep_until};

use crate::{HandSession, Peer, address, now, object, server};

/// Answered with itself.
pub const ECHO: u32 = 0x0e2e_0010;
/// Answered with itself after so many milliseconds.
pub const SLEEP_MS: u32 = 0x0e2e_0011;
/// The handler panics.
pub const PANIC: u32 = 0x0e2e_0012;
/// Answered with itself, and counted.
pub const COUNT: u32 = 0x0e2e_0013;
/// Answered with so many bytes.
pub const BLOB: u32 = 0x0e2e_0014;
/// Pushed.
pub const PUSHED: u32 = 0x0e2e_0015;
/// See [`play`].
const PLAY: u32 = 0x0e2e_0016;

/// What the application does so many milliseconds after a query.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// It pushes [`PUSHED`] with the act's number.
    Push(u32),
    /// It answers, and does nothing more.
    Answer(u32),
}

/// A query that is followed by these acts, and answered by none but [`Act::Answer`].
#[must_use]
pub fn play(acts: &[Act]) -> Bytes {
    let words = acts.iter().flat_map(|act| match *act {
        Act::Push(ms) => [0, ms],
        Act::Answer(ms) => [1, ms],
    });
    object(PLAY, &words.collect::<Vec<_>>())
}

/// A server, and how often it was asked to [`COUNT`].
pub struct World {
    /// The server.
    pub server: Server,
    /// Where it listens.
    pub address: SocketAddr,
    counted: Arc<AtomicUsize>,
}

impl World {
    /// A server with every default.
    pub async fn start() -> Self {
        Self::start_with(server()).await
    }

    /// A server set up by the test.
    ///
    /// # Panics
    /// If it cannot be started.
    pub async fn start_with(builder: ServerBuilder) -> Self {
        let counted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&counted);
        let handler = handler_fn(move |request| answer(request, Arc::clone(&count)));
        let server = builder.serve(handler).await.expect("a free port");
        let address = address(&server);
        Self { server, address, counted }
    }

    /// A connection in intermediate framing. `seed` decides all that is random there.
    pub async fn connect(&self, seed: u64) -> Peer {
        Peer::connect(self.address, &WireConfig::plain(Framing::Intermediate), seed).await
    }

    /// A connection with a new session of a new key.
    pub async fn join(&self, seed: u64) -> (Peer, HandSession) {
        let mut peer = self.connect(seed).await;
        let key = peer.make_key(KeyKind::Permanent).await;
        (peer, HandSession::new(&key, seed))
    }

    /// What the application has of a session.
    #[must_use]
    pub fn handle(&self, session: &HandSession) -> SessionHandle {
        self.server.session(AuthKeyId(session.key.id()), session.id)
    }

    /// How many queries were counted.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.counted.load(Ordering::Relaxed)
    }
}

async fn answer(request: Request, counted: Arc<AtomicUsize>) -> Result<Bytes, RpcError> {
    let argument = request.query.get(4..8).and_then(|word| word.first_chunk().copied());
    let argument = u32::from_le_bytes(argument.unwrap_or_default());
    match object_id(&request.query) {
        ECHO => {}
        SLEEP_MS => sleep(Duration::from_millis(argument.into())).await,
        PANIC => panic!("the handler was told to"),
        PLAY => perform(&request).await,
        COUNT => drop(counted.fetch_add(1, Ordering::Relaxed)),
        BLOB => {
            let words = usize::try_from(argument).unwrap_or_default() / 4;
            return Ok(object(BLOB, &vec![7; words]));
        }
        _ => return Err(method_invalid()),
    }
    Ok(request.query)
}

/// Carries out the acts of a query, until it is to be answered.
async fn perform(request: &Request) {
    let start = now();
    let word = |word: &[u8]| word.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
    for (number, act) in (0..).zip(request.query.get(4..).unwrap_or_default().chunks(8)) {
        let after = Duration::from_millis(act.get(4..).map_or(0, word).into());
        sleep_until((start + after).into()).await;
        if word(act) != 0 {
            return;
        }
        let push = request.session.push_bytes(object(PUSHED, &[number])).await;
        push.expect("the session is known, and takes it");
    }
    pending::<()>().await;
}
