//! Where a server is: `tcp://host:port`, `wss://host:port/apiws`, `http://host:port/api`.

mod data_center;
mod error;
mod parse;
mod web;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

pub use data_center::{DataCenter, UnknownDataCenter};
pub use error::{AddressError, AddressReason};
pub(crate) use parse::{parse_host, parse_port};
pub use web::{ApiPath, WebAddress, WebFault};

/// A server's address, as users write it and logs show it.
///
/// What is read may be written in any of the ways that are in use: a scheme of WebSocket or the `s`
/// in the path, ports left out, ends such as `apiw1` and `apiws_test1`. What is written is always
/// the same for the same address, and is read back as it was.
///
/// ```
/// # use mtproto_frame::Address;
/// let address: Address = "tcp://[::1]:443".parse()?;
/// assert_eq!(address.port, 443);
/// assert_eq!(address.to_string(), "tcp://[::1]:443");
///
/// let address: Address = "https://venus.web.telegram.org/apiws_test1".parse()?;
/// assert_eq!(address.to_string(), "wss://venus.web.telegram.org:443/apiws_test");
/// # Ok::<(), mtproto_frame::AddressError>(())
/// ```
// req: S110
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Address {
    /// By which transport.
    pub scheme: Scheme,
    /// The machine.
    pub host: Host,
    /// The port; 0 asks the system for a free one and makes sense for listeners only.
    pub port: u16,
    /// What HTTP and WebSocket ask for there; the default for TCP, which has no such thing.
    pub path: ApiPath,
}

/// The transport of an [`Address`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// HTTP over TCP.
    Http,
    /// HTTP over TLS.
    Https,
    /// A framing over TCP.
    Tcp,
    /// WebSocket over TCP.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Scheme {
    /// Whether there is TLS below it.
    // req: S79, S101
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Wss)
    }

    /// Whether it is WebSocket.
    #[must_use]
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The port when none is named: 443 with TLS, 80 without; TCP has none.
    // req: S73, S109
    #[must_use]
    pub fn port(self) -> Option<u16> {
        match self {
            Self::Http | Self::Ws => Some(80),
            Self::Https | Self::Wss => Some(443),
            Self::Tcp => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The machine of an [`Address`].
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Host {
    /// A number, which needs no resolution.
    Ip(IpAddr),
    /// A name to be resolved.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Address {
    /// A TCP address of numbers.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::new(Scheme::Tcp, address)
    }

    /// An address of numbers, with the path that goes with its scheme.
    #[must_use]
    pub fn new(scheme: Scheme, address: SocketAddr) -> Self {
        let (host, port) = (Host::Ip(address.ip()), address.port());
        Self { scheme, host, port, path: ApiPath::default() }
    }

    /// What to ask for over HTTP: `/api`, then `w`, `s` and `_test` as they apply. `None` for TCP.
    // req: S104, S105, S108
    #[must_use]
    pub fn path(&self) -> Option<String> {
        (self.scheme != Scheme::Tcp).then(|| self.path.to_text(self.scheme.is_websocket()))
    }

    /// The same as the documentation writes it: WebSocket has the scheme of HTTP, and shows only by
    /// the `s` in its path.
    #[must_use]
    pub fn http_form(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Ws => Scheme::Http,
            Scheme::Wss => Scheme::Https,
            scheme => scheme,
        };
        self.written_as(scheme)
    }

    fn written_as(&self, scheme: Scheme) -> String {
        let path = self.path().unwrap_or_default();
        format!("{scheme}://{}:{}{path}", self.host, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written_as(self.scheme))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse::parse(text).map_err(|reason| AddressError { text: text.to_owned(), reason })
    }
}
