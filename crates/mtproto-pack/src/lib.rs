//! Containers, gzip and RPC results of MTProto
