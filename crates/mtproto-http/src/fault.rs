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

/// What the system says, where that is the reason.
pub(crate) fn io_error(error: hyper::Error) -> io::Error {
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(cause) => io::Error::new(cause.kind(), cause.to_string()),
        None => io::Error::other(error),
    }
}
