//! TL schema parser and Rust code generator
