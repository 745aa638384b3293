//! The tables of the file, and what is done to them inside one transaction.

use mtproto_store::{Bound, Inserted, KeyKind, KeyRecord, StoreError};
use mtproto_tl::{AuthKeyId, ServerTime};
use redb::{
    Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};
use tokio::sync::oneshot;

use crate::error::unavailable;
use crate::record;

/// Records by the id of their key.
pub(crate) const KEYS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("keys");

/// The temporary ones by the second they expire in.
pub(crate) const BY_EXPIRY: TableDefinition<'_, (u64, u64), ()> =
    TableDefinition::new("temp_by_expiry");

/// The temporary key that is bound to a permanent one.
pub(crate) const BOUND: TableDefinition<'_, u64, u64> = TableDefinition::new("bound");

/// The tables, open for changes. A method that fails with `Corrupt` has changed nothing.
pub(crate) struct Keys<'a> {
    records: Table<'a, u64, &'static [u8]>,
    by_expiry: Table<'a, (u64, u64), ()>,
    bound: Table<'a, u64, u64>,
}

impl<'a> Keys<'a> {
    /// Opens the tables, and makes those that are not there yet.
    pub(crate) fn open(transaction: &'a WriteTransaction) -> Result<Self, redb::TableError> {
        Ok(Self {
            records: transaction.open_table(KEYS)?,
            by_expiry: transaction.open_table(BY_EXPIRY)?,
            bound: transaction.open_table(BOUND)?,
        })
    }

    /// See [`insert_new`](mtproto_store::KeyStore::insert_new).
    pub(crate) fn insert_new(
        &mut self,
        record: &KeyRecord,
        now: ServerTime,
    ) -> Result<Inserted, StoreError> {
        let id = record.id();
        let present = stored(&self.records, id)?;
        self.drop_expired(now)?;
        if let Some(present) = present {
            if !present.is_expired(now) {
                return Ok(Inserted::Collision);
            }
            self.erase(id, present.kind)?;
        }
        if let Some(expires_at) = record.kind.expires_at() {
            let place = (u64::from(expires_at), id.0);
            self.by_expiry.insert(place, ()).map_err(unavailable)?;
        }
        let kind = record.kind.with_bound_to(None);
        self.put(&KeyRecord { kind, ..record.clone() })?;
        Ok(Inserted::Created)
    }

    /// See [`bind`](mtproto_store::KeyStore::bind).
    pub(crate) fn bind(
        &mut self,
        temporary: AuthKeyId,
        permanent: AuthKeyId,
        now: ServerTime,
    ) -> Result<Bound, StoreError> {
        let Some(record) = live(&self.records, temporary, now)? else {
            return Ok(Bound::NoTemporary);
        };
        let KeyKind::Temporary { bound_to, .. } = record.kind else {
            return Ok(Bound::NoTemporary);
        };
        let holder = live(&self.records, permanent, now)?;
        if holder.map(|record| record.kind) != Some(KeyKind::Permanent) {
            return Ok(Bound::NoPermanent);
        }
        match bound_to {
            Some(other) if other == permanent => Ok(Bound::Done { replaced: None }),
            Some(_) => Ok(Bound::AlreadyBound),
            None => self.replace_bound(record, permanent),
        }
    }

    fn replace_bound(
        &mut self,
        record: KeyRecord,
        permanent: AuthKeyId,
    ) -> Result<Bound, StoreError> {
        let replaced = self.bound_to(permanent)?;
        let unbound = replaced.map(|id| stored(&self.records, id)).transpose()?.flatten();
        if let Some(record) = unbound {
            self.put(&KeyRecord { kind: record.kind.with_bound_to(None), ..record })?;
        }
        self.bound.insert(permanent.0, record.id().0).map_err(unavailable)?;
        let kind = record.kind.with_bound_to(Some(permanent));
        self.put(&KeyRecord { kind, ..record })?;
        Ok(Bound::Done { replaced })
    }

    /// See [`remove`](mtproto_store::KeyStore::remove).
    pub(crate) fn remove(&mut self, id: AuthKeyId) -> Result<Vec<AuthKeyId>, StoreError> {
        let ids = [Some(id), self.bound_to(id)?];
        let mut gone = Vec::new();
        for id in ids.into_iter().flatten() {
            if let Some(record) = stored(&self.records, id)? {
                gone.push((id, record.kind));
            }
        }
        for (id, kind) in &gone {
            self.erase(*id, *kind)?;
        }
        Ok(gone.into_iter().map(|(id, _)| id).collect())
    }

    /// Removes keys whose time is over, not more than fit a short commit.
    fn drop_expired(&mut self, now: ServerTime) -> Result<(), StoreError> {
        for _ in 0..EXPIRED_PER_CHANGE_MAX {
            let first = self.by_expiry.first().map_err(unavailable)?;
            let Some((expires_at, id)) = first.map(|(place, _)| place.value()) else { break };
            if expires_at > u64::from(now.unix_seconds()) {
                break;
            }
            self.by_expiry.remove((expires_at, id)).map_err(unavailable)?;
            match stored(&self.records, AuthKeyId(id)) {
                Ok(Some(record)) => self.erase(AuthKeyId(id), record.kind)?,
                // A record that cannot be read stays, for a person to look at.
                Ok(None) | Err(StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn bound_to(&self, permanent: AuthKeyId) -> Result<Option<AuthKeyId>, StoreError> {
        let bound = self.bound.get(permanent.0).map_err(unavailable)?;
        Ok(bound.map(|id| AuthKeyId(id.value())))
    }

    fn put(&mut self, record: &KeyRecord) -> Result<(), StoreError> {
        let bytes = record::write(record);
        self.records.insert(record.id().0, bytes.as_slice()).map_err(unavailable)?;
        Ok(())
    }

    /// Removes a record of this kind and all that leads to it.
    fn erase(&mut self, id: AuthKeyId, kind: KeyKind) -> Result<(), StoreError> {
        self.records.remove(id.0).map_err(unavailable)?;
        if let Some(expires_at) = kind.expires_at() {
            self.by_expiry.remove((u64::from(expires_at), id.0)).map_err(unavailable)?;
        }
        if let Some(permanent) = kind.bound_to() {
            self.bound.remove(permanent.0).map_err(unavailable)?;
        }
        Ok(())
    }
}

/// A key that somebody waits for.
pub(crate) struct Read {
    pub(crate) id: AuthKeyId,
    pub(crate) now: ServerTime,
    pub(crate) reply: oneshot::Sender<Result<Option<KeyRecord>, StoreError>>,
}

/// Answers reads from one look at the file.
pub(crate) fn read(database: &Database, reads: &mut Vec<Read>) {
    let records = open_for_reading(database);
    for Read { id, now, reply } in reads.drain(..) {
        let record = records.as_ref().map_err(Clone::clone);
        // A caller that is gone needs no answer.
        let _ = reply.send(record.and_then(|records| live(records, id, now)));
    }
}

fn open_for_reading(database: &Database) -> Result<ReadOnlyTable<u64, &'static [u8]>, StoreError> {
    let transaction = database.begin_read().map_err(unavailable)?;
    transaction.open_table(KEYS).map_err(unavailable)
}

fn live(
    records: &impl ReadableTable<u64, &'static [u8]>,
    id: AuthKeyId,
    now: ServerTime,
) -> Result<Option<KeyRecord>, StoreError> {
    Ok(stored(records, id)?.filter(|record| !record.is_expired(now)))
}

fn stored(
    records: &impl ReadableTable<u64, &'static [u8]>,
    id: AuthKeyId,
) -> Result<Option<KeyRecord>, StoreError> {
    let bytes = records.get(id.0).map_err(unavailable)?;
    bytes.map(|bytes| record::read(id, bytes.value())).transpose()
}

/// How many expired keys one change removes.
const EXPIRED_PER_CHANGE_MAX: usize = 64;
