//! How a command ends: one line for a person, one number for a script.

use std::fmt;
use std::process::ExitCode;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// What was to be shown is not so.
    Check = 1,
    /// The command line, a file or an address is not usable.
    Usage = 2,
    /// The other side cannot be reached or does not answer.
    Network = 3,
}

impl Failure {
    pub(crate) fn check(message: impl fmt::Display) -> Self {
        Self { kind: Kind::Check, message: message.to_string() }
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { kind: Kind::Usage, message: message.to_string() }
    }

    pub(crate) fn network(message: impl fmt::Display) -> Self {
        Self { kind: Kind::Network, message: message.to_string() }
    }

    /// Says it on standard error and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("mtproto: {}", self.message);
        ExitCode::from(self.kind as u8)
    }
}
