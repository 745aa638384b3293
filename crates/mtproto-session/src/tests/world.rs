//! A client and a server session over links that break, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mtproto_pack::{MSG_COPY_ID, Message, MessageView, RpcError, read_container};
use mtproto_tl::{AuthKeyId, MsgId, Raw, SessionId};

use super::{noon, query, start};
use crate::transcript::Transcript;
use crate::{
    ClientEvent, ClientOutput, ClientSession, ClientSessionConfig, Control, Gap, LinkId, Outgoing,
    RequestError, RequestId, RequestOptions, RpcReply, SaltSchedule, SaltSecret, Salts,
    ServerClock, ServerOutput, ServerSession, ServerSessionConfig, Strictness,
};

const LATENCY: Duration = Duration::from_millis(40);

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) client: ClientSession,
    servers: BTreeMap<SessionId, ServerSession>,
    secret: Arc<SaltSecret>,
    /// What will happen, in order; the number keeps the order of what happens at once.
    agenda: BTreeMap<(Instant, u64), Event>,
    scheduled: u64,
    links: BTreeMap<LinkId, Link>,
    links_opened: u64,
    sessions_created: u64,
    /// How long the next query takes.
    pub(super) handler_delay: Duration,
    /// How often each query was carried out.
    pub(super) runs: BTreeMap<u32, u32>,
    /// Which query each request carries.
    pub(super) numbers: BTreeMap<RequestId, u32>,
    pub(super) outcomes: BTreeMap<RequestId, Vec<Result<u32, RequestError>>>,
    pub(super) pushed: BTreeSet<u32>,
    pub(super) received: Vec<u32>,
    pub(super) gaps: Vec<Gap>,
    transcript: Transcript,
    /// The conversation so far; a failing test prints it.
    pub(super) text: String,
    /// Every packet ever sealed, by session and id.
    sealed: BTreeSet<(SessionId, MsgId)>,
}

/// One link, as each side sees it.
struct Link {
    /// The client has not noticed its end.
    client: bool,
    /// The server has not noticed its end.
    server: bool,
    /// Bytes still pass.
    works: bool,
    /// When the server closes it.
    closes_at: Option<Instant>,
}

enum Event {
    Answer(SessionId, MsgId, Raw),
    ClientSeesEnd(LinkId),
    Dial,
    ServerMayClose(LinkId),
    ServerSeesEnd(LinkId),
    ToClient(Outgoing),
    ToServer(Outgoing),
}

impl World {
    /// The client believes that it is `ahead` seconds later than it is, and knows no salt. Salts
    /// change every `salt_period` seconds.
    pub(super) fn new(ahead: i64, salt_period: u32) -> Self {
        let now = start();
        let distance = Duration::from_secs(ahead.unsigned_abs());
        let time = if ahead < 0 { noon().before(distance) } else { noon().after(distance) };
        let (config, session_id) = (ClientSessionConfig::default(), SessionId(77));
        let clock = ServerClock::new(now, time);
        let client = ClientSession::new(config, session_id, Salts::default(), clock, now);
        let mut world = Self {
            now,
            client,
            servers: BTreeMap::new(),
            secret: Arc::new(SaltSecret::with_period([3; 32], salt_period)),
            agenda: BTreeMap::new(),
            scheduled: 0,
            links: BTreeMap::new(),
            links_opened: 0,
            sessions_created: 0,
            handler_delay: Duration::ZERO,
            runs: BTreeMap::new(),
            numbers: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            pushed: BTreeSet::new(),
            received: Vec::new(),
            gaps: Vec::new(),
            transcript: Transcript::default(),
            text: String::new(),
            sealed: BTreeSet::new(),
        };
        world.open_link();
        world
    }

    pub(super) fn request(&mut self) -> RequestId {
        let number = self.numbers.len() as u32 + 1;
        let object = query(number).0;
        let request = self.client.request(object, RequestOptions::default(), self.now);
        let request = request.expect("there is room");
        self.numbers.insert(request, number);
        request
    }

    pub(super) fn cancel(&mut self, request: RequestId) {
        self.client.cancel(request, self.now);
    }

    /// The server pushes to the client's session, if it knows it.
    pub(super) fn push(&mut self) {
        let number = 1_000_000 + self.pushed.len() as u32;
        if let Some(server) = self.servers.get_mut(&self.client.session_id())
            && server.is_established()
        {
            server.push(query(number).0, self.now).expect("there is room");
            self.pushed.insert(number);
        }
    }

    pub(super) fn open_link(&mut self) {
        self.links_opened += 1;
        let link = LinkId(self.links_opened);
        let (client, server, works, closes_at) = (true, true, true, None);
        self.links.insert(link, Link { client, server, works, closes_at });
        self.note('+', link, "link open");
        self.client.link_attached(link, false, self.now);
    }

    /// Breaks the link opened first of those that work; each side notices in its own time.
    pub(super) fn cut(&mut self, client_notices: Duration, server_notices: Duration) {
        if let Some(link) = self.links.iter().find(|(_, state)| state.works).map(|(link, _)| *link)
        {
            self.break_link(link, client_notices, server_notices);
        }
    }

    /// The server forgets all of its sessions.
    pub(super) fn forget(&mut self) {
        self.servers.clear();
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut spins = 0;
        loop {
            let deadline = self.drain();
            let event = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = deadline.into_iter().chain(event).min().filter(|next| *next <= end)
            else {
                break;
            };
            spins = if next > self.now { 0 } else { spins + 1 };
            assert!(spins < 10_000, "time stands still");
            self.now = next.max(self.now);
            self.happen();
            self.client.handle_timeout(self.now);
            for server in self.servers.values_mut() {
                server.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    /// How many messages the server keeps for the client's session.
    pub(super) fn queued(&self) -> usize {
        self.servers.get(&self.client.session_id()).map_or(0, ServerSession::queued_messages)
    }

    fn happen(&mut self) {
        while let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= self.now
        {
            let event = entry.remove();
            self.carry_out(event);
        }
    }

    fn carry_out(&mut self, event: Event) {
        match event {
            Event::Answer(session_id, request, object) => {
                if let Some(server) = self.servers.get_mut(&session_id) {
                    server.answer(request, RpcReply::Ok(object.0), self.now);
                }
            }
            Event::ClientSeesEnd(link) => {
                let seen = self.links.get_mut(&link).map(|state| std::mem::take(&mut state.client));
                if seen == Some(true) {
                    self.note('-', link, "link lost, says the client");
                    self.client.link_detached(link, self.now);
                    self.schedule(Duration::from_secs(1), Event::Dial);
                }
            }
            Event::Dial => {
                if self.client.link_count() == 0 {
                    self.open_link();
                }
            }
            Event::ServerMayClose(link) => {
                if self.links.get(&link).is_some_and(|it| it.closes_at == Some(self.now)) {
                    self.break_link(link, LATENCY, Duration::ZERO);
                }
            }
            Event::ServerSeesEnd(link) => {
                self.note('-', link, "link lost, says the server");
                for server in self.servers.values_mut() {
                    server.link_detached(link, self.now);
                }
                self.links.entry(link).and_modify(|state| state.server = false);
            }
            Event::ToClient(outgoing) => {
                let Outgoing { link, session_id, message, .. } = outgoing;
                if self.links.get(&link).is_some_and(|state| state.works && state.client) {
                    let message = message.to_message();
                    let taken = self.client.handle_message(link, session_id, message, self.now);
                    taken.expect("a server of ours makes no faults");
                }
            }
            Event::ToServer(outgoing) => {
                let Outgoing { link, salt, session_id, message, .. } = outgoing;
                if self.links.get(&link).is_some_and(|state| state.works && state.server) {
                    let now = self.now;
                    let message = message.to_message();
                    let server = self.server(session_id);
                    server
                        .handle_message(link, salt, MessageView::of(&message), now)
                        .expect("no fault");
                }
            }
        }
    }

    fn server(&mut self, session_id: SessionId) -> &mut ServerSession {
        self.servers.entry(session_id).or_insert_with(|| {
            self.sessions_created += 1;
            let config = ServerSessionConfig {
                strictness: Strictness::Strict,
                ..ServerSessionConfig::default()
            };
            let salts = SaltSchedule::new(self.secret.clone(), AuthKeyId(7), None);
            let clock = ServerClock::new(start(), noon());
            let (unique_id, now) = (self.sessions_created, self.now);
            ServerSession::new(Arc::new(config), salts, session_id, unique_id, clock, now)
        })
    }

    /// Takes everything that both sides want; the moment they then wait for.
    fn drain(&mut self) -> Option<Instant> {
        let client = self.drain_client();
        let sessions: Vec<_> = self.servers.keys().copied().collect();
        let servers = sessions.into_iter().filter_map(|session_id| self.drain_server(session_id));
        let servers = servers.collect::<Vec<_>>();
        client.into_iter().chain(servers).min()
    }

    fn drain_client(&mut self) -> Option<Instant> {
        loop {
            match self.client.poll_output() {
                ClientOutput::Close { link, .. } => {
                    self.break_link(link, Duration::ZERO, LATENCY);
                    self.carry_out(Event::ClientSeesEnd(link));
                }
                ClientOutput::Event(event) => self.learn(event),
                ClientOutput::Send(outgoing) => self.transmit(outgoing, Event::ToServer),
                ClientOutput::Wait(deadline) => return deadline,
            }
        }
    }

    fn drain_server(&mut self, session_id: SessionId) -> Option<Instant> {
        loop {
            let server = self.servers.get_mut(&session_id)?;
            match server.poll_output() {
                ServerOutput::CloseAfter { link, delay } => {
                    let closes_at = self.now + delay;
                    self.links.entry(link).and_modify(|it| it.closes_at = Some(closes_at));
                    self.schedule(delay, Event::ServerMayClose(link));
                }
                ServerOutput::Control(control) => self.control(session_id, &control),
                ServerOutput::Request(request) => {
                    let number = number_of(&request.query);
                    *self.runs.entry(number).or_default() += 1;
                    let answer = Event::Answer(session_id, request.id, query(number));
                    self.schedule(self.handler_delay, answer);
                }
                ServerOutput::Send(outgoing) => self.transmit(outgoing, Event::ToClient),
                ServerOutput::Wait(deadline) => return deadline,
            }
        }
    }

    fn control(&mut self, asker: SessionId, control: &Control) {
        if let Control::DestroySession { ticket, session_id } = *control {
            let existed = self.servers.remove(&session_id).is_some();
            if let Some(server) = self.servers.get_mut(&asker) {
                server.session_destroyed(ticket, session_id, existed, self.now);
            }
        }
    }

    fn learn(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Answer { request, outcome } => {
                let outcome = outcome.map(|object| number_of(&object));
                self.outcomes.entry(request).or_default().push(outcome);
            }
            ClientEvent::Gap(gap) => self.gaps.push(gap),
            ClientEvent::Push(object) => self.received.push(number_of(&object)),
            _ => (),
        }
    }

    fn transmit(&mut self, outgoing: Outgoing, event: fn(Outgoing) -> Event) {
        let is_new = self.sealed.insert((outgoing.session_id, outgoing.message.id));
        assert!(is_new, "the same packet twice: {:?}", outgoing.message);
        // req: S52
        let message = outgoing.message.to_message();
        let inside = read_container(&message.body).unwrap_or_default();
        let is_copy = |message: &Message| message.object_id() == MSG_COPY_ID;
        assert!(!is_copy(&message) && !inside.iter().any(is_copy));
        let lines = self.transcript.packet(&message);
        let direction = if outgoing.message.id.is_from_client() { '>' } else { '<' };
        for line in lines {
            self.note(direction, outgoing.link, &line);
        }
        self.schedule(LATENCY, event(outgoing));
    }

    fn note(&mut self, direction: char, link: LinkId, line: &str) {
        let at = format!("{}ms", (self.now - start()).as_millis());
        self.text.push_str(&format!("{at:<8} {direction} [{}] {line}\n", link.0));
    }

    fn break_link(&mut self, link: LinkId, client_notices: Duration, server_notices: Duration) {
        if let Some(state) = self.links.get_mut(&link)
            && std::mem::take(&mut state.works)
        {
            self.note('-', link, "link cut");
            self.schedule(client_notices, Event::ClientSeesEnd(link));
            self.schedule(server_notices, Event::ServerSeesEnd(link));
        }
    }

    fn schedule(&mut self, delay: Duration, event: Event) {
        self.scheduled += 1;
        self.agenda.insert((self.now + delay, self.scheduled), event);
    }
}

fn number_of(object: &[u8]) -> u32 {
    let [_, _, _, _, a, b, c, d] = *object else {
        panic!("not one of our objects: {:?}", RpcError::read(object))
    };
    u32::from_le_bytes([a, b, c, d])
}
