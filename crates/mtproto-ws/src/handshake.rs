//! The upgrade from HTTP.
//!
//! <https://www.rfc-editor.org/rfc/rfc6455#section-4>

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mtproto_frame::Address;
use mtproto_transport::{Rewound, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::{self, generate_key};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{
    self, create_response_with_body, write_response,
};
use tokio_tungstenite::tungstenite::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::http::{Request, Response, StatusCode};

/// The subprotocol that a client asks for and a server confirms.
pub const SUBPROTOCOL: &str = "binary";

/// How long a handshake may take, for either role.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The longest head of a request or an answer, in bytes.
pub const HEAD_LEN_MAX: usize = 8 << 10;

/// The answer to a request for an upgrade: status 101 and what goes with it. The path has to begin
/// with `/api`, as all in use do; where the page comes from does not matter.
///
/// # Errors
/// Why there is no upgrade, and what to answer then.
// req: S74
pub fn answer<B>(request: &Request<B>) -> Result<Response<()>, Refusal> {
    let mut response = create_response_with_body(request, || ()).map_err(|e| Refusal::of(&e))?;
    if !request.uri().path().starts_with(PATH_PREFIX) {
        return Err(Refusal::Path);
    }
    if !lists(request.headers(), &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(Refusal::Subprotocol);
    }
    let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    Ok(response)
}

/// Why a request gets no upgrade.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// What was sent is no request for an upgrade, or a malformed one.
    Malformed,
    /// The method is not GET.
    Method,
    /// Nothing is at that path.
    Path,
    /// The subprotocol `binary` is not asked for.
    Subprotocol,
    /// The head is longer than [`HEAD_LEN_MAX`].
    TooLong,
    /// The version is not 13.
    Version,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::Subprotocol => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Path => StatusCode::NOT_FOUND,
            Self::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => StatusCode::UPGRADE_REQUIRED,
        }
    }

    /// The whole answer, which says why in a line of text.
    #[must_use]
    pub fn response(self) -> Response<Bytes> {
        let body = Bytes::from(format!("{self}\n"));
        let length = body.len().into();
        let mut response = self.head().map(|()| body);
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(CONTENT_LENGTH, length);
        response
    }

    /// What is special about the answer, for a server that writes the rest itself.
    #[must_use]
    pub fn head(self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = self.status();
        if self == Self::Version {
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }

    fn of(error: &Error) -> Self {
        match error {
            Error::Protocol(ProtocolError::WrongHttpMethod) => Self::Method,
            Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => Self::Version,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "this is no request for a WebSocket: send a complete upgrade",
            Self::Method => "a WebSocket is asked for by GET",
            Self::Path => "no WebSocket is there: ask for /apiws",
            Self::Subprotocol => {
                "the subprotocol is missing: ask for Sec-WebSocket-Protocol: binary"
            }
            Self::TooLong => "the request is too long: send fewer headers",
            Self::Version => "the version of WebSocket is not known: use 13",
        })
    }
}

impl std::error::Error for Refusal {}

/// Why a stream did not become a WebSocket.
#[derive(Debug)]
pub enum AcceptError {
    /// The stream broke or ended, or the client took longer than [`HANDSHAKE_LIMIT`].
    Io(io::Error),
    /// The client was told why.
    Refused(Refusal),
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Refusal> for AcceptError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}

impl std::error::Error for AcceptError {}

/// Answers the client's request for an upgrade on `stream`, which carries nothing else.
///
/// # Errors
/// Why there is no WebSocket; the stream is gone.
pub async fn accept<S: Stream>(stream: S) -> Result<Rewound<S>, AcceptError> {
    match timeout(HANDSHAKE_LIMIT, accept_patiently(stream)).await {
        Ok(accepted) => accepted,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

async fn accept_patiently<S: Stream>(mut stream: S) -> Result<Rewound<S>, AcceptError> {
    let answered = match read_head::<server::Request>(&mut stream).await {
        Ok((request, rest)) => answer(&request).map(|response| (response, rest)),
        Err(AcceptError::Refused(refusal)) => Err(refusal),
        Err(error) => return Err(error),
    };
    match answered {
        Ok((response, rest)) => {
            write_head(&mut stream, &response, b"").await?;
            Ok(Rewound::new(rest, stream))
        }
        Err(refusal) => {
            let response = refusal.response();
            write_head(&mut stream, &response, response.body()).await?;
            stream.shutdown().await?;
            Err(refusal.into())
        }
    }
}

/// Asks for a WebSocket at `address`, which `stream` leads to.
///
/// # Errors
/// The stream broke, or the server has no WebSocket there, or not one of ours.
pub(crate) async fn request<S: Stream>(mut stream: S, address: &Address) -> io::Result<Rewound<S>> {
    let key = generate_key();
    let path = address.path().unwrap_or_default();
    let default_port = address.scheme.port() == Some(address.port);
    let port = if default_port { String::new() } else { format!(":{}", address.port) };
    let head = format!(
        "GET {path} HTTP/1.1\r\n\
         Host: {host}{port}\r\n\
         Connection: Upgrade\r\n\
         Upgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n",
        host = address.host,
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    let (response, rest) =
        read_head::<client::Response>(&mut stream).await.map_err(|error| match error {
            AcceptError::Io(error) => error,
            AcceptError::Refused(_) => refused("what the server answers is no HTTP".to_owned()),
        })?;
    check(&response, &key).map_err(refused)?;
    Ok(Rewound::new(rest, stream))
}

/// Whether `response` is the answer that makes a WebSocket of ours.
// req: S74
fn check<B>(response: &Response<B>, key: &str) -> Result<(), String> {
    let headers = response.headers();
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status();
        return Err(format!("the server has no WebSocket there, it answers {status}"));
    }
    let is_upgraded =
        lists(headers, &CONNECTION, "upgrade") && lists(headers, &UPGRADE, "websocket");
    let accept = derive_accept_key(key.as_bytes());
    if !is_upgraded || headers.get(SEC_WEBSOCKET_ACCEPT).is_none_or(|value| value != &accept) {
        return Err("the server's answer to the upgrade is not an answer to ours".to_owned());
    }
    match headers.get(SEC_WEBSOCKET_PROTOCOL) {
        Some(subprotocol) if subprotocol == SUBPROTOCOL => Ok(()),
        Some(other) => Err(format!("the server chose the subprotocol {other:?} over binary")),
        None => Err("the server has not confirmed the subprotocol binary".to_owned()),
    }
}

/// Reads up to the end of a head, and what came behind it.
async fn read_head<T: TryParse>(stream: &mut impl Stream) -> Result<(T, Bytes), AcceptError> {
    let mut head = BytesMut::new();
    let mut searched = 0;
    loop {
        let end = head[searched..].windows(END.len()).any(|window| window == END);
        if end {
            return match T::try_parse(&head) {
                Ok(Some((len, parsed))) => Ok((parsed, head.split_off(len).freeze())),
                Ok(None) => Err(Refusal::Malformed.into()),
                Err(error) => Err(Refusal::of(&error).into()),
            };
        }
        if head.len() >= HEAD_LEN_MAX {
            return Err(Refusal::TooLong.into());
        }
        searched = head.len().saturating_sub(END.len() - 1);
        let room = (HEAD_LEN_MAX - head.len()).min(READ_LEN);
        if (&mut *stream).take(room as u64).read_buf(&mut head).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

async fn write_head<B>(
    stream: &mut impl Stream,
    response: &Response<B>,
    body: &[u8],
) -> io::Result<()> {
    let mut head = Vec::new();
    write_response(&mut head, response).map_err(io::Error::other)?;
    head.extend_from_slice(body);
    stream.write_all(&head).await?;
    stream.flush().await
}

/// Whether `word` is in the list that the headers of that name make together.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

const PATH_PREFIX: &str = "/api";

/// The end of a head.
const END: &[u8] = b"\r\n\r\n";

/// How much of a head is read at once, in bytes.
const READ_LEN: usize = 1 << 10;
