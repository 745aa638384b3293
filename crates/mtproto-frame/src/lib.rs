//! Framings, obfuscation and recognition of MTProto byte streams
