//! A client made of nothing but a key, and one that makes its key first.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mtproto_auth::client::{ClientConfig, Exchange, Step};
use mtproto_auth::{KeyKind, NewKey};
use mtproto_crypto::envelope::{self, Header, Padding, SealJob};
use mtproto_crypto::{AuthKey, Direction, SecureRandom};
use mtproto_pack::{Message, write_container};
use mtproto_session::{LinkId, MsgIds, Seqnos};
use mtproto_tl::{AuthKeyId, Author, Encode, Salt, ServerTime, SessionId};

use super::world::{World, server_keys};
use crate::server::SessionRef;

/// Someone who has a key and talks in one session.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) key: AuthKey,
    pub(super) session: SessionId,
    /// What to send with. `None`: what the server sent with last.
    pub(super) salt: Option<Salt>,
    ids: MsgIds,
    seqnos: Seqnos,
}

impl Peer {
    pub(super) fn new(key: AuthKey, session: u64) -> Self {
        let (ids, seqnos) = (MsgIds::default(), Seqnos::default());
        Self { key, session: SessionId(session), salt: None, ids, seqnos }
    }

    /// The same key in another session.
    pub(super) fn in_session(&self, session: u64) -> Self {
        Self::new(self.key.clone(), session)
    }

    pub(super) fn key_id(&self) -> AuthKeyId {
        AuthKeyId(self.key.id())
    }

    pub(super) fn session_ref(&self) -> SessionRef {
        SessionRef { key: self.key_id(), session: self.session }
    }

    /// Its next message.
    pub(super) fn message(&mut self, time: ServerTime, object: &impl Encode) -> Message {
        let id = self.ids.issue(time, Author::Client);
        Message { id, seqno: self.seqnos.content_related(), body: object.to_bytes() }
    }

    /// A container with its next id.
    pub(super) fn container(&mut self, time: ServerTime, messages: &[Message]) -> Message {
        let mut body = Vec::new();
        write_container(messages, &mut body);
        let id = self.ids.issue(time, Author::Client);
        Message { id, seqno: self.seqnos.service(), body: body.into() }
    }

    /// A packet with this message; also the token of its quick acknowledgement.
    pub(super) fn seal(
        &self,
        message: &Message,
        salt: Salt,
        random: &mut dyn SecureRandom,
    ) -> (BytesMut, u32) {
        let header = Header {
            salt: salt.0,
            session_id: self.session.0,
            msg_id: message.id.0,
            seqno: message.seqno.0,
        };
        let mut packet = Vec::new();
        envelope::lay_out(&mut packet, &header, &message.body, Padding::Random, random);
        let job = SealJob::new(&self.key, Direction::ClientToServer, &mut packet);
        let mut jobs = [job];
        envelope::seal(&mut jobs);
        let token = jobs[0].ack_token;
        (packet.as_slice().into(), token)
    }
}

/// A client's side of an exchange, and the query that it wants answered.
pub(super) struct Handshake {
    exchange: Exchange,
    pub(super) query: Bytes,
}

impl Handshake {
    pub(super) fn start(world: &mut World, kind: KeyKind) -> Self {
        Self::start_for(world, kind, 2)
    }

    pub(super) fn start_for(world: &mut World, kind: KeyKind, dc: i32) -> Self {
        let keys: Arc<[_]> = server_keys().iter().map(|key| key.public().clone()).collect();
        let config = ClientConfig { keys, dc, kind };
        let (exchange, query) = Exchange::start(config, &mut world.random);
        Self { exchange, query }
    }

    /// Takes the answer to the query; the next query, or the key that came of it.
    pub(super) fn take(self, answer: &Bytes, world: &mut World) -> Result<Self, Box<NewKey>> {
        match self.exchange.handle(answer, &mut world.random).expect("a good answer") {
            Step::Query(exchange, query) => Ok(Self { exchange, query }),
            Step::Done(key) => Err(Box::new(key)),
        }
    }

    /// Asks over `link` until `queries` queries are answered.
    pub(super) fn go_on(mut self, world: &mut World, link: LinkId, queries: usize) -> Self {
        for _ in 0..queries {
            let answer = world.ask(link, &self.query).expect("an answer");
            self = self.take(&answer, world).expect("not the last");
        }
        self
    }

    /// Asks the rest over `link`.
    pub(super) fn finish(mut self, world: &mut World, link: LinkId) -> NewKey {
        loop {
            let answer = world.ask(link, &self.query).expect("an answer");
            match self.take(&answer, world) {
                Ok(next) => self = next,
                Err(key) => return *key,
            }
        }
    }
}
