//! What a server endpoint holds, for whoever watches over it.

/// What a server endpoint holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Links that it knows.
    pub links: usize,
    /// Auth keys at hand.
    pub keys: usize,
    /// Sessions.
    pub sessions: usize,
    /// Key exchanges, those that are over and may still be asked about included.
    pub exchanges: usize,
    /// Keys that the store looks for.
    pub loads: usize,
    /// Queries that are being carried out.
    pub running_requests: usize,
    /// Messages that wait to be acknowledged.
    pub queued_messages: usize,
    /// Bytes of these.
    pub queued_bytes: usize,
}
