//! Conversations with the server endpoint, in virtual time.
