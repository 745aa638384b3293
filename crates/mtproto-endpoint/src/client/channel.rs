//! A key in use, and the session on it.

use std::time::Instant;

use bytes::Bytes;
use mtproto_auth::binding::{self, Carrier};
use mtproto_crypto::envelope::{self, Header, Opened, Padding, SealJob};
use mtproto_crypto::hash::hmac_sha256;
use mtproto_crypto::{AuthKey, Direction, SecureRandom, SecureRandomExt};
use mtproto_pack::Message;
use mtproto_session::{
    ClientSession, ClientSessionConfig, Fault, LinkId, Outgoing, PingConfig, RequestId, ServerClock,
};
use mtproto_store::ClientKey;
use mtproto_tl::{AuthKeyId, Encode, MsgId, Seqno, SessionId};

use super::keys::{Binding, salts_of};

/// A key in use, and the session on it.
pub(super) struct Channel {
    key: AuthKey,
    /// The request that binds the key, while it is to be bound.
    pub(super) binding: Option<RequestId>,
    /// When the newest link came.
    attached: Option<Instant>,
    pub(super) session: ClientSession,
}

impl Channel {
    /// A new session on `key`.
    pub(super) fn new(
        key: &ClientKey,
        pings: PingConfig,
        clock: ServerClock,
        random: &mut dyn SecureRandom,
        now: Instant,
    ) -> Self {
        // Zero names no session.
        let session_id = SessionId(random.u64().max(1));
        let config = ClientSessionConfig { pings, ..ClientSessionConfig::default() };
        let session = ClientSession::new(config, session_id, salts_of(key), clock, now);
        Self { key: key.key.clone(), binding: None, attached: None, session }
    }

    /// A link is there.
    pub(super) fn link_attached(&mut self, link: LinkId, takes_turns: bool, now: Instant) {
        self.attached = Some(now);
        self.session.link_attached(link, takes_turns, now);
    }

    /// When the newest link came.
    pub(super) fn attached(&self) -> Option<Instant> {
        self.attached
    }

    /// The key.
    pub(super) fn key(&self) -> &AuthKey {
        &self.key
    }

    /// The id of the key.
    pub(super) fn key_id(&self) -> AuthKeyId {
        AuthKeyId(self.key.id())
    }

    /// Asks the server to bind the key.
    // req: S113
    pub(super) fn bind(&mut self, binding: Binding, random: &mut dyn SecureRandom, now: Instant) {
        let Binding { permanent, expires_at } = binding;
        let key_id = self.key_id();
        let mut random = Derived::new(random);
        let make = move |msg_id, session_id| {
            let carrier = Carrier { key_id, session_id, msg_id };
            binding::build(&permanent, carrier, expires_at, &mut random).to_bytes()
        };
        self.binding = self.session.request_made(Box::new(make), now).ok();
        debug_assert!(self.binding.is_some(), "a session that has just begun has room");
    }

    /// Gives the session a packet that was opened with the key.
    pub(super) fn handle_opened(
        &mut self,
        link: LinkId,
        payload: &Bytes,
        opened: Opened,
        now: Instant,
    ) -> Result<(), Fault> {
        let Header { session_id, msg_id, seqno, .. } = opened.header;
        let body = payload.slice(opened.body);
        let message = Message { id: MsgId(msg_id), seqno: Seqno(seqno), body };
        self.session.handle_message(link, SessionId(session_id), message, now)
    }

    /// Seals what the session wants sent.
    // req: S112
    pub(super) fn seal(&mut self, outgoing: Outgoing, random: &mut dyn SecureRandom) -> Bytes {
        let (id, quick_ack) = (outgoing.message.id, outgoing.quick_ack);
        let mut packet = outgoing.lay_out(Padding::Random, random);
        let mut jobs = [SealJob::new(&self.key, Direction::ClientToServer, &mut packet)];
        envelope::seal(&mut jobs);
        let [SealJob { ack_token, .. }] = jobs;
        if quick_ack {
            self.session.packet_sealed(id, ack_token);
        }
        packet.into()
    }
}

/// A generator that what outlives a call can own: HMAC-SHA-256 of a counter, keyed once by another
/// generator.
struct Derived {
    key: [u8; 32],
    blocks: u64,
}

impl Derived {
    fn new(random: &mut dyn SecureRandom) -> Self {
        Self { key: random.array(), blocks: 0 }
    }
}

impl SecureRandom for Derived {
    fn fill(&mut self, out: &mut [u8]) {
        for part in out.chunks_mut(32) {
            self.blocks += 1;
            let block = hmac_sha256(&self.key, &[&self.blocks.to_le_bytes()]);
            part.iter_mut().zip(block).for_each(|(byte, random)| *byte = random);
        }
    }
}
