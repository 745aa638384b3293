//! Which of the streams that look like TLS are ours.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use mtproto_crypto::{SecureRandom, SecureRandomExt};

use super::answer::{self, Chance};
use super::hello::ClientHello;
use super::proof;
use super::seen::Seen;
use crate::{Secret, SecretKey};

/// How far a client's clock may be ahead, in seconds.
pub const HELLO_AHEAD_MAX: u32 = 20 * 60;

/// How far a client's clock may be behind, in seconds.
pub const HELLO_BEHIND_MAX: u32 = 10 * 60;

/// Clocks that show less, in seconds, count from when the device was started and are taken as they
/// are: some clients have no other.
pub const UPTIME_MAX: u32 = 1000 * 24 * 60 * 60;

/// Tells clients that know a fake TLS secret from visitors of a real site.
///
/// One gate serves all streams of a server, from any thread: it remembers the hellos it has seen,
/// so that one that was overheard opens nothing.
pub struct Gate {
    secrets: Vec<Entry>,
    /// How much "certificate" the site seems to have, in bytes.
    encrypted_len: usize,
    state: Mutex<State>,
}

struct Entry {
    /// Which of the server's secrets it is.
    index: usize,
    key: SecretKey,
    domain: String,
}

struct State {
    seen: Seen,
    random: Box<dyn SecureRandom>,
}

/// What becomes of a stream that begins like TLS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is ours.
    Accept(Accepted),
    /// It is not ours, or shall look so: it goes on as what it seems to be, real TLS with what has
    /// arrived as its first bytes. Nothing was consumed, and nothing may be answered before.
    Foreign(Refusal),
    /// More bytes are needed to tell.
    NeedMore,
}

/// A client that has proven that it knows a secret. All that has arrived of it was its hello.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    /// Which of the server's secrets it knows.
    pub secret: usize,
    /// The three records to send at once.
    pub answer: Vec<u8>,
}

impl Gate {
    /// A gate for those of a server's `secrets` that are for fake TLS; `None` if there are none.
    #[must_use]
    pub fn new(secrets: &[Secret], random: impl SecureRandom + 'static) -> Option<Self> {
        let entry = |(index, secret): (usize, &Secret)| match secret {
            Secret::FakeTls { key, domain } => {
                Some(Entry { index, key: key.clone(), domain: domain.clone() })
            }
            Secret::Padded(_) | Secret::Plain(_) => None,
        };
        let secrets: Vec<_> = secrets.iter().enumerate().filter_map(entry).collect();
        if secrets.is_empty() {
            return None;
        }
        let mut random: Box<dyn SecureRandom> = Box::new(random);
        let encrypted_len = ENCRYPTED_LEN_MIN + random.u32() as usize % ENCRYPTED_LEN_RANGE;
        let state = Mutex::new(State { seen: Seen::default(), random });
        Some(Self { secrets, encrypted_len, state })
    }

    /// Looks at `input`, all that has arrived of a stream, at `unix_time` in seconds since 1970.
    /// A verdict but `NeedMore` is the last of its stream.
    // req: S116
    #[must_use]
    pub fn check(&self, input: &[u8], unix_time: u32) -> Verdict {
        match self.accept(input, unix_time) {
            Ok(None) => Verdict::NeedMore,
            Ok(Some(accepted)) => Verdict::Accept(accepted),
            Err(refusal) => Verdict::Foreign(refusal),
        }
    }

    /// Whether the hello in `input` asks for the site of a secret: one who does and knows no secret
    /// is a visitor of that site.
    #[must_use]
    pub fn is_for_site(&self, input: &[u8]) -> bool {
        let Ok(Some(hello)) = ClientHello::read(input) else { return false };
        hello.domain().is_some_and(|domain| {
            self.secrets.iter().any(|entry| domain.eq_ignore_ascii_case(entry.domain.as_bytes()))
        })
    }

    fn accept(&self, input: &[u8], unix_time: u32) -> Result<Option<Accepted>, Refusal> {
        let Some(hello) = ClientHello::read(input)? else { return Ok(None) };
        let (entry, client_time) = self.find(&hello)?;
        check_clock(client_time, unix_time)?;
        let chance = self.admit(&hello, unix_time)?;
        let answer = answer::write(&hello, &entry.key, &chance);
        Ok(Some(Accepted { secret: entry.index, answer }))
    }

    /// Whose hello it is, and what the client's clock shows. All keys are tried whatever the
    /// earlier ones gave, so that the time taken does not tell which one it was.
    fn find(&self, hello: &ClientHello) -> Result<(&Entry, u32), Refusal> {
        let domain = hello.domain();
        let mut found = Err(Refusal::Unproven);
        for entry in &self.secrets {
            let digest = hello.digest(&entry.key);
            let Some(time) = proof::time_in(hello.random(), &digest) else { continue };
            // A client that names no site may know better than its secret what is watched for.
            let is_named =
                domain.is_none_or(|domain| domain.eq_ignore_ascii_case(entry.domain.as_bytes()));
            found = match found {
                Ok(earlier) => Ok(earlier),
                Err(_) if is_named => Ok((entry, time)),
                Err(_) => Err(Refusal::Domain),
            };
        }
        found
    }

    /// Lets a hello in once, and draws what its answer needs.
    fn admit(&self, hello: &ClientHello, unix_time: u32) -> Result<Chance, Refusal> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.seen.insert(hello.random(), unix_time) {
            return Err(Refusal::Replayed);
        }
        // Sites send nearly the same every time.
        let jitter = state.random.u32() as usize % 3;
        let mut encrypted = vec![0; self.encrypted_len + jitter];
        state.random.fill(&mut encrypted);
        Ok(Chance { scalar: state.random.array(), encrypted })
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

fn check_clock(client: u32, server: u32) -> Result<(), Refusal> {
    let is_right = client <= server.saturating_add(HELLO_AHEAD_MAX)
        && client.saturating_add(HELLO_BEHIND_MAX) >= server;
    if is_right || client < UPTIME_MAX { Ok(()) } else { Err(Refusal::Clock { client, server }) }
}

/// Why a stream is not ours. For logs only: all look alike to the client.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The client knows a secret, and its clock is too far off or the hello is an old one.
    Clock {
        /// What the client's clock shows, in seconds since 1970.
        client: u32,
        /// What the server's shows.
        server: u32,
    },
    /// The client knows a secret, but names another site than the secret does.
    Domain,
    /// It is no hello that a client of fake TLS sends.
    Malformed,
    /// The hello came before: somebody repeats what was overheard.
    Replayed,
    /// It is longer than any hello that is looked at, or comes in too many records.
    TooLong,
    /// There is more behind the hello, and a client of fake TLS waits.
    Trailing,
    /// The stream ends within the hello, as a driver may find.
    Truncated,
    /// The client knows none of the secrets: a visitor of the site, for one.
    Unproven,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock { client, server } => {
                write!(f, "the client's clock shows {client} at {server}")
            }
            Self::Domain => f.write_str("the client names another site than the secret"),
            Self::Malformed => f.write_str("no hello of fake TLS"),
            Self::Replayed => f.write_str("the hello came before"),
            Self::TooLong => f.write_str("the hello is too long"),
            Self::Trailing => f.write_str("there is more behind the hello"),
            Self::Truncated => f.write_str("the stream ends within the hello"),
            Self::Unproven => f.write_str("the client knows no secret"),
        }
    }
}

impl std::error::Error for Refusal {}

/// What sites' certificates take, in bytes, and by how much they differ.
const ENCRYPTED_LEN_MIN: usize = 2500;
const ENCRYPTED_LEN_RANGE: usize = 1120;
