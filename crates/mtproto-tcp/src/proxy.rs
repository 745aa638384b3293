//! Proxies between us and the server: SOCKS5 and HTTP CONNECT.

use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mtproto_frame::{Address, Host};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;

/// The longest answer of an HTTP proxy, in bytes.
pub const PROXY_HEAD_LEN_MAX: usize = 8 << 10;

/// The most headers in the answer of an HTTP proxy.
pub const PROXY_HEADERS_MAX: usize = 64;

/// A proxy that passes bytes on: `socks5://[USER:PASSWORD@]HOST:PORT` or `http://…`.
///
/// `Display` and `Debug` leave the password out.
///
/// ```
/// # use mtproto_tcp::Proxy;
/// let proxy: Proxy = "socks5://me:secret@localhost:1080".parse()?;
/// assert_eq!(proxy.to_string(), "socks5://localhost:1080");
/// # Ok::<(), mtproto_tcp::ProxyError>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Proxy {
    kind: ProxyKind,
    pub(crate) host: Host,
    pub(crate) port: u16,
    login: Option<Login>,
}

/// What a [`Proxy`] speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ProxyKind {
    Http,
    Socks5,
}

#[derive(Clone, Eq, PartialEq)]
struct Login {
    user: String,
    password: String,
}

impl Proxy {
    /// Asks the proxy at the other end of `stream` to connect it with `host`.
    pub(crate) async fn pass_on(
        &self,
        stream: TcpStream,
        host: &Host,
        port: u16,
    ) -> io::Result<TcpStream> {
        match self.kind {
            ProxyKind::Http => self.pass_on_by_http(stream, host, port).await,
            ProxyKind::Socks5 => self.pass_on_by_socks(stream, host, port).await,
        }
    }

    async fn pass_on_by_socks(
        &self,
        stream: TcpStream,
        host: &Host,
        port: u16,
    ) -> io::Result<TcpStream> {
        let target = match host {
            Host::Ip(ip) => tokio_socks::TargetAddr::Ip((*ip, port).into()),
            Host::Name(name) => tokio_socks::TargetAddr::Domain(name.into(), port),
        };
        let passed = match &self.login {
            None => Socks5Stream::connect_with_socket(stream, target).await,
            Some(Login { user, password }) => {
                Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await
            }
        };
        passed.map(Socks5Stream::into_inner).map_err(io::Error::other)
    }

    async fn pass_on_by_http(
        &self,
        mut stream: TcpStream,
        host: &Host,
        port: u16,
    ) -> io::Result<TcpStream> {
        let login = self.login.as_ref().map(|Login { user, password }| {
            let login = BASE64_STANDARD.encode(format!("{user}:{password}"));
            format!("Proxy-Authorization: Basic {login}\r\n")
        });
        let login = login.unwrap_or_default();
        let head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{login}\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        while !is_passed_on(&answer)? {
            if answer.len() >= PROXY_HEAD_LEN_MAX {
                return Err(io::Error::other("an answer that does not end"));
            }
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(stream)
    }
}

/// Whether the answer is there and says yes. A server of MTProto or TLS never speaks first, so what
/// follows the head has no business there.
fn is_passed_on(answer: &[u8]) -> io::Result<bool> {
    let mut headers = [httparse::EMPTY_HEADER; PROXY_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(answer).map_err(io::Error::other)? {
        httparse::Status::Partial => Ok(false),
        httparse::Status::Complete(len) => match response.code {
            Some(200..300) if len == answer.len() => Ok(true),
            Some(200..300) => Err(io::Error::other("more than an answer")),
            Some(407) => Err(io::Error::other("407, it wants USER:PASSWORD@ before its host")),
            code => {
                let reason = response.reason.unwrap_or_default();
                Err(io::Error::other(format!("{} {reason}", code.unwrap_or_default())))
            }
        },
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const KINDS: [(&str, ProxyKind); 3] = [
            ("http://", ProxyKind::Http),
            ("socks5://", ProxyKind::Socks5),
            // With names resolved by the proxy, as ours always are.
            ("socks5h://", ProxyKind::Socks5),
        ];
        let found = KINDS
            .into_iter()
            .find_map(|(scheme, kind)| Some((kind, text.strip_prefix(scheme)?)))
            .ok_or(ProxyError::Scheme)?;
        let (kind, rest) = found;
        let (login, place) = match rest.rsplit_once('@') {
            None => (None, rest),
            Some((login, place)) => (Some(parse_login(login)?), place),
        };
        // What may follow a host is the same for every scheme.
        let Address { host, port, .. } =
            format!("tcp://{place}").parse().map_err(|_| ProxyError::Place)?;
        Ok(Self { kind, host, port, login })
    }
}

fn parse_login(login: &str) -> Result<Login, ProxyError> {
    let (user, password) = login.split_once(':').ok_or(ProxyError::Login)?;
    let decode = |text| match percent_decode_str(text).decode_utf8() {
        // SOCKS5 counts them with one byte each, and HTTP ends its lines with CR LF.
        Ok(text) if (1..=255).contains(&text.len()) && !text.contains(['\r', '\n']) => {
            Ok(text.into_owned())
        }
        Ok(_) | Err(_) => Err(ProxyError::Login),
    };
    Ok(Login { user: decode(user)?, password: decode(password)? })
}

/// Why a text is no [`Proxy`]. It never repeats the text, which may have a password in it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProxyError {
    /// What stands before `@`.
    #[error("the proxy's login is not USER:PASSWORD, of 1 to 255 bytes each: {FORM}")]
    Login,
    /// Host or port.
    #[error("the proxy has no valid host and port: {FORM}")]
    Place,
    /// It is of no kind that is known.
    #[error("the proxy has no known scheme: {FORM}")]
    Scheme,
}

const FORM: &str = "write socks5://HOST:PORT or http://HOST:PORT, with USER:PASSWORD@ before HOST \
                    if it wants that";
