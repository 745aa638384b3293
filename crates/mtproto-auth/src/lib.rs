//! The key exchange of MTProto, client and server
