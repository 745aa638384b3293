//! TLS below the transports, by rustls, for both roles.
