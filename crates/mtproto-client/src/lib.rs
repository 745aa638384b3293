//! An MTProto client that keeps its requests over reconnects
