//! What happens to auth keys: they are found, bound, replaced, destroyed, and they expire.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mtproto_auth::binding::BindError;
use mtproto_frame::{Outbound, TransportError};
use mtproto_pack::RpcError;
use mtproto_session::{FirstSalt, KeyDestroyed, LinkId, SaltSchedule, Ticket};
use mtproto_store::{Bound, KeyRecord, StoreError};
use mtproto_tl::{AuthKeyId, Encode};

use super::controls::rpc_error;
use super::loads::LoadRef;
use super::{
    CloseReason, Event, Leaving, Output, RequestRef, ServerEndpoint, SessionRef, StoreAction,
    StoreRequest,
};

impl ServerEndpoint {
    pub(super) fn ask_store(&mut self, action: StoreAction) {
        let now = self.clock.now(self.now);
        self.outputs.push_back(Output::Store(StoreRequest { action, now }));
    }

    /// The store has found a key, or that there is none.
    pub(super) fn key_loaded(
        &mut self,
        load: LoadRef,
        result: Result<Option<Box<KeyRecord>>, StoreError>,
    ) {
        let waiting = self.loads.finish(load);
        if waiting.is_empty() {
            return;
        }
        let refusal = match result {
            Ok(Some(record)) if record.id() == load.key => {
                self.add_key(*record);
                self.received.extend(waiting);
                return;
            }
            // req: L25
            Ok(None) => TransportError::NotFound,
            // The key may well exist: -404 would make the client throw it away.
            Ok(Some(_)) | Err(_) => TransportError::Flood,
        };
        for packet in waiting {
            self.refuse(packet.link, refusal);
        }
    }

    fn add_key(&mut self, record: KeyRecord) {
        let id = record.id();
        let first = FirstSalt { salt: record.first_salt, created: record.created };
        let salts = SaltSchedule::new(Arc::clone(&self.salts), id, Some(first));
        let expires = record.kind.expires_at().map(|expires_at| {
            let time = self.clock.now(self.now).since_epoch();
            self.now + Duration::from_secs(u64::from(expires_at)).saturating_sub(time)
        });
        self.keys.insert(record, salts, expires);
        // What waited for it may turn out not to be from who has the key.
        self.leaving.push_back(Leaving::UnusedKey(id));
    }

    /// A key has changed in the store.
    pub(super) fn load_again(&mut self, key: AuthKeyId) {
        if let Some(load) = self.loads.renew(key) {
            self.ask_store(StoreAction::Load(load));
        }
    }

    // req: S113
    pub(super) fn key_bound(
        &mut self,
        temporary: AuthKeyId,
        permanent: AuthKeyId,
        request: RequestRef,
        result: Result<Bound, StoreError>,
    ) {
        let answer = match result {
            Ok(Bound::Done { replaced }) => {
                if let Some(key) = self.keys.get_mut(temporary)
                    && key.binding.take_if(|binding| *binding == request).is_some()
                {
                    key.record.kind = key.record.kind.with_bound_to(Some(permanent));
                }
                self.load_again(temporary);
                if let Some(replaced) = replaced {
                    self.unbind_key(replaced);
                    self.outputs.push_back(Output::Event(Event::KeyUnbound(replaced)));
                }
                Ok(true.to_bytes())
            }
            Ok(Bound::AlreadyBound) => Err(rpc_error(BindError::TempAuthKeyAlreadyBound)),
            Ok(Bound::NoPermanent) => Err(rpc_error(BindError::EncryptedMessageInvalid)),
            Ok(Bound::NoTemporary) => Err(rpc_error(BindError::TempAuthKeyEmpty)),
            Err(_) => Err(RpcError::new(500, "INTERNAL")),
        };
        self.answer(request, answer, self.now);
    }

    // req: S66
    pub(super) fn key_removed(
        &mut self,
        session: SessionRef,
        ticket: Ticket,
        result: Result<Vec<AuthKeyId>, StoreError>,
    ) {
        let (gone, outcome) = match result {
            Ok(gone) if gone.is_empty() => (gone, KeyDestroyed::None),
            Ok(gone) => (gone, KeyDestroyed::Ok),
            Err(_) => (Vec::new(), KeyDestroyed::Fail),
        };
        if let Some(key) = self.keys.get_mut(session.key) {
            key.is_being_destroyed = false;
        }
        if let Some(session) = self.keys.session_mut(session) {
            session.machine.auth_key_destroyed(ticket, outcome, self.now);
        }
        self.mark_ready(session);
        self.leaving.extend(gone.into_iter().map(Leaving::DestroyedKey));
    }

    /// Forgets a destroyed key. A link that used no other is told what the next use of the key
    /// would be told, and closed; one that goes on with another key stays.
    // req: S66
    pub(super) fn end_key(&mut self, key: AuthKeyId) {
        for link in self.drop_key(key) {
            if self.is_unused(link) {
                self.send(link, Outbound::Error(TransportError::NotFound));
                self.close(link, CloseReason::KeyDestroyed);
            }
        }
        self.load_again(key);
    }

    /// Forgets a key whose time is over. A link that goes on with another key stays.
    // req: S113
    pub(super) fn expire_key(&mut self, key: AuthKeyId) {
        for link in self.drop_key(key) {
            if self.is_unused(link) {
                self.close(link, CloseReason::KeyExpired);
            }
        }
    }

    /// Whether a link carries no session any more.
    fn is_unused(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|link| link.sessions.is_empty())
    }

    /// Forgets a key with its sessions; returns the links that carried them.
    fn drop_key(&mut self, key: AuthKeyId) -> BTreeSet<LinkId> {
        let sessions = self.keys.sessions_of(key).into_iter();
        let forgotten = sessions.filter_map(|name| self.forget_session(name));
        let links = forgotten.flat_map(|session| session.links).collect();
        self.keys.remove_unused(key);
        links
    }
}
