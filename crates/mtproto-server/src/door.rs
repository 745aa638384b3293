//! What a connection becomes that does not begin with MTProto itself: HTTP, a WebSocket, TLS, or
//! what only looks like TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use mtproto_crypto::OsRandom;
use mtproto_frame::fake_tls::{Gate, Refusal};
use mtproto_frame::{Foreign, ServerWireConfig, Wire};
#[cfg(feature = "web")]
use mtproto_http::{HttpConfig, HttpServerLink};
use mtproto_tcp::TcpLink;
#[cfg(feature = "tls")]
use mtproto_tls::TlsServer;
#[cfg(feature = "web")]
use mtproto_transport::Stream;
use mtproto_transport::{Admission, Carrier, FakeTlsStream, Link, Origin, Rewound, StreamLink};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::clock::unix_time;

/// How long the site behind which a proxy hides may take to answer a connection.
const SITE_CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long a visitor of the site may stay on one connection.
const VISIT_MAX: Duration = Duration::from_secs(600);

/// All that is spoken on one port beside MTProto itself.
pub(crate) struct Door {
    pub(crate) wire: Arc<ServerWireConfig>,
    /// Lets clients in that know a secret for fake TLS.
    pub(crate) gate: Option<Gate>,
    /// Where those are sent who do not: HOST:PORT.
    pub(crate) site: Option<String>,
    #[cfg(feature = "web")]
    pub(crate) http: Arc<HttpConfig>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsServer>,
}

impl Door {
    /// Finds out what a stream is that begins with `protocol`, in so much time, and makes a link of
    /// it; `None` if it is none and over.
    // req: S117
    pub(crate) async fn open(
        &self,
        protocol: Foreign,
        link: TcpLink,
        limit: Duration,
    ) -> Option<Box<dyn Link>> {
        let origin = link.peer().origin;
        let (stream, state) = link.into_parts();
        let input = state.into_input();
        match (protocol, &self.gate) {
            (Foreign::Http, _) => {
                self.web(Rewound::new(input.freeze(), stream), origin, Carrier::Http)
            }
            (Foreign::Tls, None) => self.tls(stream, input, origin, limit).await,
            (Foreign::Tls, Some(gate)) => {
                self.fake_tls(gate, stream, input, origin, limit).await.unwrap_or_else(|error| {
                    debug!(%error, "ended within its hello");
                    None
                })
            }
        }
    }

    // req: S116
    async fn fake_tls(
        &self,
        gate: &Gate,
        stream: TcpStream,
        input: BytesMut,
        origin: Origin,
        limit: Duration,
    ) -> io::Result<Option<Box<dyn Link>>> {
        let accept = FakeTlsStream::accept(stream, input, gate, unix_time());
        match timeout(limit, accept).await?? {
            Admission::Ours { stream, secret } => {
                let origin = Origin { carrier: Carrier::FakeTls, ..origin };
                let wire = Arc::clone(&self.wire);
                let wire = Wire::inside_fake_tls(wire, secret, &mut OsRandom::new());
                Ok(Some(Box::new(StreamLink::new(stream, origin, wire))))
            }
            Admission::Foreign { stream, input, refusal } => {
                debug!(%refusal, "no client of fake TLS");
                if self.is_visitor(gate, refusal, &input) {
                    self.show_site(stream, &input).await?;
                    return Ok(None);
                }
                Ok(self.tls(stream, input, origin, limit).await)
            }
        }
    }

    /// Whether somebody is to see the site: who asks for it by name, and who knows a secret but
    /// does not get in with it, for that may be somebody who looks for proxies.
    fn is_visitor(&self, gate: &Gate, refusal: Refusal, input: &[u8]) -> bool {
        let is_stranger =
            matches!(refusal, Refusal::Malformed | Refusal::TooLong | Refusal::Unproven);
        !is_stranger || !self.has_tls() || gate.is_for_site(input)
    }

    /// Connects a visitor with the real site, until either has enough. Without one it closes.
    async fn show_site(&self, mut visitor: TcpStream, input: &[u8]) -> io::Result<()> {
        let Some(site) = &self.site else { return Ok(()) };
        let mut site = match timeout(SITE_CONNECT_MAX, TcpStream::connect(site)).await? {
            Ok(stream) => stream,
            Err(error) => {
                warn!(site, %error, "the site for visitors does not answer");
                return Ok(());
            }
        };
        site.write_all(input).await?;
        // Whoever breaks off has seen enough.
        let _ = timeout(VISIT_MAX, copy_bidirectional(&mut visitor, &mut site)).await;
        Ok(())
    }

    #[cfg(feature = "tls")]
    fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    fn has_tls(&self) -> bool {
        false
    }

    // req: S79, S81
    #[cfg(feature = "tls")]
    async fn tls(
        &self,
        stream: TcpStream,
        input: BytesMut,
        origin: Origin,
        limit: Duration,
    ) -> Option<Box<dyn Link>> {
        let accept = self.tls.as_ref()?.accept(Rewound::new(input.freeze(), stream));
        match timeout(limit, accept).await.unwrap_or_else(|late| Err(late.into())) {
            Ok(stream) => self.web(stream, origin, Carrier::Https),
            Err(error) => {
                debug!(%error, "no TLS");
                None
            }
        }
    }

    #[cfg(not(feature = "tls"))]
    async fn tls(
        &self,
        _: TcpStream,
        _: BytesMut,
        _: Origin,
        _: Duration,
    ) -> Option<Box<dyn Link>> {
        None
    }

    #[cfg(feature = "web")]
    fn web<S: Stream + 'static>(
        &self,
        stream: S,
        origin: Origin,
        carrier: Carrier,
    ) -> Option<Box<dyn Link>> {
        let origin = Origin { carrier, ..origin };
        Some(Box::new(HttpServerLink::new(stream, origin, Arc::clone(&self.http))))
    }

    #[cfg(not(feature = "web"))]
    fn web<S>(&self, _: S, _: Origin, _: Carrier) -> Option<Box<dyn Link>> {
        None
    }
}

/// WebSockets on the connections of HTTP.
#[cfg(feature = "web")]
pub(crate) mod websockets {
    use mtproto_crypto::OsRandom;
    use mtproto_http::{Request, Response, Upgrade};
    use mtproto_transport::{Carrier, Link, Origin, Stream};
    use mtproto_ws::{WsLink, WsServerConfig};

    /// Takes the connections over that ask for one.
    pub(crate) struct WebSockets(pub(crate) WsServerConfig);

    impl Upgrade for WebSockets {
        fn answer(&self, request: &Request<()>) -> Response<()> {
            mtproto_ws::answer(request).unwrap_or_else(mtproto_ws::Refusal::head)
        }

        fn link(&self, stream: Box<dyn Stream>, origin: Origin) -> Box<dyn Link> {
            let carrier = if origin.carrier == Carrier::Https { Carrier::Wss } else { Carrier::Ws };
            let origin = Origin { carrier, ..origin };
            Box::new(WsLink::server(stream, origin, &self.0, &mut OsRandom::new()))
        }
    }
}
