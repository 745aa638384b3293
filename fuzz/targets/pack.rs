//! `cargo xtask fuzz pack`; see `mtproto_fuzz::pack`.
#![cfg_attr(fuzzing, no_main)]

mtproto_fuzz::target!(mtproto_fuzz::pack);
