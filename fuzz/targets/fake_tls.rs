//! `cargo xtask fuzz fake_tls`; see `mtproto_fuzz::fake_tls`.
#![cfg_attr(fuzzing, no_main)]

mtproto_fuzz::target!(mtproto_fuzz::fake_tls);
