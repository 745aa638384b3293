//! The messages that wait for one session's client.

use std::collections::BTreeMap;

use bytes::Bytes;
use mtproto_tl::{MsgId, ServerTime};

use crate::{QueueLimits, Queued, StoreError};

/// Messages by id, which is their order, each until it is acknowledged or its time is over.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: BTreeMap<MsgId, Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    body: Bytes,
    expires_at: ServerTime,
}

impl Queue {
    /// Queues a message and returns how many older ones were forgotten for it.
    ///
    /// # Errors
    /// `Full` or `TooLarge` if `limits` leave no room even in an empty queue.
    pub(super) fn push(
        &mut self,
        id: MsgId,
        body: Bytes,
        limits: QueueLimits,
        now: ServerTime,
    ) -> Result<usize, StoreError> {
        StoreError::check_len("message", body.len(), limits.bytes_max)?;
        if limits.messages_max == 0 {
            return Err(StoreError::Full { what: "messages", max: 0 });
        }
        if self.entries.contains_key(&id) {
            return Ok(0);
        }
        let before = self.entries.len();
        self.drop_expired(now);
        while self.entries.len() >= limits.messages_max
            || self.bytes + body.len() > limits.bytes_max
        {
            self.drop_oldest();
        }
        let forgotten = before - self.entries.len();
        self.bytes += body.len();
        self.entries.insert(id, Entry { body, expires_at: now.after(limits.life_max) });
        Ok(forgotten)
    }

    /// Up to `max` messages with ids above `after`, oldest first.
    pub(super) fn above(&self, after: MsgId, max: usize, now: ServerTime) -> Vec<Queued> {
        let above = self.entries.range(MsgId(after.0.saturating_add(1))..);
        let live = above.filter(|(_, entry)| entry.expires_at > now);
        live.take(max).map(|(id, entry)| Queued { msg_id: *id, body: entry.body.clone() }).collect()
    }

    /// Takes acknowledged messages out.
    pub(super) fn ack(&mut self, ids: &[MsgId]) {
        for id in ids {
            if let Some(entry) = self.entries.remove(id) {
                self.bytes -= entry.body.len();
            }
        }
    }

    /// How many messages wait.
    pub(super) fn len(&self, now: ServerTime) -> usize {
        self.entries.values().filter(|entry| entry.expires_at > now).count()
    }

    fn drop_oldest(&mut self) {
        if let Some((_, entry)) = self.entries.pop_first() {
            self.bytes -= entry.body.len();
        }
    }

    fn drop_expired(&mut self, now: ServerTime) {
        let bytes = &mut self.bytes;
        self.entries.retain(|_, entry| {
            let live = entry.expires_at > now;
            if !live {
                *bytes -= entry.body.len();
            }
            live
        });
    }
}
