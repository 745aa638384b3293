//! Links to a proxy: `tg://proxy?server=HOST&port=PORT&secret=SECRET`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::address::{parse_host, parse_port};
use crate::{Address, ApiPath, Host, Scheme, Secret, SecretError};

/// The longest link that is read, in bytes.
pub const PROXY_LINK_LEN_MAX: usize = 2048;

/// Where a proxy is and with what secret it is opened, as people pass it on.
///
/// `Display` writes the whole link, secret included; `Debug` does not show it.
///
/// ```
/// # use mtproto_frame::ProxyLink;
/// let query = "proxy?server=10.0.0.1&port=443&secret=dd000102030405060708090a0b0c0d0e0f";
/// let link: ProxyLink = format!("tg://{query}").parse()?;
/// assert_eq!(link.address().to_string(), "tcp://10.0.0.1:443");
/// assert_eq!(link.to_string(), format!("tg://{query}"));
/// assert_eq!(link.web_form(), format!("https://t.me/{query}"));
/// # Ok::<(), mtproto_frame::ProxyLinkError>(())
/// ```
// req: S116
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyLink {
    /// The machine.
    pub server: Host,
    /// The port.
    pub port: u16,
    /// What opens it.
    pub secret: Secret,
}

impl ProxyLink {
    /// Whether a text is meant as such a link, be it right or wrong. One that is should not be
    /// shown to anybody: it has a secret in it.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        strip_ignoring_case(text, "tg:").is_some() || text.contains("/proxy?")
    }

    /// Where to connect to.
    #[must_use]
    pub fn address(&self) -> Address {
        let (host, path) = (self.server.clone(), ApiPath::default());
        Address { scheme: Scheme::Tcp, host, port: self.port, path }
    }

    /// The link for those whose system does not know `tg:`.
    #[must_use]
    pub fn web_form(&self) -> String {
        format!("https://t.me/{}", self.query())
    }

    fn query(&self) -> String {
        let Self { server, port, secret } = self;
        // IPv6 goes without brackets here.
        let server = match server {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        };
        format!("proxy?server={server}&port={port}&secret={}", secret.link_text())
    }
}

impl fmt::Display for ProxyLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tg://{}", self.query())
    }
}

impl FromStr for ProxyLink {
    type Err = ProxyLinkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > PROXY_LINK_LEN_MAX {
            return Err(ProxyLinkError::Len { len: text.len() });
        }
        let opening = OPENINGS.into_iter().find_map(|opening| strip_ignoring_case(text, opening));
        let query = opening.ok_or(ProxyLinkError::NotALink)?;
        let port = parse_port(&value(query, "port")?).filter(|port| *port != 0);
        Ok(Self {
            server: parse_server(&value(query, "server")?).ok_or(ProxyLinkError::Server)?,
            port: port.ok_or(ProxyLinkError::Port)?,
            secret: value(query, "secret")?.parse()?,
        })
    }
}

/// Why a text is no [`ProxyLink`]. It never repeats the text, which has a secret in it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyLinkError {
    /// It is too long.
    Len {
        /// Its length in bytes.
        len: usize,
    },
    /// A part is missing.
    Missing {
        /// Its name.
        part: &'static str,
    },
    /// It is no link to a proxy.
    NotALink,
    /// The port is no number from 1 to 65535.
    Port,
    /// The secret is none.
    Secret(SecretError),
    /// The server is neither a name nor an IP address.
    Server,
}

impl fmt::Display for ProxyLinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Len { len } => {
                write!(f, "a proxy link of {len} bytes: at most {PROXY_LINK_LEN_MAX} make sense")
            }
            Self::Missing { part } => write!(f, "the proxy link has no {part}: {FORM}"),
            Self::NotALink => write!(f, "not a proxy link: {FORM}"),
            Self::Port => write!(f, "the proxy link's port is no number from 1 to 65535: {FORM}"),
            Self::Secret(error) => write!(f, "the proxy link's secret: {error}"),
            Self::Server => {
                write!(f, "the proxy link's server is neither a name nor an IP address: {FORM}")
            }
        }
    }
}

impl std::error::Error for ProxyLinkError {}

impl From<SecretError> for ProxyLinkError {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

const FORM: &str = "write tg://proxy?server=HOST&port=PORT&secret=SECRET";

/// How such a link begins.
const OPENINGS: [&str; 6] = [
    "tg://proxy?",
    "tg:proxy?",
    "https://t.me/proxy?",
    "http://t.me/proxy?",
    "https://telegram.me/proxy?",
    "t.me/proxy?",
];

fn strip_ignoring_case<'a>(text: &'a str, opening: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(opening.len())?;
    head.eq_ignore_ascii_case(opening).then_some(rest)
}

/// The value of one key, without percent signs. Of several the first counts.
fn value(query: &str, key: &'static str) -> Result<String, ProxyLinkError> {
    let query = query.split('#').next().unwrap_or(query);
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) =
        pairs.find(|(name, _)| *name == key).ok_or(ProxyLinkError::Missing { part: key })?;
    // What is no UTF-8 is neither a name nor a secret, and is refused as such.
    Ok(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

fn parse_server(server: &str) -> Option<Host> {
    let bare = server.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(server);
    match bare.parse::<IpAddr>() {
        Ok(ip) => Some(Host::Ip(ip)),
        Err(_) => parse_host(server).ok(),
    }
}
