//! The `mtproto` command.

fn main() {}
