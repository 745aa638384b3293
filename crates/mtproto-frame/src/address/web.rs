//! Addresses of HTTP and WebSocket, as the documentation wants them.

use std::fmt;

use super::{Address, Host, Scheme};

/// What the path of an address asks for, beside WebSocket, which is the scheme's affair.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ApiPath {
    /// `w`: answers carry the headers with which pages from elsewhere may read them.
    // req: S104
    pub cors: bool,
    /// `_test`: the test servers.
    // req: S108
    pub test: bool,
}

impl ApiPath {
    pub(super) fn to_text(self, websocket: bool) -> String {
        let part = |is_there, text| if is_there { text } else { "" };
        let (w, s) = (part(self.cors, "w"), part(websocket, "s"));
        format!("/api{w}{s}{}", part(self.test, "_test"))
    }
}

/// Builds an address of HTTP or WebSocket by the rules that hold for Telegram's own servers. Other
/// servers may be anywhere: fill in an [`Address`] for them.
///
/// ```
/// # use mtproto_frame::{DataCenter, WebAddress};
/// let address = WebAddress::new(DataCenter::Flora.host(false)).tls().websocket().cors().build()?;
/// assert_eq!(address.to_string(), "wss://flora.web.telegram.org:443/apiws");
/// assert_eq!(address.http_form(), "https://flora.web.telegram.org:443/apiws");
/// # Ok::<(), mtproto_frame::WebFault>(())
/// ```
// req: S110
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebAddress {
    host: Host,
    tls: bool,
    websocket: bool,
    path: ApiPath,
}

impl WebAddress {
    /// `http://HOST:80/api`.
    #[must_use]
    pub fn new(host: Host) -> Self {
        Self { host, tls: false, websocket: false, path: ApiPath::default() }
    }

    /// Over TLS.
    #[must_use]
    pub fn tls(self) -> Self {
        Self { tls: true, ..self }
    }

    /// A WebSocket.
    #[must_use]
    pub fn websocket(self) -> Self {
        Self { websocket: true, ..self }
    }

    /// For pages in a browser.
    #[must_use]
    pub fn cors(self) -> Self {
        Self { path: ApiPath { cors: true, ..self.path }, ..self }
    }

    /// The test servers.
    #[must_use]
    pub fn test(self) -> Self {
        Self { path: ApiPath { test: true, ..self.path }, ..self }
    }

    /// The address, at port 80, or 443 with TLS.
    ///
    /// # Errors
    /// Which parts do not go together.
    // req: S101, S102, S103, S109
    pub fn build(self) -> Result<Address, WebFault> {
        let Self { host, tls, websocket, path } = self;
        let is_name = matches!(host, Host::Name(_));
        let (scheme, port) = match (tls, websocket) {
            (true, _) if !is_name => return Err(WebFault::TlsWithoutName),
            (false, true) if is_name => return Err(WebFault::NameWithoutTls),
            (false, false) => (Scheme::Http, 80),
            (false, true) => (Scheme::Ws, 80),
            (true, false) => (Scheme::Https, 443),
            (true, true) => (Scheme::Wss, 443),
        };
        if path.test && !is_name {
            return Err(WebFault::TestWithoutName);
        }
        Ok(Address { scheme, host, port, path })
    }
}

/// What does not go together in an address.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WebFault {
    /// A WebSocket to a name, without TLS.
    NameWithoutTls,
    /// The test servers by number.
    TestWithoutName,
    /// TLS to a number.
    TlsWithoutName,
}

impl fmt::Display for WebFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameWithoutTls => {
                "a name takes WebSocket over TLS only: ask for TLS, or give an IP address"
            }
            Self::TestWithoutName => {
                "only a name has test servers in its path: give a data centre's name"
            }
            Self::TlsWithoutName => "TLS goes with a name: give one, or leave TLS away",
        })
    }
}

impl std::error::Error for WebFault {}
