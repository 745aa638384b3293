//! `cargo xtask fuzz wire`; see `mtproto_fuzz::wire`.
#![cfg_attr(fuzzing, no_main)]

mtproto_fuzz::target!(mtproto_fuzz::wire);
