//! The keys of a client: the permanent one, and with forward secrecy the temporary one that speaks
//! for it and the next that will take over.

use std::time::{Duration, Instant};

use mtproto_auth::{KeyKind, NewKey};
use mtproto_crypto::AuthKey;
use mtproto_session::{Salts, ServerClock};
use mtproto_store::{ClientKey, DcRecord, SALTS_MAX, SaltPeriod, TemporaryKey};
use mtproto_tl::{AuthKeyId, ServerTime, types::FutureSalt};

use super::Pfs;

/// A permanent key younger than this may not have reached all of the server yet: that a binding to
/// it is refused then does not prove it lost.
// https://core.telegram.org/api/pfs: 60 seconds.
pub const PERMANENT_KEY_YOUNG: Duration = Duration::from_secs(60);

/// The keys there are.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) permanent: Option<ClientKey>,
    pub(super) temporary: Option<TemporaryKey>,
    /// Made ahead, for when the one in use expires.
    pub(super) next: Option<TemporaryKey>,
}

/// What a temporary key is to be bound to, and until when, in Unix seconds.
pub(super) struct Binding {
    pub(super) permanent: AuthKey,
    pub(super) expires_at: u32,
}

impl Keys {
    /// Takes over what is stored, as far as it is still good.
    pub(super) fn restore(stored: DcRecord, pfs: Option<Pfs>, time: ServerTime) -> Self {
        let DcRecord { permanent, temporary, .. } = stored;
        let usable = |key: &TemporaryKey| pfs.is_some() && !is_expired(key, time);
        Self { permanent: Some(permanent), temporary: temporary.filter(usable), next: None }
    }

    /// Takes a new permanent key in.
    pub(super) fn add_permanent(&mut self, made: &NewKey) {
        *self = Self { permanent: Some(client_key(made)), temporary: None, next: None };
    }

    /// Takes a new temporary key in: into use if there is none, else as the next.
    pub(super) fn add_temporary(&mut self, made: &NewKey) {
        let lifetime = match made.kind {
            KeyKind::Permanent => 0,
            KeyKind::Temporary { expires_in } => expires_in,
        };
        let expires_at = made.server_time.saturating_add(lifetime);
        let key = TemporaryKey { key: client_key(made), expires_at, bound: false };
        let place = if self.temporary.is_some() { &mut self.next } else { &mut self.temporary };
        *place = Some(key);
    }

    /// The key to encrypt with, and the binding that it needs first.
    pub(super) fn usable(&self, pfs: Option<Pfs>) -> Option<(&ClientKey, Option<Binding>)> {
        let permanent = self.permanent.as_ref()?;
        if pfs.is_none() {
            return Some((permanent, None));
        }
        let TemporaryKey { key, expires_at, bound } = self.temporary.as_ref()?;
        let binding = Binding { permanent: permanent.key.clone(), expires_at: *expires_at };
        Some((key, (!bound).then_some(binding)))
    }

    /// The key of that id, whichever it is.
    pub(super) fn get_mut(&mut self, id: AuthKeyId) -> Option<&mut ClientKey> {
        let temporary = self.temporary.as_mut().map(|temporary| &mut temporary.key);
        [self.permanent.as_mut(), temporary].into_iter().flatten().find(|key| key.id() == id)
    }

    /// Which key is to be made.
    pub(super) fn wanted(&self, pfs: Option<Pfs>, time: ServerTime) -> Option<KeyKind> {
        if self.permanent.is_none() {
            return Some(KeyKind::Permanent);
        }
        let renews = self.renewal_time(pfs).is_some_and(|due| due <= time);
        let missing = self.temporary.is_none() || renews;
        pfs.filter(|_| missing).map(|pfs| KeyKind::Temporary { expires_in: pfs.lifetime_seconds() })
    }

    /// When the next temporary key is to be made, as long as there is none.
    pub(super) fn renewal_time(&self, pfs: Option<Pfs>) -> Option<ServerTime> {
        let expires_at = self.temporary.as_ref().filter(|_| self.next.is_none())?.expires_at;
        Some(unix(expires_at).before(pfs?.renewal_margin()))
    }

    /// When the next temporary key has to take over, though requests may be under way.
    pub(super) fn takeover_time(&self, pfs: Option<Pfs>) -> Option<ServerTime> {
        let expires_at = self.temporary.as_ref().filter(|_| self.next.is_some())?.expires_at;
        Some(unix(expires_at).before(pfs?.renewal_margin() / 2))
    }

    /// When the temporary key in use expires.
    pub(super) fn expiry(&self) -> Option<ServerTime> {
        self.temporary.as_ref().map(|key| unix(key.expires_at))
    }

    /// What to store of them; `None` without a permanent key.
    pub(super) fn record(&self, address: &str, time_offset_ms: i64) -> Option<DcRecord> {
        Some(DcRecord {
            address: address.to_owned(),
            time_offset_ms,
            permanent: self.permanent.clone()?,
            temporary: self.temporary.clone(),
        })
    }
}

impl Pfs {
    /// How long before its end a key is renewed.
    fn renewal_margin(self) -> Duration {
        self.lifetime / 8
    }

    fn lifetime_seconds(self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }
}

/// Whether the permanent key is too young for a refusal to mean that it is lost.
pub(super) fn is_young(key: &ClientKey, time: ServerTime) -> bool {
    time.saturating_since(unix(key.created)) < PERMANENT_KEY_YOUNG
}

/// The salts of a key, for a session on it.
pub(super) fn salts_of(key: &ClientKey) -> Salts {
    let first = key.salts.iter().find(|period| period.valid_since == 0);
    let list = key.salts.iter().filter(|period| period.valid_since != 0).map(|period| FutureSalt {
        valid_since: period.valid_since.cast_signed(),
        valid_until: period.valid_until.cast_signed(),
        salt: period.salt,
    });
    Salts::new(first.map(|period| period.salt), list.collect())
}

/// What to store of a session's salts: the one in use, whose beginning is not known, and the list.
// req: S22
pub(super) fn salt_periods(salts: &Salts, time: ServerTime) -> Vec<SaltPeriod> {
    let list = salts.list().iter().map(|salt| SaltPeriod {
        salt: salt.salt,
        valid_since: salt.valid_since.cast_unsigned(),
        valid_until: salt.valid_until.cast_unsigned(),
    });
    let current = salts.current(time);
    let until = list.clone().next().map_or(u32::MAX, |first| first.valid_since);
    let first = SaltPeriod { salt: current, valid_since: 0, valid_until: until };
    std::iter::once(first).chain(list).take(SALTS_MAX).collect()
}

/// The moment at which `clock` shows `time`, seen from `now`; `now` itself if that is over.
pub(super) fn moment(clock: &ServerClock, time: ServerTime, now: Instant) -> Instant {
    now + time.saturating_since(clock.now(now))
}

fn client_key(made: &NewKey) -> ClientKey {
    let first = SaltPeriod { salt: made.first_salt, valid_since: 0, valid_until: u32::MAX };
    ClientKey { key: made.key.clone(), created: made.server_time, salts: vec![first] }
}

fn is_expired(key: &TemporaryKey, time: ServerTime) -> bool {
    unix(key.expires_at) <= time
}

fn unix(seconds: u32) -> ServerTime {
    ServerTime::from_unix(Duration::from_secs(u64::from(seconds)))
}
