//! Auth keys of an MTProto server in one redb file
