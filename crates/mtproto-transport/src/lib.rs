//! Traits of an MTProto transport, stream links, an in-memory pair and a conformance suite
