//! Where a client's requests go.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{Method, Request, Uri};
use mtproto_frame::{Address, Scheme};
use mtproto_transport::{Carrier, Connect, Connected, Dial, DialError, Link, Origin};

use crate::client::HttpClientLink;
use crate::exchange::{ANSWER_LIMIT, Line};

/// Makes links to one server over HTTP.
#[derive(Clone)]
pub struct HttpDial {
    target: Target,
}

impl HttpDial {
    /// Posts to `address`, over streams that `connect` opens. Those of an `https` address are to
    /// have TLS on them already.
    #[must_use]
    pub fn new(address: Address, connect: Arc<dyn Connect>) -> Self {
        Self { target: Target { address, connect, answer_limit: ANSWER_LIMIT } }
    }

    /// Sets how long an answer may take; [`ANSWER_LIMIT`] otherwise. It has to be longer than the
    /// longest wait that the client asks for.
    #[must_use]
    pub fn answer_limit(mut self, limit: Duration) -> Self {
        self.target.answer_limit = limit;
        self
    }

    /// Where this posts to.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.target.address
    }

    /// As [`Dial::dial`], with the link's type still known. Cancel-safe.
    ///
    /// # Errors
    /// Why there is no connection, naming the address.
    pub async fn link(&self) -> Result<HttpClientLink, DialError> {
        let (line, origin) = self.target.connect().await?;
        Ok(HttpClientLink::new(Arc::new(self.target.clone()), line, origin))
    }
}

#[async_trait]
impl Dial for HttpDial {
    async fn dial(&self) -> Result<Box<dyn Link>, DialError> {
        Ok(Box::new(self.link().await?))
    }
}

impl fmt::Debug for HttpDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDial")
            .field("address", self.address())
            .field("answer_limit", &self.target.answer_limit)
            .finish_non_exhaustive()
    }
}

/// A server, and how to reach it.
#[derive(Clone)]
pub(crate) struct Target {
    address: Address,
    connect: Arc<dyn Connect>,
    pub(crate) answer_limit: Duration,
}

impl Target {
    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<(Line, Origin), DialError> {
        let Connected { stream, origin } = self.connect.connect(&self.address).await?;
        let carrier = if self.address.scheme.is_tls() { Carrier::Https } else { Carrier::Http };
        let line = Line::new(stream).await.map_err(|error| DialError::Connect {
            target: self.address.to_string(),
            source: io::Error::other(error),
        })?;
        Ok((line, Origin { carrier, ..origin }))
    }

    /// The request that carries `payload`.
    // req: S81, S86
    pub(crate) fn request(&self, payload: &Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(payload.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host());
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        request
    }

    fn uri(&self) -> Uri {
        let as_http = Address { scheme: Scheme::Http, ..self.address.clone() };
        as_http.path().and_then(|path| path.parse().ok()).unwrap_or_default()
    }

    fn host(&self) -> HeaderValue {
        let Address { scheme, host, port, .. } = &self.address;
        let text =
            if scheme.port() == Some(*port) { host.to_string() } else { format!("{host}:{port}") };
        // An empty one is legal, for what no name can be.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}
