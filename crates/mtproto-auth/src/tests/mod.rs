//! Conversations: with published samples, with each other, with clients and servers made by hand.

mod binding;
mod conversation;
mod hostile;
mod mutation;
mod plain;
mod samples;
mod support;
mod together;
mod zeros;
