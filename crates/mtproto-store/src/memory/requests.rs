//! Which requests of one session were started, and how they ended.

use std::collections::BTreeMap;

use bytes::Bytes;
use mtproto_tl::{MsgId, ServerTime};

use crate::{Accept, REQUEST_LIFE_MAX, REQUESTS_MAX, StoreError, Token};

/// Requests by id, each for [`REQUEST_LIFE_MAX`] after it was started.
///
/// An entry is never dropped early, since a request would then run twice; a result may be.
#[derive(Debug, Default)]
pub(super) struct Requests {
    entries: BTreeMap<MsgId, Entry>,
    result_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    outcome: Outcome,
    expires_at: ServerTime,
}

#[derive(Debug)]
enum Outcome {
    Running(Token),
    Done(Bytes),
    Forgotten,
}

impl Requests {
    /// Says what is known of a request and notes that it runs if nothing was.
    ///
    /// # Errors
    /// `Full` at [`REQUESTS_MAX`].
    pub(super) fn accept(
        &mut self,
        request: MsgId,
        token: Token,
        now: ServerTime,
    ) -> Result<Accept, StoreError> {
        self.drop_expired(now);
        if let Some(entry) = self.entries.get(&request) {
            return Ok(match &entry.outcome {
                Outcome::Running(by) if *by == token => Accept::InProgress,
                Outcome::Done(result) => Accept::Done(result.clone()),
                Outcome::Running(_) | Outcome::Forgotten => Accept::Unknown,
            });
        }
        if self.entries.len() >= REQUESTS_MAX {
            return Err(StoreError::Full { what: "requests of a session", max: REQUESTS_MAX });
        }
        let expires_at = now.after(REQUEST_LIFE_MAX);
        self.entries.insert(request, Entry { outcome: Outcome::Running(token), expires_at });
        Ok(Accept::New)
    }

    /// Keeps the result of a request, and forgets older results if they are too many bytes.
    pub(super) fn complete(&mut self, request: MsgId, result: Bytes, now: ServerTime) {
        self.drop_expired(now);
        let Some(entry) = self.entries.get_mut(&request) else { return };
        if !matches!(entry.outcome, Outcome::Running(_)) {
            return;
        }
        self.result_bytes += result.len();
        entry.outcome = Outcome::Done(result);
        for entry in self.entries.values_mut() {
            if self.result_bytes <= RESULT_BYTES_MAX {
                break;
            }
            self.result_bytes -= entry.forget_result();
        }
    }

    fn drop_expired(&mut self, now: ServerTime) {
        let bytes = &mut self.result_bytes;
        self.entries.retain(|_, entry| {
            let live = entry.expires_at > now;
            if !live {
                *bytes -= entry.forget_result();
            }
            live
        });
    }
}

impl Entry {
    /// Forgets the result, if there is one, and returns its length.
    fn forget_result(&mut self) -> usize {
        let Outcome::Done(result) = &self.outcome else { return 0 };
        let len = result.len();
        self.outcome = Outcome::Forgotten;
        len
    }
}

/// How many bytes of results of one session the memory holds.
pub const RESULT_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_old_result_is_forgotten_before_its_request_is() {
        let now = ServerTime::from_unix(Duration::from_secs(1_700_000_000));
        let half = Bytes::from(vec![0; RESULT_BYTES_MAX / 2]);
        let mut requests = Requests::default();
        for id in [4, 8, 12].map(MsgId) {
            assert_eq!(requests.accept(id, Token(1), now), Ok(Accept::New));
            requests.complete(id, half.clone(), now);
        }
        assert_eq!(requests.accept(MsgId(4), Token(1), now), Ok(Accept::Unknown));
        assert_eq!(requests.accept(MsgId(8), Token(1), now), Ok(Accept::Done(half)));
        let later = now.after(REQUEST_LIFE_MAX);
        assert_eq!(requests.accept(MsgId(4), Token(1), later), Ok(Accept::New));
        assert_eq!(requests.result_bytes, 0);
    }
}
