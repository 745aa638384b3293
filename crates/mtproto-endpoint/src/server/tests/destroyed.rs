//! `destroy_auth_key` against a model of it: whatever keys, bindings, sessions and links there are,
//! a destroyed key is known nowhere, and everything else goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mtproto_frame::TransportError;
use mtproto_session::LinkId;
use mtproto_tl::functions::{DestroyAuthKey, Ping};
use mtproto_tl::types::Pong;
use mtproto_tl::{AuthKeyId, Encode, MsgId};
use proptest::prelude::*;
use proptest::sample::Index;

use super::binding::bind;
use super::peer::Peer;
use super::talk::query;
use super::world::World;
use crate::server::{CloseReason, PushError};

const LIFE: Duration = Duration::from_secs(3600);
const PERMANENT: usize = 2;
const TEMPORARY: usize = 2;

#[derive(Clone, Debug)]
enum Op {
    /// A temporary key is bound to a permanent one, over a new link.
    Bind(usize, usize),
    /// A session asks over a link for its key to be destroyed.
    Destroy(usize, Index),
    /// From now on the store does not answer.
    Hold,
    /// A link ends.
    Lose(Index),
    Open,
    /// The store answers all that it was asked, and what it is asked from now on.
    Release,
    Restart,
    /// A session says something over a link.
    Use(usize, Index),
}

fn op() -> impl Strategy<Value = Op> {
    let session = || 0..PERMANENT + PERMANENT + TEMPORARY;
    let (permanent, temporary) = (0..PERMANENT, 0..TEMPORARY);
    prop_oneof![
        2 => (temporary, permanent).prop_map(|(key, owner)| Op::Bind(key, owner)),
        2 => (session(), any::<Index>()).prop_map(|(session, link)| Op::Destroy(session, link)),
        1 => Just(Op::Hold),
        1 => any::<Index>().prop_map(Op::Lose),
        4 => Just(Op::Open),
        2 => Just(Op::Release),
        1 => Just(Op::Restart),
        10 => (session(), any::<Index>()).prop_map(|(session, link)| Op::Use(session, link)),
    ]
}

struct Model {
    world: World,
    /// Two sessions of each permanent key, then one of each temporary key.
    sessions: Vec<Peer>,
    dead: BTreeSet<usize>,
    /// Which temporary key each permanent one has.
    bound: BTreeMap<usize, usize>,
    /// The open links, and the keys that each carries.
    links: BTreeMap<LinkId, BTreeSet<usize>>,
    links_opened: u64,
    /// Destroyed as soon as the store answers.
    doomed: BTreeSet<usize>,
    pings: i64,
}

impl Model {
    fn new() -> Self {
        let mut world = World::new(1);
        let mut sessions = Vec::new();
        for _ in 0..PERMANENT {
            let peer = world.peer();
            sessions.extend([peer.in_session(2), peer]);
        }
        sessions.extend((0..TEMPORARY).map(|_| world.temporary_peer(LIFE)));
        Self {
            world,
            sessions,
            dead: BTreeSet::new(),
            bound: BTreeMap::new(),
            links: BTreeMap::new(),
            links_opened: 0,
            doomed: BTreeSet::new(),
            pings: 0,
        }
    }

    fn key_id(&self, key: usize) -> AuthKeyId {
        let of_key = (0..self.sessions.len()).find(|session| key_of(*session) == key);
        self.sessions[of_key.expect("every key has a session")].key_id()
    }

    fn carry_out(&mut self, op: &Op) {
        // So that no two messages of different sessions have the same id.
        self.world.wait(Duration::from_millis(1));
        match op {
            Op::Bind(temporary, permanent) if !self.world.holds.store => {
                self.bind(*temporary, *permanent);
            }
            Op::Destroy(session, link) => {
                let link = self.link(link);
                self.destroy(*session, link);
            }
            Op::Hold => self.world.holds.store = true,
            Op::Lose(link) => {
                let link = self.link(link);
                self.world.lose(link);
                self.links.remove(&link);
            }
            Op::Open => drop(self.open()),
            Op::Release => self.release(),
            Op::Restart => self.restart(),
            Op::Use(session, link) => {
                let link = self.link(link);
                self.send(*session, link);
            }
            Op::Bind(..) => {}
        }
        if !self.world.holds.store {
            self.check();
        }
    }

    fn open(&mut self) -> LinkId {
        self.links_opened += 1;
        let link = self.world.open(self.links_opened);
        self.links.insert(link, BTreeSet::new());
        link
    }

    /// One of the open links.
    fn link(&mut self, which: &Index) -> LinkId {
        match self.links.is_empty() {
            true => self.open(),
            false => *which.get(&self.links.keys().copied().collect::<Vec<_>>()),
        }
    }

    fn bind(&mut self, temporary: usize, permanent: usize) {
        let (key, session) = (PERMANENT + temporary, 2 * PERMANENT + temporary);
        // Nobody binds a key twice.
        if self.bound.values().any(|bound| *bound == key) || self.dead.contains(&key) {
            return;
        }
        // Answers go to the newest link.
        let link = self.open();
        let owner = self.sessions[2 * permanent].clone();
        let answer = bind(&mut self.world, link, &mut self.sessions[session], &owner);
        self.links.entry(link).or_default().insert(key);
        if self.dead.contains(&permanent) {
            assert_eq!(answer, "400 ENCRYPTED_MESSAGE_INVALID");
        } else {
            assert_eq!(answer, "true");
            self.bound.insert(permanent, key);
        }
    }

    fn destroy(&mut self, session: usize, link: LinkId) {
        let key = key_of(session);
        self.world.send(link, &mut self.sessions[session], &DestroyAuthKey);
        self.links.entry(link).or_default().insert(key);
        let owner = self.bound.iter().find(|(_, bound)| **bound == key);
        let key = owner.map_or(key, |(permanent, _)| *permanent);
        self.doomed.insert(key);
        self.doomed.extend(self.bound.get(&key));
        self.settle();
    }

    /// A session says something. Unless its key is destroyed it is answered.
    fn send(&mut self, session: usize, link: LinkId) {
        self.pings += 1;
        let ping_id = self.pings;
        let msg_id = self.world.send(link, &mut self.sessions[session], &Ping { ping_id });
        self.links.entry(link).or_default().insert(key_of(session));
        if self.world.holds.store {
            return;
        }
        if self.dead.contains(&key_of(session)) {
            self.assert_refused(link);
            self.links.remove(&link);
        } else {
            self.assert_answered(link, msg_id, ping_id);
        }
    }

    fn assert_answered(&self, link: LinkId, msg_id: MsgId, ping_id: i64) {
        assert!(self.world.link(link).has(&Pong { msg_id, ping_id }), "no pong");
    }

    // req: S66, S114
    fn assert_refused(&self, link: LinkId) {
        assert!(self.world.is_refused(link, TransportError::NotFound), "not -404");
    }

    fn release(&mut self) {
        self.world.holds.store = false;
        self.world.run_store();
        // Who asked may have lost the link before the key was found.
        let mut doomed = std::mem::take(&mut self.doomed);
        doomed.retain(|key| !self.world.is_stored(self.key_id(*key)));
        for (permanent, temporary) in &self.bound {
            assert_eq!(doomed.contains(permanent), doomed.contains(temporary), "half destroyed");
        }
        self.doomed = doomed;
        self.settle();
    }

    /// What the store was asked to destroy is destroyed once it has answered.
    fn settle(&mut self) {
        if !self.world.holds.store {
            self.dead.append(&mut self.doomed);
            self.bound.retain(|permanent, _| !self.dead.contains(permanent));
        }
    }

    /// A server that ends before the store has answered destroys nothing, as far as it goes here.
    fn restart(&mut self) {
        self.doomed.clear();
        self.links.clear();
        self.world.holds.store = false;
        self.world.restart();
    }

    /// A link that carries only destroyed keys is told so and closed; one that carries none stays.
    fn check(&mut self) {
        for (link, keys) in std::mem::take(&mut self.links) {
            let (dead, alive): (BTreeSet<_>, _) =
                keys.into_iter().partition(|key| self.dead.contains(key));
            let state = self.world.link(link);
            if !dead.is_empty() && alive.is_empty() {
                assert_eq!(state.error, Some(TransportError::NotFound));
                let refused = CloseReason::Refused(TransportError::NotFound);
                assert!([CloseReason::KeyDestroyed, refused].map(Some).contains(&state.closed));
            } else if state.closed.is_some() {
                assert_eq!(state.error, Some(TransportError::NotFound));
                assert!(!dead.is_empty(), "closed for nothing");
            } else {
                self.links.insert(link, alive);
            }
        }
        for (session, peer) in self.sessions.iter().enumerate() {
            let is_dead = self.dead.contains(&key_of(session));
            assert_eq!(self.world.is_stored(peer.key_id()), !is_dead);
            if is_dead {
                let pushed = query(1).to_bytes();
                let pushed = self.world.endpoint.push(peer.session_ref(), pushed, self.world.now);
                assert_eq!(pushed, Err(PushError::NoSession));
            }
        }
    }

    /// Every session over every open link, and over a new one.
    fn check_everywhere(&mut self) {
        for session in 0..self.sessions.len() {
            let is_dead = self.dead.contains(&key_of(session));
            let open = self.links.keys().copied().filter(|_| is_dead).collect::<Vec<_>>();
            let new = self.open();
            open.into_iter().chain([new]).for_each(|link| self.send(session, link));
        }
    }
}

/// The number of the key that a session uses.
fn key_of(session: usize) -> usize {
    if session < 2 * PERMANENT { session / 2 } else { session - PERMANENT }
}

/// Carries out one operation after another and compares server and model after each.
fn check(ops: &[Op]) {
    let mut model = Model::new();
    ops.iter().for_each(|op| model.carry_out(op));
    model.carry_out(&Op::Release);
    model.check_everywhere();
    model.carry_out(&Op::Restart);
    model.check_everywhere();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    // req: S66
    #[test]
    fn a_destroyed_key_gets_404_on_every_link_and_after_a_restart(
        ops in proptest::collection::vec(op(), 0..50),
    ) {
        check(&ops);
    }
}
