//! `cargo xtask fuzz operations`; see `mtproto_fuzz::operations`.
#![cfg_attr(fuzzing, no_main)]

mtproto_fuzz::target!(mtproto_fuzz::operations);
