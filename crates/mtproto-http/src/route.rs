//! What a request asks for.

use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, UPGRADE};
use hyper::{Method, Request, StatusCode, Version};
use mtproto_frame::ApiPath;

use crate::config::{HttpConfig, Upgrade};

/// The longest path and query of a request, in bytes. Longer ones are answered 414.
pub const URI_LEN_MAX: usize = 1 << 10;

/// What to do about a request.
#[derive(Clone)]
pub(crate) enum Route {
    /// A packet of that many bytes is its body.
    Packet { len: usize },
    /// A browser asks for a page.
    Page,
    /// A browser asks whether a page from elsewhere may send a packet.
    Preflight,
    /// It cannot be served.
    Refused(StatusCode),
    /// The connection is to go on with another protocol, which somebody here speaks.
    Upgrade(Arc<dyn Upgrade>),
}

/// What all answers to one request have in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Manner {
    /// Whether pages from elsewhere may read them.
    pub(crate) cors: bool,
    /// Whether the connection goes on.
    pub(crate) keep_alive: bool,
}

impl Manner {
    /// The last words on a connection.
    pub(crate) const CLOSE: Self = Self { cors: false, keep_alive: false };
}

/// Reads the head of a request.
///
/// <https://core.telegram.org/mtproto/transports#http>
pub(crate) fn route(request: &Request<Incoming>, config: &HttpConfig) -> (Route, Manner) {
    let api = ApiPath::from_text(request.uri().path()).map(|(path, _)| path);
    let has_body = !request.body().is_end_stream();
    let route = if uri_len(request) > URI_LEN_MAX {
        Route::Refused(StatusCode::URI_TOO_LONG)
    } else {
        match *request.method() {
            Method::POST => route_post(request, api.is_some(), config),
            Method::GET if !has_body => route_get(request, api.is_some(), config),
            // req: S104
            Method::OPTIONS if !has_body && api.is_some() => Route::Preflight,
            Method::OPTIONS if !has_body => Route::Refused(StatusCode::NOT_FOUND),
            _ => Route::Refused(StatusCode::NOT_IMPLEMENTED),
        }
    };
    let keep_alive = match route {
        Route::Packet { .. } => true,
        // Other methods end the connection by the rules of living servers.
        Route::Refused(StatusCode::NOT_IMPLEMENTED) => false,
        // A body that is not read stands before the next request.
        _ => !has_body,
    };
    let manner = Manner {
        cors: api.is_some_and(|path| path.cors),
        keep_alive: keep_alive && wants_keep_alive(request),
    };
    (route, manner)
}

// req: S82, S86
fn route_post(request: &Request<Incoming>, is_api: bool, config: &HttpConfig) -> Route {
    if !is_api {
        return Route::Refused(StatusCode::NOT_FOUND);
    }
    // A chunked body has no length.
    let declared = request.body().size_hint().exact().and_then(|len| usize::try_from(len).ok());
    match declared.filter(|_| request.headers().contains_key(CONTENT_LENGTH)) {
        None => Route::Refused(StatusCode::LENGTH_REQUIRED),
        Some(len) if len > config.packet_len_max => Route::Refused(StatusCode::PAYLOAD_TOO_LARGE),
        Some(len) if len == 0 || !len.is_multiple_of(4) => Route::Refused(StatusCode::NOT_FOUND),
        Some(len) => Route::Packet { len },
    }
}

fn route_get(request: &Request<Incoming>, is_api: bool, config: &HttpConfig) -> Route {
    match &config.upgrade {
        Some(upgrade) if is_api && request.headers().contains_key(UPGRADE) => {
            Route::Upgrade(Arc::clone(upgrade))
        }
        _ => Route::Page,
    }
}

fn uri_len(request: &Request<Incoming>) -> usize {
    request.uri().path_and_query().map_or(0, |text| text.as_str().len())
}

// req: S81
fn wants_keep_alive(request: &Request<Incoming>) -> bool {
    match request.version() {
        Version::HTTP_11 => !connection_says(request.headers(), "close"),
        _ => connection_says(request.headers(), "keep-alive"),
    }
}

fn connection_says(headers: &HeaderMap, word: &str) -> bool {
    let lines = headers.get_all(CONNECTION).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|said| said.trim().eq_ignore_ascii_case(word))
}
