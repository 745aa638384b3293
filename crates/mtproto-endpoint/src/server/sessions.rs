//! Sessions: how they begin, what they say, how they end.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use mtproto_pack::{RpcError, object_id};
use mtproto_session::{LinkId, ServerOutput, ServerSession};
use mtproto_tl::wrappers::functions::help::{GetConfig, GetNearestDc};
use mtproto_tl::{Constructor, ServerTime};

use super::keys::{NoRoom, Session};
use super::packets::Unsealed;
use super::{Event, Leaving, Output, Request, RequestRef, ServerEndpoint, SessionRef};

/// Sessions that a link may carry at the same time. A further one takes the place of the first.
pub const SESSIONS_PER_LINK_MAX: usize = 8;

impl ServerEndpoint {
    /// Makes sure that `link`, over which a packet has come, carries the session. Nothing changes
    /// if there is no room.
    pub(super) fn attach(
        &mut self,
        name: SessionRef,
        link: LinkId,
        time: ServerTime,
    ) -> Result<(), NoRoom> {
        let known = self.keys.session_mut(name);
        let is_known = known.is_some();
        if let Some(session) = known.filter(|session| session.carries(link)) {
            session.last_packet = time;
            return Ok(());
        }
        if !is_known {
            if let Some(leaving) = self.keys.must_leave(name.key)? {
                self.forget_session(leaving);
            }
            self.add_session(name, time);
        }
        let Some(session) = self.keys.session_mut(name) else { return Ok(()) };
        session.last_packet = time;
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        if session.join(link) {
            // Who has a session has its key.
            state.forget_exchanges(|name| !self.exchanges.is_unfinished(name));
            state.sessions.push(name);
            if state.sessions.len() > SESSIONS_PER_LINK_MAX {
                let first = state.sessions.remove(0);
                self.detach(first, link);
            }
        }
        Ok(())
    }

    fn add_session(&mut self, name: SessionRef, time: ServerTime) {
        let Some(key) = self.keys.get(name.key) else { return };
        let machine = ServerSession::new(
            Arc::clone(&self.session_config),
            key.salts.clone(),
            name.session,
            self.random.u64(),
            self.clock,
            self.now,
        );
        self.keys.add_session(name, machine, time);
    }

    /// `link` does not carry the session any more.
    pub(super) fn detach(&mut self, name: SessionRef, link: LinkId) {
        if let Some(session) = self.keys.session_mut(name) {
            session.leave(link);
            session.machine.link_detached(link, self.now);
            self.mark_ready(name);
        }
    }

    /// A link that takes turns carries the session that it showed last, and no other.
    // req: S84
    pub(super) fn leave_others(&mut self, link: LinkId, name: SessionRef) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let is_other = |carried: &SessionRef| *carried != name;
        let others: Vec<_> = state.sessions.iter().copied().filter(is_other).collect();
        state.sessions.retain(|carried| *carried == name);
        for other in others {
            self.detach(other, link);
        }
    }

    /// The session may have something to say.
    pub(super) fn mark_ready(&mut self, name: SessionRef) {
        if let Some(session) = self.keys.session_mut(name)
            && !std::mem::replace(&mut session.is_ready, true)
        {
            self.ready.push_back(name);
        }
    }

    /// Lets the first of the sessions that may have something to say send all that it has, or say
    /// one thing else. It stays the first until it has no more, so that each session's turn is one
    /// drain.
    pub(super) fn advance(&mut self, name: SessionRef) {
        let Some((key, session)) = self.keys.key_and_session(name) else {
            // It was forgotten meanwhile.
            self.ready.pop_front();
            return;
        };
        loop {
            match session.machine.poll_output_with(&mut self.desks) {
                ServerOutput::Wait(timer) => return self.rest(name, timer),
                ServerOutput::Send(outgoing) => self.unsealed.push(Unsealed::new(key, outgoing)),
                ServerOutput::Request(request) => return self.pass_on(name, request),
                ServerOutput::Control(control) => return self.control(name, control),
                ServerOutput::CloseAfter { link, delay } => return self.close_after(link, delay),
            }
        }
    }

    /// The first of the sessions has nothing more to say before `timer`.
    fn rest(&mut self, name: SessionRef, timer: Option<Instant>) {
        self.ready.pop_front();
        let is_unused = self.keys.rest(name, timer, self.now);
        let shed = self.keys.shed(self.queued_bytes_max, self.now);
        if shed > 0 {
            self.outputs.push_back(Output::Event(Event::Shed { bytes: shed }));
        }
        if is_unused {
            self.leaving.push_back(Leaving::UnusedSession(name));
        }
    }

    // req: S113
    fn pass_on(&mut self, name: SessionRef, request: mtproto_session::Request) {
        let Some(key) = self.keys.get(name.key) else { return };
        let id = RequestRef { session: name, msg_id: request.id };
        let identity = key.identity();
        if identity.is_none() && !is_allowed_unbound(&request.query) {
            let error = RpcError::new(401, "AUTH_KEY_PERM_EMPTY");
            return self.answer(id, Err(error), self.now);
        }
        self.outputs.push_back(Output::Request(Request { id, identity, content: request }));
    }

    /// Forgets a session; returns it if it was known. Packets of it that wait for an answer get
    /// their last. The one place where a session ends.
    pub(super) fn forget_session(&mut self, name: SessionRef) -> Option<Session> {
        let mut session = self.keys.remove_session(name)?;
        for last in session.machine.end_turns(self.now) {
            self.compose(name.key, last);
        }
        for link in &session.links {
            if let Some(state) = self.links.get_mut(link) {
                state.sessions.retain(|carried| *carried != name);
            }
        }
        if session.machine.is_established() {
            self.outputs.push_back(Output::Event(Event::SessionClosed(name)));
        }
        // Not at once: a packet of the key may be at hand.
        self.leaving.push_back(Leaving::UnusedKey(name.key));
        Some(session)
    }
}

/// What a temporary key may ask before it is bound; the binding itself never gets here.
fn is_allowed_unbound(query: &Bytes) -> bool {
    [GetConfig::ID, GetNearestDc::ID].contains(&object_id(query))
}
