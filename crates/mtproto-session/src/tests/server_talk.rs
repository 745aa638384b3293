//! A server session and a client made of nothing but messages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use expect_test::Expect;
use mtproto_pack::{Message, MessageView, RpcError, write_container};
use mtproto_tl::{AuthKeyId, Author, Encode, MsgId, Salt, Seqno, ServerTime, SessionId};

use super::{noon, start};
use crate::transcript::Transcript;
use crate::{
    Control, FirstSalt, LinkId, MsgIds, RpcReply, SaltSchedule, SaltSecret, ServerClock,
    ServerOutput, ServerSession, ServerSessionConfig, Strictness,
};

/// The link that messages come over unless a test says otherwise.
pub(super) const LINK: LinkId = LinkId(1);

/// The right salt.
pub(super) const SALT: Salt = Salt(0x5a17);

pub(super) struct Talk {
    pub(super) session: ServerSession,
    pub(super) now: Instant,
    pub(super) clock: ServerClock,
    pub(super) requests: Vec<MsgId>,
    pub(super) controls: Vec<Control>,
    pub(super) transcript: Transcript,
    pub(super) packets: Vec<Message>,
    pub(super) ids: MsgIds,
    text: String,
}

/// Runs a script against a lenient server and compares the transcript.
pub(super) fn check(script: impl FnOnce(&mut Talk), expected: &Expect) {
    run(Strictness::Lenient, script, expected);
}

/// Runs a script against a strict server and compares the transcript.
pub(super) fn check_strict(script: impl FnOnce(&mut Talk), expected: &Expect) {
    run(Strictness::Strict, script, expected);
}

fn run(strictness: Strictness, script: impl FnOnce(&mut Talk), expected: &Expect) {
    let mut talk = Talk::new(strictness);
    script(&mut talk);
    talk.drain();
    expected.assert_eq(&talk.text);
}

impl Talk {
    pub(super) fn new(strictness: Strictness) -> Self {
        let (now, clock) = (start(), ServerClock::new(start(), noon()));
        let session = server_session(strictness, SessionId(77));
        let mut transcript = Transcript::default();
        transcript.salt(SALT);
        Self {
            session,
            now,
            clock,
            requests: Vec::new(),
            controls: Vec::new(),
            transcript,
            packets: Vec::new(),
            ids: MsgIds::default(),
            text: String::new(),
        }
    }

    /// Talks to another, new session.
    pub(super) fn make_session(&mut self, session_id: SessionId) {
        self.session = server_session(Strictness::Lenient, session_id);
    }

    pub(super) fn time(&self) -> ServerTime {
        self.clock.now(self.now)
    }

    /// A message with the next id of the client.
    pub(super) fn message(&mut self, seqno: u32, object: &impl Encode) -> Message {
        let id = self.ids.issue(self.time(), Author::Client);
        Message { id, seqno: Seqno(seqno), body: object.to_bytes() }
    }

    /// A container of messages with the next id of the client.
    pub(super) fn container(&mut self, seqno: u32, messages: &[Message]) -> Message {
        let mut body = Vec::new();
        write_container(messages, &mut body);
        let id = self.ids.issue(self.time(), Author::Client);
        Message { id, seqno: Seqno(seqno), body: body.into() }
    }

    /// Makes a message, sends it, and lets the server react.
    pub(super) fn send(&mut self, seqno: u32, object: &impl Encode) -> MsgId {
        let message = self.message(seqno, object);
        self.send_message(message)
    }

    /// Sends a message as it is, and lets the server react.
    pub(super) fn send_message(&mut self, message: Message) -> MsgId {
        self.give(LINK, SALT, message)
    }

    /// Sends a message over `link` with `salt`, and lets the server react.
    pub(super) fn give(&mut self, link: LinkId, salt: Salt, message: Message) -> MsgId {
        let id = message.id;
        self.put(link, salt, message);
        self.drain();
        id
    }

    /// Sends a message over a link that takes turns, and lets the server react.
    pub(super) fn turn(&mut self, link: LinkId, message: Message) -> MsgId {
        let id = message.id;
        for line in self.transcript.packet(&message) {
            self.note('>', link, &line);
        }
        self.session
            .handle_turn(link, SALT, MessageView::of(&message), self.now)
            .expect("no fault");
        self.drain();
        id
    }

    /// Sends a message without letting the server react yet.
    pub(super) fn put(&mut self, link: LinkId, salt: Salt, message: Message) {
        for line in self.transcript.packet(&message) {
            self.note('>', link, &line);
        }
        self.session
            .handle_message(link, salt, MessageView::of(&message), self.now)
            .expect("no fault");
    }

    pub(super) fn ok(&mut self, request: MsgId, object: &[u8]) {
        let object = Bytes::copy_from_slice(object);
        self.session.answer(request, RpcReply::Ok(object), self.now);
        self.drain();
    }

    pub(super) fn err(&mut self, request: MsgId, code: i32, message: &str) {
        let error = RpcError::new(code, message);
        self.session.answer(request, RpcReply::Err(error), self.now);
        self.drain();
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

    /// Pushes an object and lets the server react.
    pub(super) fn push(&mut self, object: &impl Encode) -> MsgId {
        let id = self.session.push(object.to_bytes(), self.now).expect("there is room");
        self.drain();
        id
    }

    /// Starts the transcript here.
    pub(super) fn hush(&mut self) {
        self.text.clear();
    }

    pub(super) fn detach(&mut self, link: LinkId) {
        self.note('-', link, "link lost");
        self.session.link_detached(link, self.now);
        self.drain();
    }

    /// Takes everything that the server wants; the moment it then waits for.
    pub(super) fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.session.poll_output() {
                ServerOutput::CloseAfter { link, delay } => {
                    self.note('!', link, &format!("close after {}s", delay.as_secs()));
                }
                ServerOutput::Control(control) => {
                    let name = match &control {
                        Control::BindTempAuthKey { request, .. } => {
                            format!("bind_temp_auth_key {}", self.transcript.id(*request))
                        }
                        Control::DestroyAuthKey(_) => "destroy_auth_key".to_owned(),
                        Control::DestroySession { session_id, .. } => {
                            format!("destroy_session {session_id}")
                        }
                    };
                    self.note('!', LINK, &name);
                    self.controls.push(control);
                }
                ServerOutput::Request(request) => {
                    let id = self.transcript.id(request.id);
                    self.note('!', request.link, &format!("request {id}"));
                    self.requests.push(request.id);
                }
                ServerOutput::Send(outgoing) => {
                    for line in self.transcript.packet(&outgoing.message.to_message()) {
                        self.note('<', outgoing.link, &line);
                    }
                    self.packets.push(outgoing.message.to_message());
                }
                ServerOutput::Wait(deadline) => return deadline,
            }
        }
    }

    /// Writes a line of the transcript; the link is named when it is not the usual one.
    pub(super) fn note(&mut self, direction: char, link: LinkId, line: &str) {
        let at = format!("{}ms", (self.now - start()).as_millis());
        let link = if link == LINK { String::new() } else { format!("[{}] ", link.0) };
        self.text.push_str(&format!("{at:<8} {direction} {link}{line}\n"));
    }
}

pub(super) fn server_session(strictness: Strictness, session_id: SessionId) -> ServerSession {
    let (now, clock) = (start(), ServerClock::new(start(), noon()));
    let first = FirstSalt { salt: SALT, created: noon().unix_seconds() };
    let secret = Arc::new(SaltSecret::new([1; 32]));
    let salts = SaltSchedule::new(secret, AuthKeyId(7), Some(first));
    let config = ServerSessionConfig { strictness, ..ServerSessionConfig::default() };
    ServerSession::new(Arc::new(config), salts, session_id, 0x0123_4567, clock, now)
}
