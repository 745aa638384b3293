//! The conversation as text, in the notation of transcripts.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mtproto_auth::PlainMessage;
use mtproto_crypto::Direction;
use mtproto_crypto::envelope::{self, Filler, OpenJob};
use mtproto_frame::Outbound;
use mtproto_pack::Message;
use mtproto_session::transcript::Transcript;
use mtproto_tl::{AuthKeyId, MsgId, Seqno};

use crate::net::{LinkNo, Way};
use crate::store::Store;

/// Where something is sent: when, by or to which client, over which link, in which direction.
pub(crate) type Place = (Duration, Option<usize>, LinkNo, Way);

/// Reads along.
pub(crate) struct Trace<'a> {
    /// One for each key: labels tell the messages of one conversation apart.
    transcripts: BTreeMap<u64, Transcript>,
    print: &'a mut dyn FnMut(&str),
}

impl<'a> Trace<'a> {
    pub(crate) fn new(print: &'a mut dyn FnMut(&str)) -> Self {
        Self { transcripts: BTreeMap::new(), print }
    }

    /// Something that is not sent.
    pub(crate) fn note(&mut self, at: Duration, text: &str) {
        (self.print)(&format!("{:>9}ms  -          {text}", at.as_millis()));
    }

    /// Something that is sent.
    pub(crate) fn item(&mut self, place: Place, item: &Outbound, store: &Store) {
        let (at, client, link, way) = place;
        let lines = match item {
            Outbound::Error(error) => vec![format!("transport error {}", error.code())],
            Outbound::Packet { payload, .. } => {
                self.packet(&payload.clone().into_bytes(), way, store)
            }
            Outbound::QuickAck(token) => vec![format!("quick ack {token:08x}")],
        };
        let client = client.map_or_else(|| "?".to_owned(), |client| client.to_string());
        let arrow = if way == Way::Up { '>' } else { '<' };
        for line in lines {
            let at = at.as_millis();
            (self.print)(&format!("{at:>9}ms  {arrow} {client:>2}/{:<5} {line}", link.0));
        }
    }

    fn packet(&mut self, payload: &Bytes, way: Way, store: &Store) -> Vec<String> {
        let key_id = envelope::key_id(payload).unwrap_or_default();
        let message = match key_id {
            0 => PlainMessage::decode(payload).ok().map(|plain| Message {
                id: plain.msg_id,
                seqno: Seqno(0),
                body: plain.body,
            }),
            id => open(AuthKeyId(id), payload, way, store),
        };
        let transcript = self.transcripts.entry(key_id).or_default();
        match message {
            Some(message) => transcript.packet(&message),
            None => vec![format!("unreadable, bytes={}", payload.len())],
        }
    }
}

fn open(id: AuthKeyId, payload: &Bytes, way: Way, store: &Store) -> Option<Message> {
    let key = store.key(id)?;
    let direction = match way {
        Way::Up => Direction::ClientToServer,
        Way::Down => Direction::ServerToClient,
    };
    let mut packet = BytesMut::from(&payload[..]);
    let mut jobs = [OpenJob::new(key, direction, Filler::Never, &mut packet)];
    envelope::open(&mut jobs);
    let [OpenJob { opened, .. }] = jobs;
    let opened = opened.ok()?;
    let (id, seqno) = (MsgId(opened.header.msg_id), Seqno(opened.header.seqno));
    Some(Message { id, seqno, body: packet.freeze().slice(opened.body) })
}
