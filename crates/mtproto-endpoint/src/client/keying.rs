//! How the client comes to a key, changes it and loses it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_auth::binding::BindError;
use mtproto_auth::client::{ClientConfig as AuthConfig, Exchange as AuthExchange};
use mtproto_auth::{Fault, KeyKind, NewKey, PlainMessage};
use mtproto_frame::TransportError;
use mtproto_session::{LinkId, RequestError};
use mtproto_store::ClientKey;
use mtproto_tl::{AuthKeyId, Author, Decode, ServerTime};

use super::channel::Channel;
use super::exchange::{Exchange, JobDone};
use super::keys::{Keys, is_young, moment};
use super::{ClientEndpoint, Closed, Event, Gap, KeyLoss, KeyMade, LinkEnd, Output, Phase};

/// How long the server may take to bind a temporary key, from when a link is there to ask on.
pub const BINDING_MAX: Duration = Duration::from_secs(30);

/// How long after an exchange for the next temporary key failed another is begun. The key in use is
/// still good for longer.
pub const EXCHANGE_RETRY_DELAY: Duration = Duration::from_secs(30);

impl ClientEndpoint {
    /// Begins an exchange or goes on with it, if there is something to send.
    // req: S111
    pub(super) fn exchange(&mut self) -> bool {
        let Some(link) = self.links.open().next() else { return false };
        if self.exchange.is_none() {
            self.begin_exchange();
        }
        let Some(exchange) = &mut self.exchange else { return false };
        let Some(query) = exchange.query().cloned() else { return false };
        exchange.sent(link, self.now);
        let msg_id = self.plain_ids.issue(self.clock.now(self.now), Author::Client);
        let payload = PlainMessage { msg_id, body: query }.to_packet();
        self.outputs.push_back(Output::Send { link, payload, quick_ack: false });
        true
    }

    fn begin_exchange(&mut self) {
        if self.is_leaving() {
            return;
        }
        let Some(kind) = self.keys.wanted(self.config.pfs, self.clock.now(self.now)) else {
            return;
        };
        if self.exchange_not_before.is_some_and(|moment| self.now < moment) {
            return;
        }
        self.exchanges_begun += 1;
        let config = AuthConfig { keys: self.config.keys.clone(), dc: self.config.dc, kind };
        let begun = AuthExchange::start(config, &mut *self.random);
        self.exchange = Some(Exchange::new(self.exchanges_begun, begun, self.now));
    }

    /// A step of the exchange is computed.
    pub(super) fn exchange_computed(&mut self, done: JobDone) {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.owns(&done)) else {
            return;
        };
        let (link, took) = (exchange.link(), self.now.duration_since(exchange.started()));
        match exchange.computed(done) {
            Ok(None) => {}
            Ok(Some(made)) => {
                self.exchange = None;
                // Only the holder of the RSA key can have come this far.
                if let Some(link) = link {
                    self.links.prove(link);
                }
                self.key_made(&made, took);
            }
            Err(fault) => self.exchange_failed(fault),
        }
    }

    fn exchange_failed(&mut self, fault: Fault) {
        let fatal = fault == Fault::NoKnownKey && self.phase.channel().is_none();
        self.tell(Event::ExchangeFailed(fault));
        if fatal {
            self.finish(Closed::ServerKeyUnknown);
        } else {
            self.abandon_exchange(LinkEnd::ExchangeFailed);
        }
    }

    /// Looks whether the server took too long.
    pub(super) fn check_exchange(&mut self) {
        let Some(exchange) = &self.exchange else { return };
        if exchange.is_overdue(self.now) {
            self.abandon_exchange(LinkEnd::Unresponsive);
        } else if let Some(link) = exchange.overdue_link(self.now) {
            // The query goes out again on the next link.
            self.end_link(link, LinkEnd::Unresponsive);
        }
    }

    /// Ends the exchange without a key. Another begins on another link, or later if there is a key.
    fn abandon_exchange(&mut self, reason: LinkEnd) {
        let Some(exchange) = self.exchange.take() else { return };
        if self.phase.channel().is_some() {
            self.exchange_not_before = Some(self.now + EXCHANGE_RETRY_DELAY);
        } else if let Some(link) = exchange.link() {
            self.end_link(link, reason);
        }
    }

    fn key_made(&mut self, made: &NewKey, took: Duration) {
        let temporary = match made.kind {
            KeyKind::Permanent => {
                self.keys.add_permanent(made);
                false
            }
            KeyKind::Temporary { .. } => {
                self.keys.add_temporary(made);
                true
            }
        };
        self.saving.changed();
        let key = AuthKeyId(made.key.id());
        self.tell(Event::KeyMade(KeyMade { key, temporary, took }));
        // A session in use has set its clock more exactly than by whole seconds.
        if self.phase.channel().is_none() {
            let seconds = Duration::from_secs(u64::from(made.server_time));
            self.clock.correct(self.now, ServerTime::from_unix(seconds));
            self.use_keys();
        }
    }

    /// Takes the key there is into use, with a new session on it.
    pub(super) fn use_keys(&mut self) {
        let Some((key, binding)) = self.keys.usable(self.config.pfs) else {
            self.phase = Phase::Keyless;
            return;
        };
        let key = key.clone();
        let mut channel = self.new_channel(&key);
        self.phase = match binding {
            None => Phase::Ready(channel),
            Some(binding) => {
                channel.bind(binding, &mut *self.random, self.now);
                Phase::Binding(channel)
            }
        };
        if std::mem::replace(&mut self.had_session, true) {
            self.tell(Event::Gap(Gap::SessionReplaced));
        }
    }

    /// A new session on `key`, over all links there are.
    pub(super) fn new_channel(&mut self, key: &ClientKey) -> Channel {
        let mut channel =
            Channel::new(key, self.config.pings, self.clock, &mut *self.random, self.now);
        for link in self.links.open() {
            channel.link_attached(link, self.links.takes_turns(link), self.now);
        }
        channel
    }

    /// Lets the next temporary key take over, once no request is under way or it is high time.
    // req: S113
    pub(super) fn take_over(&mut self) -> bool {
        if self.keys.next.is_none() {
            return false;
        }
        let time = self.clock.now(self.now);
        let late = self.keys.takeover_time(self.config.pfs).is_some_and(|due| due <= time);
        if late || !self.calls.any_handed_over() {
            self.keys.temporary = self.keys.next.take();
            self.saving.changed();
            self.say_last_words(true);
            self.drop_session();
            self.use_keys();
            return true;
        }
        false
    }

    /// The server does not know the key of what was sent on `link`: what that means depends on
    /// which key it was, and how often it has been said.
    // req: S114
    pub(super) fn not_found(&mut self, link: LinkId) {
        let exchanging = self.exchange.as_ref().is_some_and(|it| it.link() == Some(link));
        let reason = LinkEnd::Transport(TransportError::NotFound);
        let Some(ended) = self.end_link(link, reason) else { return };
        if exchanging {
            // With a key in use the error may be about that, too; then it will come again.
            return self.abandon_exchange(reason);
        }
        if self.phase.channel().is_none() {
            return;
        }
        if self.config.pfs.is_some() && !self.is_leaving() {
            return self.lose_temporary(KeyLoss::Unknown);
        }
        match self.suspected {
            // req: S67
            Some(since) if ended.opened() > since && self.is_leaving() => self.logged_out(true),
            Some(since) if ended.opened() > since => self.lose_permanent(KeyLoss::Unknown),
            Some(_) | None => self.suspected = Some(self.now),
        }
    }

    /// Looks whether the server took too long to bind the key.
    pub(super) fn check_binding(&mut self) {
        if self.binding_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.give_binding_up(KeyLoss::BindingTimedOut, LinkEnd::Unresponsive);
        }
    }

    /// Until when the server may take for that.
    // req: S113
    pub(super) fn binding_deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Binding(channel) if self.links.any_open() => {
                Some(channel.attached()? + BINDING_MAX)
            }
            Phase::Binding(_)
            | Phase::Closed(_)
            | Phase::Keyless
            | Phase::Leaving(..)
            | Phase::Ready(_) => None,
        }
    }

    /// Looks whether a key's time is over.
    pub(super) fn check_keys(&mut self) {
        let time = self.clock.now(self.now);
        if self.keys.expiry().is_some_and(|expiry| expiry <= time) {
            self.lose_temporary(KeyLoss::Expired);
        }
    }

    /// When a key's time is over, or the next is to be made or to take over.
    pub(super) fn keys_deadline(&self) -> Option<Instant> {
        let pfs = self.config.pfs;
        let at = |time| moment(&self.clock, time, self.now);
        let can_begin = self.exchange.is_none() && self.links.any_open();
        let renewal = self.keys.renewal_time(pfs).filter(|_| can_begin).map(at);
        let renewal = renewal.max(self.exchange_not_before.filter(|_| renewal.is_some()));
        let takeover = self.keys.takeover_time(pfs).map(at);
        [renewal, takeover, self.keys.expiry().map(at)].into_iter().flatten().min()
    }

    /// The temporary key is of no use: the next one takes over, or one is made.
    pub(super) fn lose_temporary(&mut self, reason: KeyLoss) {
        let Some(lost) = self.keys.temporary.take() else { return };
        self.keys.temporary = self.keys.next.take();
        self.tell(Event::KeyLost { key: lost.key.id(), reason });
        self.saving.changed();
        self.drop_session();
        self.use_keys();
    }

    /// The permanent key is of no use: another is made if that is allowed.
    fn lose_permanent(&mut self, reason: KeyLoss) {
        let Some(lost) = self.keys.permanent.as_ref().map(ClientKey::id) else { return };
        self.tell(Event::KeyLost { key: lost, reason });
        if !self.config.replaces_lost_key {
            // It stays stored: whether to do without it is not for us to say.
            return self.finish(Closed::KeyLost(lost));
        }
        self.keys = Keys::default();
        self.suspected = None;
        self.saving.changed();
        self.drop_session();
        self.phase = Phase::Keyless;
    }

    /// Lets the session speak a last time; its links `stay` with another, or are closed.
    // req: S29, S95
    pub(super) fn say_last_words(&mut self, stay: bool) {
        let Some(channel) = self.phase.channel() else { return };
        for outgoing in channel.session.last_words(stay, self.now) {
            let link = outgoing.link;
            let payload = channel.seal(outgoing, &mut *self.random);
            self.outputs.push_back(Output::Send { link, payload, quick_ack: false });
        }
    }

    /// The server has bound the temporary key, or not.
    // req: S113
    pub(super) fn binding_answered(&mut self, outcome: &Result<Bytes, RequestError>) {
        let bound = outcome.as_ref().is_ok_and(|object| bool::from_bytes(object) == Ok(true));
        match std::mem::replace(&mut self.phase, Phase::Keyless) {
            Phase::Binding(mut channel) if bound => {
                channel.binding = None;
                self.phase = Phase::Ready(channel);
                if let Some(key) = &mut self.keys.temporary {
                    key.bound = true;
                }
                self.saving.changed();
            }
            phase => {
                self.phase = phase;
                self.binding_refused(outcome);
            }
        }
    }

    fn binding_refused(&mut self, outcome: &Result<Bytes, RequestError>) {
        let invalid = matches!(outcome, Err(RequestError::Rpc(error))
            if BindError::from_text(&error.message) == Some(BindError::EncryptedMessageInvalid));
        let time = self.clock.now(self.now);
        let young = self.keys.permanent.as_ref().is_some_and(|key| is_young(key, time));
        if invalid && !young {
            return self.lose_permanent(KeyLoss::BindingRefused);
        }
        self.give_binding_up(KeyLoss::BindingRefused, LinkEnd::BindingRefused);
    }

    /// Another temporary key is to be made and bound. Not at once: links come back with backoff.
    fn give_binding_up(&mut self, reason: KeyLoss, end: LinkEnd) {
        self.lose_temporary(reason);
        for link in self.links.open().collect::<Vec<_>>() {
            self.end_link(link, end);
        }
    }

    /// Forgets the session; what it left unanswered waits for the next.
    pub(super) fn drop_session(&mut self) {
        self.retired_key = self.key();
        self.calls.take_back();
        self.pings.take_back();
        self.session_idle_until = None;
        // Without a session there is nothing that a further exchange could wait for.
        self.exchange_not_before = None;
    }
}
