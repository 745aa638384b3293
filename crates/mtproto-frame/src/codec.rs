//! A [`Wire`] as tokio-util's `Decoder` and `Encoder`, for users who frame streams themselves.

use std::{fmt, io};

use bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

use crate::{Inbound, Misuse, Outbound, Wire, WireFault};

/// Both directions of one side of a stream.
#[derive(Debug)]
pub struct WireCodec(pub Wire);

impl Decoder for WireCodec {
    type Item = Inbound;
    type Error = CodecError;

    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Inbound>, CodecError> {
        self.0.receive(input).map_err(CodecError::Fault)
    }
}

impl Encoder<Outbound> for WireCodec {
    type Error = CodecError;

    fn encode(&mut self, item: Outbound, out: &mut BytesMut) -> Result<(), CodecError> {
        self.0.send(&item, out).map_err(CodecError::Misuse)
    }
}

/// What ends a framed stream.
#[derive(Debug)]
pub enum CodecError {
    /// The peer's bytes.
    Fault(WireFault),
    /// The stream below.
    Io(io::Error),
    /// The caller.
    Misuse(Misuse),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Misuse(misuse) => misuse.fmt(f),
        }
    }
}

impl std::error::Error for CodecError {}

impl From<io::Error> for CodecError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
