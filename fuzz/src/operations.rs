//! A client and a server, and everything that can happen to them.

use std::time::Duration;

use bytes::Bytes;
use mtproto_auth::PlainMessage;
use mtproto_crypto::Direction;
use mtproto_crypto::envelope::{self, Header, Padding, SealJob};
use mtproto_endpoint::client::RequestOptions;
use mtproto_endpoint::server::{StoreAction, StoreOutcome, StoreRequest};
use mtproto_frame::{Outbound, TransportError};
use mtproto_pack::RpcError;
use mtproto_store::StoreError;
use mtproto_tl::{MsgId, Salt, SessionId};

use crate::choices::Choices;
use crate::world::{World, at_once};

/// Timeouts while time passes once.
const TIMEOUTS_MAX: usize = 200;

/// Reads bytes as things that happen, one after the other, to a client and a server who have a key.
///
/// Both always come to wait, hold no more than they may, and give every call one outcome. When
/// everybody has left, nothing stays.
pub fn operations(data: &[u8]) {
    let mut choices = Choices::new(data);
    let pfs = choices.any();
    let mut world = World::new(pfs, 1 + choices.below(3));
    world.drain();
    while !choices.is_over() {
        // What comes in one drain is looked at together.
        let is_last = !choices.once_in(8);
        happen(&mut world, &mut choices);
        if is_last {
            world.drain();
        }
    }
    world.drain();
    world.end();
}

fn happen(world: &mut World, choices: &mut Choices<'_>) {
    match choices.below(32) {
        0..=3 => settle(world),
        4..=7 => {
            let (link, is_up) = (choices.below(4), choices.any());
            world.deliver(link, is_up);
        }
        8..=10 => transit(world, choices),
        11..=15 => forge(world, choices),
        16 => dial(world, choices),
        17 => lose(world, choices),
        18..=19 => pass(world, choices),
        20..=23 => call(world, choices),
        24..=26 => serve(world, choices),
        27..=28 => store(world, choices),
        29 => save(world, choices),
        30 => administer(world, choices),
        _ => world.is_prompt = !world.is_prompt,
    }
}

/// Whatever can go well does, until all is said.
fn settle(world: &mut World) {
    for _ in 0..ROUNDS_MAX {
        for client in std::mem::take(&mut world.dialing) {
            world.open_link(Some(client), false);
        }
        for request in std::mem::take(&mut world.asked) {
            world.server.stored(at_once(request.carry_out(&world.store)), world.now);
        }
        for link in 0..world.links.len() {
            while world.deliver(link, true) || world.deliver(link, false) {}
        }
        world.drain();
        if world.is_settled() {
            return;
        }
    }
}

/// Something under way is lost, doubled, late or damaged.
fn transit(world: &mut World, choices: &mut Choices<'_>) {
    let Some(link) = choices.index(world.links.len()) else { return };
    let link = &mut world.links[link];
    let queue = if choices.any() { &mut link.up } else { &mut link.down };
    let Some(at) = choices.index(queue.len()) else { return };
    match choices.below(4) {
        0 => drop(queue.remove(at)),
        1 => queue.insert(at, queue[at].clone()),
        2 => queue.rotate_left(at),
        _ => {
            if let Some(Outbound::Packet { payload, .. }) = &mut queue[at] {
                *payload = damaged(payload, choices).into();
            }
        }
    }
}

fn damaged(payload: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut payload = payload.to_vec();
    let at = choices.below(payload.len().max(1));
    match choices.below(4) {
        0 => payload.truncate(at),
        1 => payload.extend_from_slice(choices.bytes(64)),
        _ => payload.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= choices.any::<u8>()),
    }
    payload
}

/// Somebody who has the keys, or none, says something.
fn forge(world: &mut World, choices: &mut Choices<'_>) {
    if choices.once_in(16) {
        world.open_link(None, choices.any());
    }
    let Some(link) = choices.index(world.links.len()) else { return };
    let is_up: bool = choices.any();
    let item = match choices.below(16) {
        0 if !is_up => Outbound::QuickAck(choices.any()),
        1 if !is_up => {
            let errors = [-403, -404, -429, -444, -1000].map(TransportError::from_code);
            Outbound::Error(errors[choices.below(5)].unwrap_or(TransportError::Flood))
        }
        2 => Outbound::packet(choices.bytes(256).to_vec()),
        3 => {
            let body = world.known.object(choices).into();
            Outbound::packet(PlainMessage { msg_id: MsgId(choices.any()), body }.to_packet())
        }
        _ => {
            let payload = sealed(world, is_up, choices);
            Outbound::Packet { payload: payload.into(), quick_ack: is_up && choices.any() }
        }
    };
    let link = &mut world.links[link];
    let queue = if is_up { &mut link.up } else { &mut link.down };
    queue.push_back(Some(item));
}

/// A message that only somebody with a key can have sent.
fn sealed(world: &mut World, is_up: bool, choices: &mut Choices<'_>) -> Vec<u8> {
    let message = world.known.message(choices);
    let session = match choices.below(8) {
        0 => SessionId(choices.below(100) as u64),
        _ => choices.one_of(&world.known.sessions).unwrap_or(SessionId(1)),
    };
    let salt = if choices.once_in(16) { Salt(choices.any()) } else { world.salt };
    let header = Header {
        salt: salt.0,
        session_id: session.0,
        // Its low bits tell who says it.
        msg_id: message.id.0 & !3 | if is_up { 0 } else { 1 },
        seqno: message.seqno.0,
    };
    let key = &world.keys[choices.below(world.keys.len())];
    let direction = if is_up { Direction::ClientToServer } else { Direction::ServerToClient };
    let mut packet = Vec::new();
    envelope::lay_out(&mut packet, &header, &message.body, Padding::Least, &mut world.random);
    envelope::seal(&mut [SealJob::new(key, direction, &mut packet)]);
    packet
}

fn dial(world: &mut World, choices: &mut Choices<'_>) {
    let Some(client) = world.dialing.pop() else { return };
    if choices.once_in(2) {
        world.client.dial_failed(client, world.now);
    } else {
        world.open_link(Some(client), choices.any());
    }
}

/// One side of a link, or each, finds it gone.
fn lose(world: &mut World, choices: &mut Choices<'_>) {
    let Some(link) = choices.index(world.links.len()) else { return };
    let link = &mut world.links[link];
    let sides = choices.below(3);
    if sides != 0
        && let Some(client) = link.client.take()
    {
        world.client.link_lost(client, world.now);
    }
    if sides != 1
        && let Some(server) = link.server.take()
    {
        world.server.link_lost(server, world.now);
    }
}

/// Time passes, or only the clock on the wall goes on.
fn pass(world: &mut World, choices: &mut Choices<'_>) {
    let span = Duration::from_millis(1 << choices.below(28));
    if choices.once_in(8) {
        let wall = world.clock.now(world.now).after(span);
        world.client.handle_wall_time(wall, world.now);
    } else {
        world.drain();
        world.pass(world.now + span, TIMEOUTS_MAX);
    }
}

/// The client's application does something.
fn call(world: &mut World, choices: &mut Choices<'_>) {
    let now = world.now;
    let some = |choices: &mut Choices<'_>, world: &World| {
        choices.index(world.calls.len()).and_then(|at| world.calls.iter().nth(at).copied())
    };
    match choices.below(16) {
        0 => {
            // Not after its outcome.
            world.drain();
            if let Some(request) = some(choices, world) {
                world.client.cancel(request, now);
                world.calls.remove(&request);
            }
        }
        1 => drop(world.client.ping(now)),
        2 => world.client.replace_session(now),
        3 if choices.once_in(4) => world.client.log_out(now),
        4 => world.restart_client(),
        _ => {
            let deadline = choices.once_in(4).then(|| now + Duration::from_secs(5));
            let options = RequestOptions { quick_ack: choices.any(), deadline };
            let object = object(world, choices);
            world.calls.extend(world.client.request(object, options, now));
        }
    }
}

/// The server's application does something.
fn serve(world: &mut World, choices: &mut Choices<'_>) {
    if let Some(at) = choices.index(world.running.len())
        && choices.any()
    {
        let request = world.running.swap_remove(at);
        let answer = match choices.below(4) {
            0 => Err(RpcError::new(420, "FLOOD_WAIT_3")),
            _ => Ok(object(world, choices)),
        };
        world.server.answer(request, answer, world.now);
    } else if let Some(session) = choices.one_of(&world.sessions) {
        let object = object(world, choices);
        // There may be no such session, or no room.
        let _ = world.server.push(session, object, world.now);
    }
}

/// Some object of an application, now and then a long one.
fn object(world: &mut World, choices: &mut Choices<'_>) -> Bytes {
    let mut object = world.known.object(choices);
    if choices.once_in(8) {
        object.resize(object.len() + (4 << choices.below(15)), choices.any());
    }
    object.into()
}

/// The store answers, late, and perhaps that it has failed.
fn store(world: &mut World, choices: &mut Choices<'_>) {
    let Some(at) = choices.index(world.asked.len()) else { return };
    let request = world.asked.remove(at);
    let outcome = match choices.below(4) {
        0 => failed(request),
        1 => {
            // It is done, but nobody is told.
            at_once(request.clone().carry_out(&world.store));
            failed(request)
        }
        _ => at_once(request.carry_out(&world.store)),
    };
    world.server.stored(outcome, world.now);
}

fn failed(request: StoreRequest) -> StoreOutcome {
    let error = StoreError::Unavailable { reason: String::new() };
    match request.action {
        StoreAction::Bind { temporary, permanent, request } => {
            StoreOutcome::Bound { temporary, permanent, request, result: Err(error) }
        }
        StoreAction::Find(binding) => StoreOutcome::Found { binding, result: Err(error) },
        StoreAction::Insert { exchange, .. } => {
            StoreOutcome::Inserted { exchange, result: Err(error) }
        }
        StoreAction::Load(load) => StoreOutcome::Loaded { load, result: Err(error) },
        StoreAction::Remove { session, ticket, .. } => {
            StoreOutcome::Removed { session, ticket, result: Err(error) }
        }
    }
}

/// The client's record is stored, or not.
fn save(world: &mut World, choices: &mut Choices<'_>) {
    if let Some(record) = world.saving.pop() {
        let is_stored = choices.any();
        if is_stored {
            world.stored = record.map(|record| *record);
        }
        world.client.saved(is_stored, world.now);
    }
}

/// The operator of the server does something, or another shard of it.
fn administer(world: &mut World, choices: &mut Choices<'_>) {
    let Some(session) = choices.one_of(&world.sessions) else { return };
    match choices.below(8) {
        0 => world.restart_server(),
        1 => world.server.forget_key(session.key, world.now),
        2 => world.server.unbind_key(session.key),
        3 => world.server.release_turns(world.now),
        _ => drop(world.server.discard_session(session, world.now)),
    }
}

/// How often each side may answer before it is enough.
const ROUNDS_MAX: usize = 16;
