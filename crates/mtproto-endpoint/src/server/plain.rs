//! The way of an unencrypted packet: a step of a key exchange.

use bytes::Bytes;
use mtproto_auth::server::{Candidate, Exchange, Step};
use mtproto_auth::{Fault, KeyKind as NewKeyKind, NewKey, PlainMessage, Query};
use mtproto_frame::{Outbound, TransportError};
use mtproto_pack::write_container;
use mtproto_session::LinkId;
use mtproto_store::{Inserted, KeyKind, KeyRecord, StoreError};
use mtproto_tl::{AuthKeyId, Author};

use super::exchanges::{Computed, EXCHANGES_PER_LINK_MAX, ExchangeRef, Reaction};
use super::packets::Packet;
use super::{Event, Output, ServerEndpoint, StoreAction};

impl ServerEndpoint {
    pub(super) fn handle_plain(&mut self, packet: Packet) {
        let Packet { link, is_turn, .. } = packet;
        let query = PlainMessage::decode(&packet.payload.freeze())
            .ok()
            .and_then(|message| Query::decode(&message.body).ok());
        match query {
            Some(Some(query)) => self.handle_query(link, query),
            // An acknowledgement, which has no meaning here.
            // req: L14
            Some(None) if is_turn => self.send_plain(link, nothing()),
            Some(None) => {}
            None => self.refuse(link, TransportError::NotFound),
        }
    }

    // req: L7, L16, S111
    fn handle_query(&mut self, link: LinkId, query: Query) {
        if query.server_nonce().is_none() {
            return match self.exchanges.repeated(&query) {
                Some(answer) => self.send_plain(link, answer),
                None => self.begin_exchange(link, &query),
            };
        }
        let server_time = self.clock.now(self.now).unix_seconds();
        match self.exchanges.next(query, link, &self.exchange_config, server_time) {
            Reaction::Answer(answer) => self.send_plain(link, answer),
            Reaction::Compute(job) => self.outputs.push_back(Output::Compute(job)),
            Reaction::None => {}
            // It would wait for an answer that goes elsewhere.
            Reaction::Crowded if self.awaits_answer(link) => {
                self.refuse(link, TransportError::Flood);
            }
            Reaction::Crowded => {}
            Reaction::Refuse(links) => self.refuse_all(links, TransportError::NotFound),
        }
    }

    fn begin_exchange(&mut self, link: LinkId, query: &Query) {
        let begun = Exchange::start(query, &self.exchange_config, &mut *self.random);
        let Ok((exchange, answer)) = begun else {
            return self.refuse(link, TransportError::NotFound);
        };
        let (name, stranded) = self.exchanges.begin(*query.nonce(), exchange, self.now);
        self.refuse_all(stranded, TransportError::NotFound);
        self.send_plain(link, answer);
        let Some(state) = self.links.get_mut(&link) else { return };
        let begun = state.exchanges.get_or_insert_default();
        begun.push_back(name);
        if begun.len() > EXCHANGES_PER_LINK_MAX
            && let Some(first) = begun.pop_front()
        {
            let stranded = self.exchanges.end_unfinished(first);
            self.refuse_all(stranded, TransportError::Flood);
        }
    }

    pub(super) fn exchange_computed(&mut self, done: Computed) {
        let Computed { name, result } = done;
        match result {
            Ok(Step::Answer(exchange, answer)) => self.resume(name, exchange, &answer),
            Ok(Step::Candidate(candidate)) => self.store_candidate(name, candidate),
            Err(fault) => {
                let links = self.exchanges.end(name);
                self.refuse_all(links, refusal(&fault));
            }
        }
    }

    fn resume(&mut self, name: ExchangeRef, exchange: Exchange, answer: &Bytes) {
        for link in self.exchanges.resume(name, exchange) {
            self.send_plain(link, answer.clone());
        }
    }

    /// The key is kept before the client is told that it has one.
    fn store_candidate(&mut self, name: ExchangeRef, candidate: Candidate) {
        let record = Box::new(record_of(candidate.key()));
        // No key may have the id that marks unencrypted packets.
        let is_taken = record.id() == AuthKeyId(0);
        if !self.exchanges.wait_for_store(name, candidate) {
            return;
        }
        if is_taken {
            self.key_inserted(name, Ok(Inserted::Collision));
        } else {
            self.ask_store(StoreAction::Insert { exchange: name, record });
        }
    }

    pub(super) fn key_inserted(&mut self, name: ExchangeRef, result: Result<Inserted, StoreError>) {
        let Some(candidate) = self.exchanges.take_candidate(name) else { return };
        let key = AuthKeyId(candidate.key().key.id());
        let (exchange, answer) = match result {
            Ok(Inserted::Created) => {
                self.outputs.push_back(Output::Event(Event::KeyCreated(key)));
                let (finished, answer) = candidate.ok();
                (Exchange::Finished(finished), answer)
            }
            Ok(Inserted::Collision) => candidate.retry(),
            Err(_) => {
                let (finished, answer) = candidate.fail();
                (Exchange::Finished(finished), answer)
            }
        };
        self.resume(name, exchange, &answer);
    }

    fn send_plain(&mut self, link: LinkId, body: Bytes) {
        let msg_id = self.plain_ids.issue(self.clock.now(self.now), Author::ServerReply);
        self.send(link, Outbound::packet(PlainMessage { msg_id, body }.to_packet()));
    }

    pub(super) fn refuse_all(&mut self, links: Vec<LinkId>, error: TransportError) {
        for link in links {
            self.refuse(link, error);
        }
    }
}

/// What says nothing: a container without a message.
fn nothing() -> Bytes {
    let mut body = Vec::new();
    write_container(&[], &mut body);
    body.into()
}

/// What the client is told. Only the wrong data centre is told apart.
fn refusal(fault: &Fault) -> TransportError {
    TransportError::from_code(fault.transport_error()).unwrap_or(TransportError::NotFound)
}

fn record_of(new: &NewKey) -> KeyRecord {
    let kind = match new.kind {
        NewKeyKind::Permanent => KeyKind::Permanent,
        NewKeyKind::Temporary { expires_in } => KeyKind::Temporary {
            expires_at: new.server_time.saturating_add(expires_in),
            bound_to: None,
        },
    };
    KeyRecord { key: new.key.clone(), created: new.server_time, first_salt: new.first_salt, kind }
}
