//! What a server writes.

use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use mtproto_frame::TransportError;

use crate::route::Manner;

/// The type of a packet.
pub(crate) const PACKET: &str = "application/octet-stream";

/// Appends a whole answer to `out`. The body of an error is empty.
pub(crate) fn write(
    out: &mut Vec<u8>,
    status: StatusCode,
    manner: Manner,
    content_type: &str,
    body: &[u8],
) {
    out.reserve_exact(HEAD_ROOM + body.len());
    write_status(out, status);
    write_common(out, manner);
    if !body.is_empty() {
        write_header(out, "Content-Type", content_type.as_bytes());
    }
    end_head(out, body.len());
    out.extend_from_slice(body);
}

/// Appends the answer to a request for another protocol. One that refuses has no body.
pub(crate) fn write_upgrade(out: &mut Vec<u8>, response: &Response<()>, manner: Manner) {
    write_status(out, response.status());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        write_headers(out, response.headers());
        out.extend_from_slice(b"\r\n");
    } else {
        write_common(out, manner);
        write_headers(out, response.headers());
        end_head(out, 0);
    }
}

/// The status that says `error`.
// req: S83, S114
pub(crate) fn status_of(error: TransportError) -> StatusCode {
    let code = u16::try_from(error.code().unsigned_abs()).ok().filter(|code| *code >= 400);
    // Codes that no status has are for streams.
    code.and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn write_status(out: &mut Vec<u8>, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or("Transport Error");
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The headers that answers have in common.
fn write_common(out: &mut Vec<u8>, manner: Manner) {
    // req: S81
    let connection = if manner.keep_alive { "keep-alive" } else { "close" };
    write_header(out, "Connection", connection.as_bytes());
    write_header(out, "Pragma", b"no-cache");
    write_header(out, "Cache-Control", b"no-store");
    // req: S104
    if manner.cors {
        for (name, value) in CORS {
            write_header(out, name, value.as_bytes());
        }
    }
}

fn write_headers(out: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        write_header(out, name.as_str(), value.as_bytes());
    }
}

/// Ends a head that a body of `len` bytes follows. Telethon takes the header that says so for the
/// last.
// req: L30
fn end_head(out: &mut Vec<u8>, len: usize) {
    write_header(out, "Content-Length", len.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// With these a browser lets a page from elsewhere send packets and read answers.
const CORS: [(&str, &str); 4] = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, OPTIONS"),
    ("Access-Control-Allow-Headers", "origin, content-type"),
    ("Access-Control-Max-Age", "1728000"),
];

/// Room for the longest head of ours, in bytes.
const HEAD_ROOM: usize = 400;
