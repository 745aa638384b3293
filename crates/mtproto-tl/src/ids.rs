//! Identifiers of the protocol, each a type of its own.

use std::fmt;
use std::time::Duration;

/// Server time: Unix time as seconds with 32 binary places, the form message ids are made of.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ServerTime(u64);

impl ServerTime {
    /// The moment `since_epoch` after 1970-01-01 00:00 UTC. Valid until the year 2106.
    #[must_use]
    pub fn from_unix(since_epoch: Duration) -> Self {
        let fraction = (u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000;
        Self(since_epoch.as_secs() << 32 | fraction)
    }

    /// Time since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn since_epoch(self) -> Duration {
        let nanos = ((self.0 & 0xffff_ffff) * 1_000_000_000) >> 32;
        Duration::from_secs(self.0 >> 32) + Duration::from_nanos(nanos)
    }

    /// Whole seconds since the epoch, as TL's `int` carries them.
    #[must_use]
    pub fn unix_seconds(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(u32::MAX)
    }

    /// This moment plus `span`.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self::from_unix(self.since_epoch().saturating_add(span))
    }

    /// This moment minus `span`, not before the epoch.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self::from_unix(self.since_epoch().saturating_sub(span))
    }

    /// How much later this moment is than `earlier`; zero when it is not.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        self.since_epoch().saturating_sub(earlier.since_epoch())
    }
}

/// Who wrote a message, and why. The discriminant is the id's low two bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Author {
    /// The client.
    Client = 0,
    /// The server, in answer to a message of the client.
    ServerReply = 1,
    /// The server, of its own accord.
    ServerNotice = 3,
}

/// A message's id: the time it was made, and in the low two bits who made it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MsgId(pub u64);

impl MsgId {
    /// The id of a message made at `time`. The low half is never zero, as the protocol demands.
    #[must_use]
    pub fn at(time: ServerTime, author: Author) -> Self {
        let time = time.0 & !3;
        let time = if time & 0xffff_ffff == 0 { time | 4 } else { time };
        Self(time | u64::from(author as u8))
    }

    /// The next free id above this one for `author`.
    #[must_use]
    pub fn next(self, author: Author) -> Self {
        Self((self.0 & !3).wrapping_add(4) | u64::from(author as u8))
    }

    /// The time that the id tells.
    #[must_use]
    pub fn time(self) -> ServerTime {
        ServerTime(self.0)
    }

    /// Whether the low bits are a client's: divisible by four.
    #[must_use]
    pub fn is_from_client(self) -> bool {
        self.0 & 3 == 0
    }

    /// Whether the low bits are a server's: odd.
    #[must_use]
    pub fn is_from_server(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A message's place among the content-related ones of its side, doubled, plus one if it is one
/// itself.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Seqno(pub u32);

impl Seqno {
    /// Whether the message wants an acknowledgement.
    #[must_use]
    pub fn is_content_related(self) -> bool {
        self.0 & 1 == 1
    }
}

macro_rules! opaque_ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub u64);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        // As the eight bytes stand on the wire, which is how other tools print them.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0.swap_bytes())
            }
        }
    )*};
}

opaque_ids! {
    /// Names an auth key: eight bytes of its SHA-1, read little-endian. Zero names none.
    AuthKeyId
    /// A server salt.
    Salt
    /// Names a session of an auth key; the client draws it. Zero is never issued.
    SessionId
}

impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Seqno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
