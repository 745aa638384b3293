//! Reading an address, in all the ways that people write one.

use std::net::{IpAddr, Ipv6Addr};

use super::{Address, AddressReason, ApiPath, Host, Scheme};

pub(super) fn parse(text: &str) -> Result<Address, AddressReason> {
    let (scheme, rest) = text.split_once("://").ok_or(AddressReason::Scheme)?;
    let scheme = parse_scheme(scheme).ok_or(AddressReason::Scheme)?;
    let authority_len = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_len);
    let (host, port) = parse_authority(authority)?;
    let (scheme, path) = match (scheme, path) {
        (_, "" | "/") => (scheme, ApiPath::default()),
        (Scheme::Tcp, _) => return Err(AddressReason::Path),
        (_, path) => parse_path(scheme, path)?,
    };
    let port = port.map(parse_port).unwrap_or(scheme.port()).ok_or(AddressReason::Port)?;
    Ok(Address { scheme, host, port, path })
}

fn parse_scheme(scheme: &str) -> Option<Scheme> {
    const SCHEMES: [Scheme; 5] =
        [Scheme::Http, Scheme::Https, Scheme::Tcp, Scheme::Ws, Scheme::Wss];
    SCHEMES.into_iter().find(|known| scheme.eq_ignore_ascii_case(known.name()))
}

/// The host, and the port as text if there is one.
fn parse_authority(text: &str) -> Result<(Host, Option<&str>), AddressReason> {
    let Some(bracketed) = text.strip_prefix('[') else {
        return match text.rsplit_once(':') {
            None => Ok((parse_host(text)?, None)),
            Some((host, port)) => Ok((parse_host(host)?, Some(port))),
        };
    };
    let (ip, port) = bracketed.split_once(']').ok_or(AddressReason::Ipv6)?;
    let ip: Ipv6Addr = ip.parse().map_err(|_| AddressReason::Ipv6)?;
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok((Host::Ip(ip.into()), None)),
        None => Err(AddressReason::Port),
        port => Ok((Host::Ip(ip.into()), port)),
    }
}

/// An IPv4 address or a name.
pub(crate) fn parse_host(host: &str) -> Result<Host, AddressReason> {
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
pub(crate) fn parse_port(port: &str) -> Option<u16> {
    let digits = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    digits.then(|| port.parse().ok()).flatten()
}

/// An `s` makes HTTP a WebSocket.
// req: S105
fn parse_path(scheme: Scheme, path: &str) -> Result<(Scheme, ApiPath), AddressReason> {
    let (path, websocket) = ApiPath::from_text(path).ok_or(AddressReason::ApiPath)?;
    let scheme = match scheme {
        Scheme::Http if websocket => Scheme::Ws,
        Scheme::Https if websocket => Scheme::Wss,
        scheme => scheme,
    };
    Ok((scheme, path))
}

impl ApiPath {
    /// Reads `/api`, `w` and `s`, and then what is appended here and there: `_test`, `_premium`, a
    /// digit. Also tells whether there is an `s`, for WebSocket. `None` if MTProto is not served at
    /// such a path.
    // req: S105, S108
    #[must_use]
    pub fn from_text(path: &str) -> Option<(Self, bool)> {
        let rest = path.strip_suffix('/').unwrap_or(path);
        let rest = rest.strip_prefix("/api")?;
        let (cors, rest) = strip(rest, "w");
        let (websocket, rest) = strip(rest, "s");
        let (test, rest) = strip(strip_digit(rest), "_test");
        let (_, rest) = strip(rest, "_premium");
        strip_digit(rest).is_empty().then_some((Self { cors, test }, websocket))
    }
}

fn strip<'a>(text: &'a str, part: &str) -> (bool, &'a str) {
    text.strip_prefix(part).map_or((false, text), |rest| (true, rest))
}

fn strip_digit(text: &str) -> &str {
    text.strip_prefix(|c: char| c.is_ascii_digit()).unwrap_or(text)
}

/// Longest name that the domain name system knows, in bytes.
const NAME_LEN_MAX: usize = 253;
