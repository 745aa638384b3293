//! A session, driven by hand.

use bytes::{Bytes, BytesMut};
use mtproto_crypto::{SecureRandom, SeededRandom};
use mtproto_kit::auth::binding::{self, Carrier};
use mtproto_kit::auth::{KeyKind, NewKey};
use mtproto_kit::crypto::envelope::{self, Filler, Header, OpenJob, PREFIX_LEN, Padding, SealJob};
use mtproto_kit::crypto::{AuthKey, Direction};
use mtproto_kit::pack::{
    Limits, Message, RpcAnswer, RpcError, RpcResult, flatten, write_container,
};
use mtproto_kit::session::{MsgIds, Seqnos};
use mtproto_kit::tl::functions::Ping;
use mtproto_kit::tl::types::{MsgsAck, Pong};
use mtproto_kit::tl::{
    AuthKeyId, Author, Constructor, Decode, Encode, MsgId, Raw, Salt, Seqno, SessionId,
};

use crate::{Clock, Peer, Received};

/// The client's side of one session. It numbers and encrypts what a test says, and no more.
pub struct HandSession {
    /// What its messages are encrypted with.
    pub key: AuthKey,
    /// What it puts into every header.
    pub salt: Salt,
    /// Its id.
    pub id: SessionId,
    clock: Clock,
    ids: MsgIds,
    seqnos: Seqnos,
    random: SeededRandom,
}

/// An encrypted packet.
pub struct Sealed {
    /// What goes into a frame.
    pub packet: Bytes,
    /// The quick ack that belongs to it.
    pub ack_token: u32,
}

impl HandSession {
    /// A new session of a key, with an id of its own.
    #[must_use]
    pub fn new(key: &NewKey, seed: u64) -> Self {
        let mut random = SeededRandom::new(seed);
        Self {
            key: key.key.clone(),
            salt: key.first_salt,
            id: SessionId(random.u64() | 1),
            clock: Clock::start(),
            ids: MsgIds::default(),
            seqnos: Seqnos::default(),
            random,
        }
    }

    /// Another new session of the same key.
    #[must_use]
    pub fn beside(&self, seed: u64) -> Self {
        let kind = KeyKind::Permanent;
        let key = NewKey { key: self.key.clone(), first_salt: self.salt, server_time: 0, kind };
        Self::new(&key, seed)
    }

    /// Numbers a query.
    pub fn query(&mut self, body: impl Into<Bytes>) -> Message {
        let seqno = self.seqnos.content_related();
        Message { id: self.next_id(), seqno, body: body.into() }
    }

    /// Numbers a message that wants no acknowledgement.
    pub fn service(&mut self, object: &impl Encode) -> Message {
        let seqno = self.seqnos.service();
        Message { id: self.next_id(), seqno, body: object.to_bytes() }
    }

    /// A container of messages that were numbered before it.
    pub fn container(&mut self, messages: &[Message]) -> Message {
        let mut body = Vec::new();
        write_container(messages, &mut body);
        self.service(&Raw(body.into()))
    }

    /// The query that binds this session's key to a permanent one until `expires_at`, in Unix
    /// seconds.
    pub fn binding(&mut self, permanent: &AuthKey, expires_at: u32) -> Message {
        let mut query = self.query(Bytes::new());
        let key_id = AuthKeyId(self.key.id());
        let carrier = Carrier { key_id, session_id: self.id, msg_id: query.id };
        let bind = binding::build(permanent, carrier, expires_at, &mut self.random);
        query.body = bind.to_bytes();
        query
    }

    /// The next message id.
    pub fn next_id(&mut self) -> MsgId {
        self.ids.issue(self.clock.time(), Author::Client)
    }

    /// The header that belongs to a message.
    #[must_use]
    pub fn header(&self, message: &Message) -> Header {
        Header {
            salt: self.salt.0,
            session_id: self.id.0,
            msg_id: message.id.0,
            seqno: message.seqno.0,
        }
    }

    /// One packet of messages: of one as it is, of others in a container.
    pub fn packet(&mut self, messages: &[Message]) -> Bytes {
        let message = match messages {
            [message] => message.clone(),
            _ => self.container(messages),
        };
        self.seal(&message).packet
    }

    /// Encrypts a message.
    pub fn seal(&mut self, message: &Message) -> Sealed {
        self.seal_with(&self.header(message), &message.body)
    }

    /// Encrypts a body under any header.
    pub fn seal_with(&mut self, header: &Header, body: &[u8]) -> Sealed {
        let mut packet = Vec::new();
        envelope::lay_out(&mut packet, header, body, Padding::Random, &mut self.random);
        seal(&self.key, packet)
    }

    /// Sends a message.
    pub async fn send(&mut self, peer: &mut Peer, message: &Message) {
        let sealed = self.seal(message);
        peer.send(sealed.packet).await;
    }

    /// Decrypts a packet into its messages.
    ///
    /// # Panics
    /// If it is none of this session.
    #[must_use]
    pub fn open(&self, mut packet: BytesMut) -> Vec<Message> {
        let direction = Direction::ServerToClient;
        let mut jobs = [OpenJob::new(&self.key, direction, Filler::Never, &mut packet)];
        envelope::open(&mut jobs);
        let [job] = jobs;
        let opened = job.opened.expect("the server seals under this key");
        assert_eq!(opened.header.session_id, self.id.0, "the packet is of another session");
        let body = packet.freeze().slice(opened.body);
        let (id, seqno) = (MsgId(opened.header.msg_id), Seqno(opened.header.seqno));
        let flat = flatten(Message { id, seqno, body }, Limits::default());
        flat.expect("the server packs well").items.into_iter().map(|item| item.message).collect()
    }

    /// The messages of the next packet; quick acks before it are passed over.
    ///
    /// # Panics
    /// If something else comes.
    pub async fn receive(&self, peer: &mut Peer) -> Vec<Message> {
        loop {
            match peer.receive().await {
                Received::Packet(packet) => return self.open(packet),
                Received::QuickAck(_) => {}
                other => panic!("in place of a packet came {other:?}"),
            }
        }
    }

    /// Reads on until `wanted` finds something; what it does not want is dropped.
    pub async fn expect<T>(
        &self,
        peer: &mut Peer,
        mut wanted: impl FnMut(&Message) -> Option<T>,
    ) -> T {
        loop {
            if let Some(found) = self.receive(peer).await.iter().find_map(&mut wanted) {
                return found;
            }
        }
    }

    /// Reads on until a service message of the type `T` comes.
    pub async fn expect_object<T: Decode + Constructor>(&self, peer: &mut Peer) -> T {
        self.expect(peer, |message| T::from_bytes(&message.body).ok()).await
    }

    /// Reads on until the answer to `request` comes.
    ///
    /// # Errors
    /// The server's `rpc_error`.
    pub async fn answer(&self, peer: &mut Peer, request: MsgId) -> Result<Bytes, RpcError> {
        self.expect(peer, |message| answer_in(message, request)).await
    }

    /// Asks the application something and waits for the answer.
    ///
    /// # Errors
    /// The server's `rpc_error`.
    pub async fn call(
        &mut self,
        peer: &mut Peer,
        query: impl Into<Bytes>,
    ) -> Result<Bytes, RpcError> {
        let message = self.query(query);
        self.send(peer, &message).await;
        self.answer(peer, message.id).await
    }

    /// Waits until the server has dealt with everything sent so far on this connection.
    pub async fn settle(&mut self, peer: &mut Peer) {
        let ping_id = self.random.u64().cast_signed();
        let ping = self.service(&Ping { ping_id });
        self.send(peer, &ping).await;
        self.expect(peer, |message| {
            Pong::from_bytes(&message.body).ok().filter(|pong| pong.ping_id == ping_id)
        })
        .await;
    }

    /// Acknowledges messages.
    pub async fn acknowledge(&mut self, peer: &mut Peer, msg_ids: Vec<MsgId>) {
        let ack = self.service(&MsgsAck { msg_ids });
        self.send(peer, &ack).await;
    }
}

/// The answer to `request`, if `message` is it.
///
/// # Panics
/// If it is packed badly.
#[must_use]
pub fn answer_in(message: &Message, request: MsgId) -> Option<Result<Bytes, RpcError>> {
    let result = RpcResult::read(&message.body).ok().filter(|it| it.req_msg_id == request)?;
    match RpcAnswer::read(&result.result, 1 << 24).expect("the server packs well") {
        RpcAnswer::Ok(object) => Some(Ok(object)),
        RpcAnswer::Error(error) => Some(Err(error)),
        other => panic!("in place of an answer came {other:?}"),
    }
}

/// A plaintext, prefix and all, that holds whatever it is given: `padding` is not judged.
#[must_use]
pub fn layout(header: &Header, len: u32, body: &[u8], padding: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; PREFIX_LEN];
    packet.extend_from_slice(&header.salt.to_le_bytes());
    packet.extend_from_slice(&header.session_id.to_le_bytes());
    packet.extend_from_slice(&header.msg_id.to_le_bytes());
    packet.extend_from_slice(&header.seqno.to_le_bytes());
    packet.extend_from_slice(&len.to_le_bytes());
    packet.extend_from_slice(body);
    packet.extend_from_slice(padding);
    packet
}

/// Encrypts a laid-out plaintext of whole blocks.
#[must_use]
pub fn seal(key: &AuthKey, mut packet: Vec<u8>) -> Sealed {
    let mut jobs = [SealJob::new(key, Direction::ClientToServer, &mut packet)];
    envelope::seal(&mut jobs);
    let [SealJob { ack_token, .. }] = jobs;
    Sealed { packet: packet.into(), ack_token }
}
