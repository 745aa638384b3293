//! An MTProto server for any TL schema: one shard per core, sessions, pushes, limits
