//! `rpc_drop_answer` against a model of it: whatever was asked, answered, acknowledged, cancelled
//! and repeated before, and over whatever links, what it says is true.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use mtproto_pack::{DropAnswer, Message, RpcAnswer, RpcResult, gzip, read_container};
use mtproto_tl::types::{MsgsAck, MsgsStateInfo, MsgsStateReq, NewSessionCreated};
use mtproto_tl::{Constructor, Decode, Encode, MsgId, Raw, Seqno, functions};
use proptest::prelude::*;
use proptest::sample::Index;

use super::server_talk::{SALT, Talk, check as check_transcript};
use super::{acks, ping, query};
use crate::server::{LINKS_MAX, SENDS_MAX};
use crate::{LinkId, MsgState, RpcReply, Seqnos, Strictness};

#[derive(Clone, Debug)]
enum Op {
    /// The client acknowledges one of the messages that it has got.
    Ack(Index),
    /// It numbers a query and sends it.
    Call,
    /// A link ends.
    Cut(Index),
    /// It cancels one of the messages that it has numbered, cancellations among them; whether that
    /// asks to be acknowledged.
    Drop(Index, bool),
    /// The handler of a query that runs answers with so many bytes.
    Finish(Index, usize),
    /// It numbers a query and keeps it.
    Number,
    /// From now on it sends over another link.
    Open,
    /// It sends one of the messages that it has numbered, perhaps again.
    Send(Index),
    /// Milliseconds; all of them together are too few for anything to be forgotten or refused.
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![Just(4_usize), Just(400), Just(8192)];
    prop_oneof![
        4 => any::<Index>().prop_map(Op::Ack),
        4 => Just(Op::Call),
        2 => any::<Index>().prop_map(Op::Cut),
        6 => (any::<Index>(), any::<bool>()).prop_map(|(call, odd)| Op::Drop(call, odd)),
        4 => (any::<Index>(), len).prop_map(|(call, len)| Op::Finish(call, len)),
        2 => Just(Op::Number),
        1 => Just(Op::Open),
        3 => any::<Index>().prop_map(Op::Send),
        2 => (0_u64..4000).prop_map(Op::Wait),
    ]
}

/// A query or a cancellation, as the client numbered it, and what is to become of it.
struct Call {
    message: Message,
    /// Of a cancellation: which call.
    cancels: Option<usize>,
    was_repeated: bool,
    state: State,
}

enum State {
    /// It has not arrived.
    Unsent,
    /// Its handler runs.
    Running { is_dropped: bool },
    /// Its answer waits to be acknowledged; the id, once the client has seen it.
    Answered { expected: Expected, answer: Option<MsgId> },
    /// Its answer was acknowledged or dropped.
    Done,
}

/// What the result of a call must be.
#[derive(Clone)]
enum Expected {
    Result(Bytes),
    /// `rpc_answer_dropped`, of an answer that never left: it is for the server to say its id.
    DroppedUnseen {
        bytes: u32,
    },
}

struct Model {
    talk: Talk,
    seqnos: Seqnos,
    calls: Vec<Call>,
    /// The client's, in the order they were opened.
    open: Vec<LinkId>,
    /// Those that the server knows to be of this session.
    attached: Vec<LinkId>,
    links_opened: u64,
    /// `new_session_created` that are not acknowledged.
    notices: BTreeSet<MsgId>,
    /// Every content-related message of the server that came.
    seen: BTreeMap<MsgId, Message>,
    /// Answers dropped before they were ever sent.
    unseen: BTreeMap<MsgId, Seqno>,
    /// What the server said last of the states of calls.
    states: Bytes,
}

impl Model {
    fn new() -> Self {
        Self {
            talk: Talk::new(Strictness::Lenient),
            seqnos: Seqnos::default(),
            calls: Vec::new(),
            open: Vec::new(),
            attached: Vec::new(),
            links_opened: 0,
            notices: BTreeSet::new(),
            seen: BTreeMap::new(),
            unseen: BTreeMap::new(),
            states: Bytes::new(),
        }
    }

    fn carry_out(&mut self, op: &Op) {
        match op {
            Op::Ack(which) if !self.seen.is_empty() => {
                let id = *which.get(&self.seen.keys().copied().collect::<Vec<_>>());
                self.acknowledge(id);
            }
            Op::Call => {
                let call = self.number();
                self.send(call);
            }
            Op::Cut(which) if !self.open.is_empty() => self.cut(which.index(self.open.len())),
            Op::Drop(which, is_odd) if !self.calls.is_empty() => {
                self.drop_answer(which.index(self.calls.len()), *is_odd);
            }
            Op::Finish(which, len) => {
                let running = self.running();
                if !running.is_empty() {
                    self.finish(*which.get(&running), *len);
                }
            }
            Op::Number => drop(self.number()),
            Op::Open if self.open.len() < LINKS_MAX - 1 => self.open_link(),
            Op::Send(which) if !self.calls.is_empty() => self.send(which.index(self.calls.len())),
            Op::Wait(time) => {
                self.talk.wait(Duration::from_millis(*time));
                self.read();
            }
            Op::Ack(_) | Op::Cut(_) | Op::Drop(..) | Op::Open | Op::Send(_) => {}
        }
        self.check_queue();
    }

    /// Numbers a query without sending it.
    fn number(&mut self) -> usize {
        let number = self.calls.len() as u32;
        let seqno = self.seqnos.content_related();
        let message = self.talk.message(seqno.0, &query(number));
        self.add(message, None)
    }

    fn add(&mut self, message: Message, cancels: Option<usize>) -> usize {
        let state = State::Unsent;
        self.calls.push(Call { message, cancels, was_repeated: false, state });
        self.calls.len() - 1
    }

    fn drop_answer(&mut self, call: usize, is_odd: bool) {
        let req_msg_id = self.calls[call].message.id;
        let seqno = if is_odd { self.seqnos.content_related() } else { self.seqnos.service() };
        let message = self.talk.message(seqno.0, &functions::RpcDropAnswer { req_msg_id });
        let cancellation = self.add(message, Some(call));
        self.send(cancellation);
    }

    /// Lets a call arrive: for the first time, or again.
    fn send(&mut self, index: usize) {
        let Call { message, cancels, was_repeated, state } = &mut self.calls[index];
        let message = message.clone();
        let is_new = matches!(state, State::Unsent);
        match *cancels {
            _ if !is_new => *was_repeated = true,
            None => *state = State::Running { is_dropped: false },
            Some(call) => {
                let expected = self.cancel(call);
                self.calls[index].state = State::Answered { expected, answer: None };
            }
        }
        self.put(message, is_new);
    }

    /// What cancelling a call changes, and what must be said of it.
    fn cancel(&mut self, call: usize) -> Expected {
        let (answer, next) = match &self.calls[call].state {
            State::Unsent => return Expected::Result(DropAnswer::Unknown.to_bytes()),
            State::Running { .. } => {
                let running = State::Running { is_dropped: true };
                (Expected::Result(DropAnswer::DroppedRunning.to_bytes()), running)
            }
            State::Answered { answer: Some(answer), .. } => {
                let Message { id: msg_id, seqno, body } = self.seen[answer].clone();
                let bytes = body.len() as u32;
                let dropped = DropAnswer::Dropped { msg_id, seqno, bytes };
                (Expected::Result(dropped.to_bytes()), State::Done)
            }
            State::Answered { answer: None, expected } => {
                let result = match expected {
                    Expected::Result(result) => result.len() as u32,
                    Expected::DroppedUnseen { .. } => 4 + 8 + 4 + 4,
                };
                (Expected::DroppedUnseen { bytes: 4 + 8 + result }, State::Done)
            }
            State::Done => (Expected::Result(DropAnswer::Unknown.to_bytes()), State::Done),
        };
        self.calls[call].state = next;
        answer
    }

    fn running(&self) -> Vec<usize> {
        let is_running = |index: &usize| matches!(self.calls[*index].state, State::Running { .. });
        (0..self.calls.len()).filter(is_running).collect()
    }

    fn finish(&mut self, call: usize, len: usize) {
        let object = Raw([query(call as u32).to_bytes(), vec![0; len].into()].concat().into()).0;
        let is_dropped = matches!(self.calls[call].state, State::Running { is_dropped: true });
        let result = match is_dropped {
            true => DropAnswer::DroppedRunning.to_bytes(),
            false if len >= 4096 => gzip::pack(&object).expect("a row of zeros can be packed"),
            false => object.clone(),
        };
        let expected = Expected::Result(result);
        self.calls[call].state = State::Answered { expected, answer: None };
        let request = self.calls[call].message.id;
        self.talk.session.answer(request, RpcReply::Ok(object), self.talk.now);
        self.read();
    }

    fn acknowledge(&mut self, id: MsgId) {
        self.notices.remove(&id);
        for call in &mut self.calls {
            if matches!(call.state, State::Answered { answer: Some(answer), .. } if answer == id) {
                call.state = State::Done;
            }
        }
        let seqno = self.seqnos.service();
        let message = self.talk.message(seqno.0, &acks(&[id]));
        self.put(message, true);
    }

    fn open_link(&mut self) {
        // Sent more often, a message is only asked about.
        if self.links_opened + 1 < u64::from(SENDS_MAX) || self.open.is_empty() {
            self.links_opened += 1;
            self.open.push(LinkId(self.links_opened));
        }
    }

    fn cut(&mut self, index: usize) {
        if self.links_opened + 1 < u64::from(SENDS_MAX) {
            let link = self.open.remove(index);
            self.attached.retain(|attached| *attached != link);
            self.talk.session.link_detached(link, self.talk.now);
            self.read();
        }
    }

    /// Lets a message arrive over the newest link.
    fn put(&mut self, message: Message, is_new: bool) {
        if self.open.is_empty() {
            self.open_link();
        }
        let link = *self.open.last().expect("one was opened");
        self.talk.put(link, SALT, message);
        let attaches = (is_new || self.attached.is_empty()) && !self.attached.contains(&link);
        if attaches {
            self.attached.push(link);
        }
        let came = self.read();
        // req: S5, S94
        assert!(!attaches || came.is_superset(&self.queue()), "a new link gets the whole queue");
    }

    /// Reads what the server says, and returns the ids of the content-related messages.
    fn read(&mut self) -> BTreeSet<MsgId> {
        self.talk.drain();
        let mut came = BTreeSet::new();
        for packet in std::mem::take(&mut self.talk.packets) {
            let inner = read_container(&packet.body).unwrap_or_else(|_| vec![packet]);
            for message in inner {
                if let Ok(MsgsAck { msg_ids }) = MsgsAck::from_bytes(&message.body) {
                    msg_ids.into_iter().for_each(|id| self.check_ack(id));
                } else if let Ok(states) = MsgsStateInfo::from_bytes(&message.body) {
                    self.states = states.info;
                } else if message.seqno.is_content_related() {
                    came.insert(message.id);
                    self.check_message(&message);
                } else {
                    assert!(RpcResult::read(&message.body).is_err(), "a result wants an ack");
                }
            }
        }
        came
    }

    fn check_message(&mut self, message: &Message) {
        assert!(!self.unseen.contains_key(&message.id), "it was dropped: {message:?}");
        if let Some(before) = self.seen.insert(message.id, message.clone()) {
            assert_eq!(&before, message, "the same message");
            if message.object_id() == NewSessionCreated::ID {
                assert!(self.notices.contains(&message.id), "it was acknowledged");
                return;
            }
        } else if message.object_id() == NewSessionCreated::ID {
            self.notices.insert(message.id);
            return;
        }
        let RpcResult { req_msg_id, result } = RpcResult::read(&message.body).expect("a result");
        let call = self.calls.iter_mut().find(|call| call.message.id == req_msg_id);
        let call = call.expect("a result of one of the calls");
        let State::Answered { expected, answer } = &mut call.state else {
            panic!("not, or not any more: {message:?}")
        };
        assert_eq!(*answer.get_or_insert(message.id), message.id, "an answer has one id");
        match expected {
            Expected::Result(expected) => assert_eq!(*expected, result),
            Expected::DroppedUnseen { bytes: expected } => {
                let answer = RpcAnswer::read(&result, 1 << 16).expect("it can be read");
                let RpcAnswer::Drop(DropAnswer::Dropped { msg_id, seqno, bytes }) = answer else {
                    panic!("in place of rpc_answer_dropped: {answer:?}")
                };
                assert_eq!(bytes, *expected);
                assert!(!self.seen.contains_key(&msg_id), "it was never sent");
                self.unseen.insert(msg_id, seqno);
            }
        }
    }

    /// A query is acknowledged because its answer takes long, or because it came again. Whatever
    /// `rpc_drop_answer` says in place of "unknown" acknowledges it, and itself it never needs more
    /// than its answer.
    fn check_ack(&self, id: MsgId) {
        let call = self.calls.iter().find(|call| call.message.id == id);
        let call = call.expect("an ack of one of the calls");
        let runs = matches!(call.state, State::Running { is_dropped: false });
        assert!(runs || call.was_repeated, "{id:?} is acknowledged otherwise");
    }

    /// Every answer that is not acknowledged, and nothing else, is queued.
    fn check_queue(&self) {
        let is_answered = |call: &&Call| matches!(call.state, State::Answered { .. });
        let answers = self.calls.iter().filter(is_answered).count();
        assert_eq!(self.talk.session.queued_messages(), answers + self.notices.len());
        assert_eq!(self.talk.session.running_requests(), self.running().len());
    }

    /// The ids of what is queued. With a link, all of them are known.
    fn queue(&self) -> BTreeSet<MsgId> {
        let answers = self.calls.iter().filter_map(|call| match &call.state {
            State::Answered { answer, .. } => Some(answer.expect("it was sent over some link")),
            State::Unsent | State::Running { .. } | State::Done => None,
        });
        answers.chain(self.notices.iter().copied()).collect()
    }

    /// Everything that is queued comes over one more link; acknowledged, it is known no more.
    fn settle(&mut self) {
        self.open.drain(..).for_each(|link| {
            self.talk.session.link_detached(link, self.talk.now);
        });
        self.attached.clear();
        let seqno = self.seqnos.service();
        let message = self.talk.message(seqno.0, &ping(1));
        self.put(message, true);
        self.queue().into_iter().for_each(|id| self.acknowledge(id));
        for call in 0..self.calls.len() {
            self.drop_answer(call, false);
        }
        self.check_queue();
        self.check_states();
        self.check_numbers();
    }

    /// An answer acknowledges its call, and so does a cancellation that found something to cancel.
    fn check_states(&mut self) {
        let msg_ids: Vec<_> = self.calls.iter().map(|call| call.message.id).collect();
        let seqno = self.seqnos.service();
        let message = self.talk.message(seqno.0, &MsgsStateReq { msg_ids });
        self.put(message, true);
        assert_eq!(self.states.len(), self.calls.len());
        for (call, state) in self.calls.iter().zip(&self.states) {
            let state = MsgState(*state);
            match call.state {
                State::Unsent => assert!(!state.is_received(), "{state:?}"),
                State::Running { is_dropped: false } => assert!(state.is_received(), "{state:?}"),
                State::Running { is_dropped: true } | State::Answered { .. } | State::Done => {
                    assert_eq!(state | MsgState::ACKED, state);
                }
            }
        }
    }

    /// Seqnos grow with ids and leave none out, so those told of messages never sent are true too.
    fn check_numbers(&self) {
        let seen = self.seen.values().map(|message| (message.id, message.seqno));
        let unseen = self.unseen.iter().map(|(id, seqno)| (*id, *seqno));
        let all: BTreeMap<_, _> = seen.chain(unseen).collect();
        let expected = (0..all.len() as u32).map(|count| Seqno(2 * count + 1));
        assert!(all.values().copied().eq(expected), "{all:?}");
    }
}

/// Carries out one operation after another and compares server and model after each.
fn check(ops: &[Op]) {
    let mut model = Model::new();
    ops.iter().for_each(|op| model.carry_out(op));
    model.settle();
    let asked: BTreeSet<_> = model.talk.requests.iter().collect();
    assert_eq!(asked.len(), model.talk.requests.len(), "no query is carried out twice");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    // req: S5, S7, S8, S9, S10, S11
    #[test]
    fn an_answer_is_dropped_as_is_said(ops in proptest::collection::vec(op(), 0..60)) {
        check(&ops);
    }
}

// req: S7, S8, S9, S10, S11
#[test]
fn a_call_is_cancelled_before_during_and_after_its_handler_and_after_the_ack() {
    check_transcript(
        |talk| {
            let drop = |req_msg_id| functions::RpcDropAnswer { req_msg_id };
            let late = talk.message(1, &query(1));
            let id = late.id;
            talk.send(2, &drop(id));
            talk.send_message(late);
            talk.send(2, &drop(id));
            talk.ok(id, &[1, 2, 3, 4]);
            talk.send(2, &drop(id));
            let done = talk.send(3, &query(2));
            talk.ok(done, &[1, 2, 3, 4]);
            let last = talk.packets.last().map(|packet| packet.id);
            talk.send(4, &acks(last.as_slice()));
            talk.send(4, &drop(done));
        },
        &expect![[r#"
            0ms      > rpc_drop_answer c1 seqno=2 c2
            0ms      < msg_container s3 seqno=4
            0ms      <   new_session_created s1 seqno=1 first=c1 salt=A
            0ms      <   rpc_result s2 seqno=3 to=c1 rpc_answer_unknown
            0ms      > 11111111 c2 seqno=1 bytes=8
            0ms      ! request c2
            0ms      < msg_container s6 seqno=6
            0ms      <   new_session_created s4 seqno=5 first=c2 salt=A
            0ms      <   msgs_ack s5 seqno=6 c2
            0ms      > rpc_drop_answer c3 seqno=2 c2
            0ms      < rpc_result s7 seqno=7 to=c3 rpc_answer_dropped_running
            0ms      < rpc_result s8 seqno=9 to=c2 rpc_answer_dropped_running
            0ms      > rpc_drop_answer c4 seqno=2 c2
            0ms      < rpc_result s9 seqno=11 to=c4 rpc_answer_dropped s8 seqno=9 bytes=16
            0ms      > 11111111 c5 seqno=3 bytes=8
            0ms      ! request c5
            0ms      < rpc_result s10 seqno=13 to=c5 04030201 bytes=4
            0ms      > msgs_ack c6 seqno=4 s10
            0ms      > rpc_drop_answer c7 seqno=4 c5
            0ms      < rpc_result s11 seqno=15 to=c7 rpc_answer_unknown
        "#]],
    );
}
