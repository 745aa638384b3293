//! A client session and a server made of nothing but messages.

use std::time::{Duration, Instant};

use bytes::Bytes;
use expect_test::Expect;
use mtproto_pack::{Message, RpcResult, write_container};
use mtproto_tl::{Author, Encode, MsgId, Raw, Salt, Seqno, SessionId, types};

use super::{noon, query, start};
use crate::transcript::Transcript;
use crate::{
    ClientEvent, ClientOutput, ClientSession, ClientSessionConfig, LinkId, MsgIds, Outgoing,
    RequestId, RequestOptions, Salts, ServerClock,
};

/// The link that everything goes over unless a test says otherwise.
pub(super) const LINK: LinkId = LinkId(1);

const SESSION: SessionId = SessionId(77);

pub(super) struct Talk {
    pub(super) session: ClientSession,
    pub(super) now: Instant,
    /// The server's clock.
    pub(super) clock: ServerClock,
    pub(super) transcript: Transcript,
    pub(super) packets: Vec<Outgoing>,
    ids: MsgIds,
    pub(super) text: String,
}

/// Runs a script with a client that knows the time and a list of salts, and has just got its link.
pub(super) fn check(script: impl FnOnce(&mut Talk), expected: &Expect) {
    let mut talk = Talk::new();
    talk.attach(LINK);
    talk.hush();
    script(&mut talk);
    talk.drain();
    expected.assert_eq(&talk.text);
}

impl Talk {
    pub(super) fn new() -> Self {
        let since = noon().unix_seconds().cast_signed();
        let period = |salt, since, until| types::FutureSalt {
            valid_since: since,
            valid_until: until,
            salt: Salt(salt),
        };
        let list = vec![period(1, since, since + 1800), period(2, since + 1800, since + 36_000)];
        Self::with(Salts::new(None, list), ServerClock::new(start(), noon()))
    }

    pub(super) fn with(salts: Salts, believed: ServerClock) -> Self {
        let (config, now) = (ClientSessionConfig::default(), start());
        Self {
            session: ClientSession::new(config, SESSION, salts, believed, now),
            now,
            clock: ServerClock::new(now, noon()),
            transcript: Transcript::default(),
            packets: Vec::new(),
            ids: MsgIds::default(),
            text: String::new(),
        }
    }

    pub(super) fn attach(&mut self, link: LinkId) {
        self.note('+', link, "link open");
        self.session.link_attached(link, false, self.now);
        self.drain();
    }

    /// A link that takes turns is open.
    pub(super) fn attach_turns(&mut self, link: LinkId) {
        self.note('+', link, "link open, in turns");
        self.session.link_attached(link, true, self.now);
        self.drain();
    }

    pub(super) fn detach(&mut self, link: LinkId) {
        self.note('-', link, "link lost");
        self.session.link_detached(link, self.now);
        self.drain();
    }

    pub(super) fn request(&mut self, object: &Raw) -> RequestId {
        self.request_with(object, RequestOptions::default())
    }

    pub(super) fn request_with(&mut self, object: &Raw, options: RequestOptions) -> RequestId {
        let request = self.session.request(object.0.clone(), options, self.now).expect("room");
        self.drain();
        request
    }

    /// The message that has this label.
    pub(super) fn id(&self, label: &str) -> MsgId {
        self.transcript.label(label).expect("a label of the transcript")
    }

    /// A message with the next id of the server.
    pub(super) fn message(&mut self, seqno: u32, object: &impl Encode) -> Message {
        let id = self.ids.issue(self.clock.now(self.now), Author::ServerReply);
        Message { id, seqno: Seqno(seqno), body: object.to_bytes() }
    }

    /// The server says something.
    pub(super) fn receive(&mut self, seqno: u32, object: &impl Encode) -> MsgId {
        let message = self.message(seqno, object);
        self.receive_message(message)
    }

    /// The server says several things in a container.
    pub(super) fn receive_all(&mut self, messages: &[Message]) -> MsgId {
        let mut body = Vec::new();
        write_container(messages, &mut body);
        let message = self.message(0, &Raw(body.into()));
        self.receive_message(message)
    }

    /// The server answers a query.
    pub(super) fn answer(&mut self, label: &str, result: &impl Encode) -> MsgId {
        let answer = RpcResult { req_msg_id: self.id(label), result: result.to_bytes() };
        self.receive(1, &answer)
    }

    /// The server refuses a message.
    pub(super) fn refuse(&mut self, label: &str, code: i32) -> MsgId {
        let (bad_msg_id, bad_msg_seqno) = (self.id(label), Seqno(0));
        let notice = types::BadMsgNotification { bad_msg_id, bad_msg_seqno, error_code: code };
        self.receive(0, &notice)
    }

    pub(super) fn receive_message(&mut self, message: Message) -> MsgId {
        let id = message.id;
        for line in self.transcript.packet(&message) {
            self.note('<', LINK, &line);
        }
        let session_id = self.session.session_id();
        self.session.handle_message(LINK, session_id, message, self.now).expect("no fault");
        self.drain();
        id
    }

    /// Lets time pass, with every timer on the way.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.drain()
            && deadline <= end
        {
            assert!(deadline >= self.now, "a timer of the past");
            self.now = deadline;
            self.session.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Takes everything that the client wants; the moment it then waits for.
    pub(super) fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.session.poll_output() {
                ClientOutput::Close { link, reason } => {
                    self.note('!', link, &format!("close {reason:?}"));
                }
                ClientOutput::Event(event) => {
                    let event = self.event(&event);
                    self.note('!', LINK, &event);
                }
                ClientOutput::Send(outgoing) => self.send(outgoing),
                ClientOutput::Wait(deadline) => return deadline,
            }
        }
    }

    /// A packet leaves.
    pub(super) fn send(&mut self, outgoing: Outgoing) {
        let salt = self.transcript.salt(outgoing.salt);
        let lines = self.transcript.packet(&outgoing.message.to_message());
        for (index, line) in lines.into_iter().enumerate() {
            let salt = if index == 0 { format!(" salt={salt}") } else { String::new() };
            self.note('>', outgoing.link, &(line + &salt));
        }
        self.packets.push(outgoing);
    }

    /// Starts the transcript here.
    pub(super) fn hush(&mut self) {
        self.text.clear();
    }

    fn event(&mut self, event: &ClientEvent) -> String {
        match event {
            ClientEvent::Answer { request, outcome: Ok(object) } => {
                format!("answer {} {} bytes", request.0, object.len())
            }
            ClientEvent::Answer { request, outcome: Err(error) } => {
                format!("answer {} {error}", request.0)
            }
            ClientEvent::Push(object) => format!("push {} bytes", object.len()),
            ClientEvent::Gap(crate::Gap::SessionCreated { first_msg_id, .. }) => {
                format!("gap: session created, first={}", self.transcript.id(*first_msg_id))
            }
            other => format!("{other:?}"),
        }
    }

    pub(super) fn note(&mut self, direction: char, link: LinkId, line: &str) {
        let at = format!("{}ms", (self.now - start()).as_millis());
        let link = if link == LINK { String::new() } else { format!("[{}] ", link.0) };
        self.text.push_str(&format!("{at:<8} {direction} {link}{line}\n"));
    }
}

/// `rpc_result` to a message, with a query's bytes as its result.
pub(super) fn result(req_msg_id: MsgId) -> RpcResult {
    RpcResult { req_msg_id, result: Bytes::clone(&query(0).0) }
}
