//! `cargo xtask fuzz tl`; see `mtproto_fuzz::tl`.
#![cfg_attr(fuzzing, no_main)]

mtproto_fuzz::target!(mtproto_fuzz::tl);
