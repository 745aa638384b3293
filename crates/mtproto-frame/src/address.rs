//! Where a server is: `tcp://host:port`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A server's address, as users write it and logs show it.
///
/// ```
/// # use mtproto_frame::Address;
/// let address: Address = "tcp://[::1]:443".parse()?;
/// assert_eq!(address.port, 443);
/// assert_eq!(address.to_string(), "tcp://[::1]:443");
/// # Ok::<(), mtproto_frame::AddressError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Address {
    /// By which transport.
    pub scheme: Scheme,
    /// The machine.
    pub host: Host,
    /// The port; 0 asks the system for a free one and makes sense for listeners only.
    pub port: u16,
}

/// The transport of an [`Address`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// A framing over TCP.
    Tcp,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
        }
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
        Self { scheme: Scheme::Tcp, host: Host::Ip(address.ip()), port: address.port() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|reason| AddressError { text: text.to_owned(), reason })
    }
}

/// Why a text is no [`Address`]: one line with the text, the reason and what to write instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddressError {
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub reason: AddressReason,
}

/// What is wrong with an address.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddressReason {
    /// The host is missing, or has characters that no name has.
    Host,
    /// An IPv6 address without brackets, or with something else in them.
    Ipv6,
    /// Something follows the port.
    Path,
    /// The port is missing or not a number up to 65535.
    Port,
    /// The part before `://` is missing or names no transport.
    Scheme,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, fix) = match self.reason {
            AddressReason::Host => ("has no valid host", "write tcp://HOST:PORT"),
            AddressReason::Ipv6 => ("has no valid IPv6 address", "write tcp://[::1]:PORT"),
            AddressReason::Path => ("goes on after the port", "write tcp://HOST:PORT"),
            AddressReason::Port => {
                ("has no valid port", "write tcp://HOST:PORT with a port up to 65535")
            }
            AddressReason::Scheme => ("has no known scheme", "begin it with tcp://"),
        };
        write!(f, "address {:?} {reason}: {fix}", self.text)
    }
}

impl std::error::Error for AddressError {}

fn parse(text: &str) -> Result<Address, AddressReason> {
    let rest = text.strip_prefix("tcp://").ok_or(AddressReason::Scheme)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err(AddressReason::Path);
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (ip, port) = bracketed.split_once(']').ok_or(AddressReason::Ipv6)?;
            let ip: Ipv6Addr = ip.parse().map_err(|_| AddressReason::Ipv6)?;
            (Host::Ip(ip.into()), port.strip_prefix(':').ok_or(AddressReason::Port)?)
        }
        None => {
            let (host, port) = rest.rsplit_once(':').ok_or(AddressReason::Port)?;
            (parse_host(host)?, port)
        }
    };
    Ok(Address { scheme: Scheme::Tcp, host, port: parse_port(port)? })
}

fn parse_host(host: &str) -> Result<Host, AddressReason> {
    if host.contains(':') {
        return Err(AddressReason::Ipv6);
    }
    if let Ok(ip) = host.parse() {
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    let named = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    // A name of digits and dots only is a number written wrongly.
    let numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    if (1..=NAME_LEN_MAX).contains(&host.len()) && host.chars().all(named) && !numeric {
        Ok(Host::Name(host.to_owned()))
    } else {
        Err(AddressReason::Host)
    }
}

/// Digits only: `parse` alone would take a sign.
fn parse_port(port: &str) -> Result<u16, AddressReason> {
    let digits = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    digits.then(|| port.parse().ok()).flatten().ok_or(AddressReason::Port)
}

/// Longest name that the domain name system knows, in bytes.
const NAME_LEN_MAX: usize = 253;
