//! Reads `tests/vectors.json`: published samples and the values of other implementations.

use std::sync::LazyLock;

use serde_json::Value;

use crate::SecureRandom;

static ALL: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors.json"));
    serde_json::from_str(text).unwrap()
});

/// The whole file.
pub(crate) fn all() -> &'static Value {
    &ALL
}

/// Bytes from hexadecimal digits.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The bytes of a hexadecimal field.
pub(crate) fn bytes(field: &Value) -> Vec<u8> {
    hex(field.as_str().unwrap_or_else(|| panic!("no such field: {field}")))
}

/// The bytes of a hexadecimal field of known length.
pub(crate) fn array<const N: usize>(field: &Value) -> [u8; N] {
    bytes(field).try_into().unwrap()
}

/// An integer field, which may be written as a string when it is long.
pub(crate) fn number(field: &Value) -> u64 {
    match field.as_str() {
        Some(digits) => digits.parse::<i128>().unwrap() as u64,
        None => field.as_u64().unwrap_or_else(|| field.as_i64().unwrap() as u64),
    }
}

/// The auth key `00 01 02 .. ff` of many vectors.
pub(crate) fn counting() -> [u8; 256] {
    core::array::from_fn(|i| i as u8)
}

/// The auth key `ff fe fd .. 00`.
pub(crate) fn counting_down() -> [u8; 256] {
    core::array::from_fn(|i| 255 - i as u8)
}

/// A generator that repeats what a vector's author drew.
pub(crate) struct Recorded(std::collections::VecDeque<u8>);

impl Recorded {
    pub(crate) fn new(drawn: &[&[u8]]) -> Self {
        Self(drawn.concat().into())
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.0.is_empty()
    }
}

impl SecureRandom for Recorded {
    fn fill(&mut self, out: &mut [u8]) {
        let drawn = self.0.drain(..out.len());
        for (slot, byte) in out.iter_mut().zip(drawn) {
            *slot = byte;
        }
    }
}
