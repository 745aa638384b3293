//! Key exchanges under way, on one node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mtproto_tl::ServerTime;
use zeroize::Zeroizing;

use crate::{HANDSHAKE_STATE_LEN_MAX, Inserted, ServerNonce, StoreError};

/// States of key exchanges, each to be taken once and within its time.
///
/// A part for key stores of a single node, where losing the states in a restart is no harm.
#[derive(Debug, Default)]
pub struct Handshakes {
    states: BTreeMap<ServerNonce, State>,
    by_expiry: BTreeSet<(ServerTime, ServerNonce)>,
}

#[derive(Debug)]
struct State {
    bytes: Zeroizing<Vec<u8>>,
    expires_at: ServerTime,
}

impl Handshakes {
    /// Keeps `state` for `ttl`, unless there is one under that nonce.
    ///
    /// # Errors
    /// `TooLarge` above [`HANDSHAKE_STATE_LEN_MAX`], `Full` at [`HANDSHAKES_MAX`].
    pub fn put(
        &mut self,
        nonce: ServerNonce,
        state: &[u8],
        ttl: Duration,
        now: ServerTime,
    ) -> Result<Inserted, StoreError> {
        StoreError::check_len("handshake state", state.len(), HANDSHAKE_STATE_LEN_MAX)?;
        self.drop_expired(now);
        if self.states.contains_key(&nonce) {
            return Ok(Inserted::Collision);
        }
        if self.states.len() >= HANDSHAKES_MAX {
            return Err(StoreError::Full { what: "handshakes", max: HANDSHAKES_MAX });
        }
        let expires_at = now.after(ttl);
        self.by_expiry.insert((expires_at, nonce));
        self.states.insert(nonce, State { bytes: Zeroizing::new(state.to_vec()), expires_at });
        Ok(Inserted::Created)
    }

    /// Takes the state out, unless its time is over.
    pub fn take(&mut self, nonce: ServerNonce, now: ServerTime) -> Option<Zeroizing<Vec<u8>>> {
        let state = self.states.remove(&nonce)?;
        self.by_expiry.remove(&(state.expires_at, nonce));
        (state.expires_at > now).then_some(state.bytes)
    }

    fn drop_expired(&mut self, now: ServerTime) {
        while let Some(&(expires_at, nonce)) = self.by_expiry.first() {
            if expires_at > now {
                break;
            }
            self.by_expiry.pop_first();
            self.states.remove(&nonce);
        }
    }
}

/// How many exchanges may be under way: 64 MiB if every state is as long as it may be.
pub const HANDSHAKES_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_is_given_and_one_more_is_refused_until_time_is_over() {
        let mut handshakes = Handshakes::default();
        let now = ServerTime::from_unix(Duration::from_secs(1_700_000_000));
        let ttl = Duration::from_secs(60);
        for n in 0..HANDSHAKES_MAX {
            let nonce = ServerNonce((n as u128).to_le_bytes());
            assert_eq!(handshakes.put(nonce, b"state", ttl, now), Ok(Inserted::Created));
        }
        let one_more = ServerNonce([0xff; 16]);
        assert_eq!(
            handshakes.put(one_more, b"state", ttl, now),
            Err(StoreError::Full { what: "handshakes", max: HANDSHAKES_MAX })
        );
        assert_eq!(handshakes.put(one_more, b"state", ttl, now.after(ttl)), Ok(Inserted::Created));
        assert_eq!(handshakes.states.len(), 1);
        assert_eq!(handshakes.by_expiry.len(), 1);
    }
}
