//! What a session asks for that concerns its auth key.

use mtproto_auth::binding::{self, BindError, Carrier, TempKey};
use mtproto_pack::RpcError;
use mtproto_session::{Control, Ticket};
use mtproto_store::{KeyKind, KeyRecord, StoreError};
use mtproto_tl::SessionId;

use super::{BindingRequest, RequestRef, ServerEndpoint, SessionRef, StoreAction};

impl ServerEndpoint {
    pub(super) fn control(&mut self, name: SessionRef, control: Control) {
        match control {
            Control::BindTempAuthKey { request, link: _, query } => {
                let request = RequestRef { session: name, msg_id: request };
                let binding = Box::new(BindingRequest { request, query });
                self.ask_store(StoreAction::Find(binding));
            }
            Control::DestroyAuthKey(ticket) => self.destroy_key(name, ticket),
            Control::DestroySession { ticket, session_id } => {
                self.destroy_session(name, ticket, session_id);
            }
        }
    }

    // req: S31
    fn destroy_session(&mut self, asker: SessionRef, ticket: Ticket, session_id: SessionId) {
        let forgotten = self.forget_session(SessionRef { session: session_id, ..asker });
        let existed = forgotten.is_some_and(|session| session.machine.is_established());
        if let Some(session) = self.keys.session_mut(asker) {
            session.machine.session_destroyed(ticket, session_id, existed, self.now);
        }
    }

    /// A key bound to a permanent one destroys that, and itself with it.
    // req: S66
    fn destroy_key(&mut self, session: SessionRef, ticket: Ticket) {
        let Some(key) = self.keys.get_mut(session.key) else { return };
        // The answer to the first who asks is the answer to all.
        if std::mem::replace(&mut key.is_being_destroyed, true) {
            return;
        }
        let key = key.record.kind.bound_to().unwrap_or(session.key);
        self.ask_store(StoreAction::Remove { key, session, ticket });
    }

    /// The permanent key is there, or is not: now the binding can be checked.
    // req: S113
    pub(super) fn check_binding(
        &mut self,
        asked: BindingRequest,
        result: Result<Option<Box<KeyRecord>>, StoreError>,
    ) {
        let BindingRequest { request, query } = asked;
        let now = self.clock.now(self.now).unix_seconds();
        let Some(own) = self.keys.get_mut(request.session.key) else { return };
        let carrier = Carrier {
            key_id: request.session.key,
            session_id: request.session.session,
            msg_id: request.msg_id,
        };
        let temporary = match own.record.kind {
            KeyKind::Permanent => None,
            KeyKind::Temporary { expires_at, bound_to } => Some(TempKey { expires_at, bound_to }),
        };
        let Ok(found) = result else {
            return self.answer(request, Err(RpcError::new(500, "INTERNAL")), self.now);
        };
        // A temporary key cannot stand in for a permanent one.
        let permanent = found.filter(|record| record.kind == KeyKind::Permanent);
        let permanent = permanent.as_ref().map(|record| &record.key);
        match binding::check(&query, carrier, temporary, permanent, now) {
            Ok(checked) => {
                own.binding = Some(request);
                let (temporary, permanent) = (checked.temp_key_id, checked.perm_key_id);
                self.ask_store(StoreAction::Bind { temporary, permanent, request });
            }
            Err(error) => self.answer(request, Err(rpc_error(error)), self.now),
        }
    }
}

pub(super) fn rpc_error(error: BindError) -> RpcError {
    RpcError::new(error.code(), error.text())
}
