//! Written by `cargo xtask codegen`.

#[rustfmt::skip]
pub(crate) mod demo;
