//! Faults as links report them.

use std::error::Error;
use std::io;

use mtproto_frame::{FRAME_LEN_MAX_CLIENT, Misuse};

/// Whether `payload` can be the body of a request or of an answer.
pub(crate) fn check_payload(payload: &[u8]) -> Result<(), Misuse> {
    match payload.len() {
        len @ 1..=FRAME_LEN_MAX_CLIENT if len.is_multiple_of(4) => Ok(()),
        len => Err(Misuse::PayloadRefused { len }),
    }
}

/// Whether the peer ended the connection within a request or an answer.
pub(crate) fn is_cut_off(error: &hyper::Error) -> bool {
    let kind = io_cause(error).map(io::Error::kind);
    error.is_incomplete_message() || kind == Some(io::ErrorKind::UnexpectedEof)
}

/// What the system says, where that is the reason.
pub(crate) fn io_error(error: hyper::Error) -> io::Error {
    match io_cause(&error) {
        Some(cause) => io::Error::new(cause.kind(), cause.to_string()),
        None => io::Error::other(error),
    }
}

fn io_cause(error: &hyper::Error) -> Option<&io::Error> {
    error.source().and_then(|source| source.downcast_ref())
}
