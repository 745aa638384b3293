//! The `mtproto` binary, run as a person or a script runs it.

mod bad_input;
mod bench;
mod commands;
mod packet;
mod secret;
mod serve;
mod support;
mod tickets;
mod uri;
