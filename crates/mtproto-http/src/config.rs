//! What a server does with the requests of its clients.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, Response};
use mtproto_frame::FRAME_LEN_MAX_SERVER;
use mtproto_transport::{Link, Origin, Stream};

/// How long the head of a request may take, from its first byte on, unless set otherwise.
pub const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// How long the body of a request may take, unless set otherwise.
pub const BODY_LIMIT: Duration = Duration::from_secs(60);

/// How long a client may keep a connection without a request, and how long it may take to read an
/// answer, unless set otherwise.
pub const IDLE_LIMIT: Duration = Duration::from_secs(75);

/// What a server's connections have in common.
#[derive(Clone)]
pub struct HttpConfig {
    /// The longest packet that is taken, in bytes. A request that announces more is answered 413,
    /// and nothing of its body is kept.
    pub packet_len_max: usize,
    /// How long the head of a request may take. After that it is answered 408.
    pub head_limit: Duration,
    /// How long the body of a request may take. After that it is answered 408.
    pub body_limit: Duration,
    /// How long a connection is kept without a request, and how long the client may take to read
    /// an answer. After that it is closed without a word, which clients expect.
    pub idle_limit: Duration,
    /// What GET finds. Without it all is answered 404.
    pub pages: Option<Arc<dyn Pages>>,
    /// Who takes connections over that ask for another protocol. Without it they are answered as
    /// any GET.
    pub upgrade: Option<Arc<dyn Upgrade>>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            packet_len_max: FRAME_LEN_MAX_SERVER,
            head_limit: HEAD_LIMIT,
            body_limit: BODY_LIMIT,
            idle_limit: IDLE_LIMIT,
            pages: None,
            upgrade: None,
        }
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig")
            .field("packet_len_max", &self.packet_len_max)
            .field("head_limit", &self.head_limit)
            .field("body_limit", &self.body_limit)
            .field("idle_limit", &self.idle_limit)
            .field("pages", &self.pages.is_some())
            .field("upgrade", &self.upgrade.is_some())
            .finish()
    }
}

/// What a server shows to browsers.
pub trait Pages: Send + Sync {
    /// The page at `path`, which begins with a slash and is as the peer wrote it: still encoded,
    /// and never to be used as the name of a file.
    fn page(&self, path: &str) -> Option<Page>;
}

/// One page.
#[derive(Clone, Debug)]
pub struct Page {
    /// For example `text/html; charset=utf-8`.
    pub content_type: &'static str,
    /// The page itself.
    pub body: Bytes,
}

/// Takes connections over that go on with another protocol, as WebSocket does.
pub trait Upgrade: Send + Sync {
    /// Answers a request for another protocol, made at a path that MTProto is served at. Status 101
    /// agrees. Any other refuses, and the connection goes on with HTTP.
    fn answer(&self, request: &Request<()>) -> Response<()>;

    /// The link over what follows an answer of 101.
    fn link(&self, stream: Box<dyn Stream>, origin: Origin) -> Box<dyn Link>;
}
