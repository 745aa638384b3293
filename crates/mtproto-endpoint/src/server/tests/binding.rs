//! Temporary keys are bound to permanent ones.

use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use mtproto_auth::binding::{self, Carrier};
use mtproto_pack::{GZIP_PACKED_ID, RPC_RESULT_ID, RpcAnswer, RpcResult};
use mtproto_session::LinkId;
use mtproto_store::{Bound, KeyStore};
use mtproto_tl::functions::auth::BindTempAuthKey;
use mtproto_tl::wrappers::functions::help::{GetConfig, GetNearestDc};
use mtproto_tl::wrappers::functions::{InitConnection, InvokeWithLayer};
use mtproto_tl::{AuthKeyId, Encode, MsgId, Raw, encode_byte_string};

use super::peer::Peer;
use super::talk::query;
use super::world::{World, check, ready};
use crate::server::keys::Keys;
use crate::server::{Event, StoreAction};

const LIFE: Duration = Duration::from_secs(3600);

/// Sends the query that binds `temporary` to `permanent`, made into what is sent by `wrap`.
fn put_binding(
    world: &mut World,
    link: LinkId,
    temporary: &mut Peer,
    permanent: &Peer,
    wrap: fn(BindTempAuthKey) -> Bytes,
) -> MsgId {
    let expires_at = world.time().after(LIFE).unix_seconds();
    let mut message = temporary.message(world.time(), &Raw::default());
    let carrier =
        Carrier { key_id: temporary.key_id(), session_id: temporary.session, msg_id: message.id };
    message.body = wrap(binding::build(&permanent.key, carrier, expires_at, &mut world.random));
    world.put_message(link, temporary, &message, false);
    message.id
}

/// Binds `temporary`; how that ended.
pub(super) fn bind(
    world: &mut World,
    link: LinkId,
    temporary: &mut Peer,
    permanent: &Peer,
) -> String {
    let request = put_binding(world, link, temporary, permanent, |query| query.to_bytes());
    world.drain();
    answer_to(world, link, request)
}

/// How a query ended.
fn answer_to(world: &World, link: LinkId, request: MsgId) -> String {
    let result = world.link(link).unpacked().into_iter().find_map(|message| {
        let result = RpcResult::read(&message.body).ok()?;
        (message.object_id() == RPC_RESULT_ID && result.req_msg_id == request).then_some(result)
    });
    match RpcAnswer::read(&result.expect("an answer").result, 1 << 20) {
        Ok(RpcAnswer::Error(error)) => format!("{} {}", error.code, error.message),
        Ok(RpcAnswer::Ok(object)) if object == true.to_bytes() => "true".to_owned(),
        other => format!("{other:?}"),
    }
}

fn ask(world: &mut World, link: LinkId, peer: &mut Peer, object: &impl Encode) -> String {
    let request = world.send(link, peer, object);
    answer_to(world, link, request)
}

// req: L21, S113
#[test]
fn a_temporary_key_is_bound_and_speaks_for_the_permanent_one() {
    let script = |world: &mut World| {
        let (link, permanent) = (world.open(1), world.peer());
        let mut temporary = world.temporary_peer(LIFE);
        world.send(link, &mut temporary, &query(1));
        put_binding(world, link, &mut temporary, &permanent, |query| query.to_bytes());
        world.drain();
        world.send(link, &mut temporary, &query(2));
        let identities: Vec<_> = world.requests.iter().map(|request| request.identity).collect();
        assert_eq!(identities, [Some(permanent.key_id())]);
    };
    check(
        script,
        &expect![[r#"
            0ms > [1] 11111111 c1 seqno=1 bytes=8
            0ms ! session opened
            0ms < [1] msg_container s3 seqno=4
            0ms < [1]   new_session_created s1 seqno=1 first=c1 salt=B
            0ms < [1]   rpc_result s2 seqno=3 to=c1 error=401 AUTH_KEY_PERM_EMPTY
            0ms > [1] cdd42a05 c2 seqno=3 bytes=132
            0ms < [1] rpc_result s4 seqno=5 to=c2 997275b5 bytes=4
            0ms > [1] 11111111 c3 seqno=5 bytes=8
            0ms < [1] rpc_result s5 seqno=7 to=c3 11111111 bytes=8
        "#]],
    );
}

// req: L21, S113
#[test]
fn a_binding_is_understood_in_wrappers_and_packed() {
    let mut world = World::new(2);
    let (link, permanent) = (world.open(1), world.peer());
    let mut temporary = world.temporary_peer(LIFE);
    let wrap = |query: BindTempAuthKey| {
        let query = InitConnection {
            api_id: 1,
            device_model: "model".into(),
            system_version: "1".into(),
            app_version: "1".into(),
            system_lang_code: "en".into(),
            lang_pack: String::new(),
            lang_code: "en".into(),
            proxy: None,
            params: None,
            query: Raw(gzip(&query.to_bytes())),
        };
        InvokeWithLayer { layer: 200, query }.to_bytes()
    };
    let request = put_binding(&mut world, link, &mut temporary, &permanent, wrap);
    world.drain();
    assert_eq!(answer_to(&world, link, request), "true");
    assert!(world.requests.is_empty(), "the application is not asked");
}

/// A `gzip_packed` whose one block is stored as it is.
fn gzip(object: &[u8]) -> Bytes {
    let len = u16::try_from(object.len()).expect("a short object");
    let crc = !object.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    stream.extend([len.to_le_bytes(), (!len).to_le_bytes()].concat());
    stream.extend_from_slice(object);
    stream.extend([crc.to_le_bytes(), u32::from(len).to_le_bytes()].concat());
    let mut packed = GZIP_PACKED_ID.to_le_bytes().to_vec();
    encode_byte_string(&stream, &mut packed);
    packed.into()
}

// req: S113
#[test]
fn an_unbound_key_may_ask_little() {
    let mut world = World::new(3);
    let link = world.open(1);
    let mut temporary = world.temporary_peer(LIFE);
    assert_eq!(ask(&mut world, link, &mut temporary, &query(1)), "401 AUTH_KEY_PERM_EMPTY");
    assert!(world.requests.is_empty());
    world.send(link, &mut temporary, &GetConfig);
    world.send(link, &mut temporary, &GetNearestDc);
    let identities: Vec<_> = world.requests.iter().map(|request| request.identity).collect();
    assert_eq!(identities, [None, None]);
}

// req: S113
#[test]
fn a_permanent_key_cannot_be_bound() {
    let mut world = World::new(4);
    let (link, permanent, mut other) = (world.open(1), world.peer(), world.peer());
    let answer = bind(&mut world, link, &mut other, &permanent);
    assert_eq!(answer, "400 TEMP_AUTH_KEY_EMPTY");
}

// req: S113
#[test]
fn a_key_is_bound_only_to_a_permanent_one_that_exists() {
    let mut world = World::new(5);
    let link = world.open(1);
    let (mut temporary, other) = (world.temporary_peer(LIFE), world.temporary_peer(LIFE));
    let nobody = Peer::new(world.random_key(), 1);
    for target in [&other, &nobody, &temporary.clone()] {
        let answer = bind(&mut world, link, &mut temporary, target);
        assert_eq!(answer, "400 ENCRYPTED_MESSAGE_INVALID");
    }
}

// req: S113
#[test]
fn another_binding_takes_the_place_of_the_first() {
    let mut world = World::new(6);
    let (link, permanent) = (world.open(1), world.peer());
    let (mut first, mut second) = (world.temporary_peer(LIFE), world.temporary_peer(LIFE));
    assert_eq!(bind(&mut world, link, &mut first, &permanent), "true");
    assert_eq!(bind(&mut world, link, &mut first, &permanent), "true", "asked once more");
    assert_eq!(bind(&mut world, link, &mut second, &permanent), "true");
    assert!(world.events.contains(&Event::KeyUnbound(first.key_id())));
    assert_eq!(ask(&mut world, link, &mut first, &query(1)), "401 AUTH_KEY_PERM_EMPTY");
    world.send(link, &mut second, &query(2));
    assert_eq!(world.requests.len(), 1);
}

// req: S113
#[test]
fn a_bound_key_is_not_bound_to_another() {
    let mut world = World::new(7);
    let (link, permanent, other) = (world.open(1), world.peer(), world.peer());
    let mut temporary = world.temporary_peer(LIFE);
    assert_eq!(bind(&mut world, link, &mut temporary, &permanent), "true");
    let answer = bind(&mut world, link, &mut temporary, &other);
    assert_eq!(answer, "400 TEMP_AUTH_KEY_ALREADY_BOUND");
    world.send(link, &mut temporary, &query(1));
    assert_eq!(world.requests[0].identity, Some(permanent.key_id()));
}

// req: S113
#[test]
fn nothing_is_bound_while_the_store_fails() {
    for held in [1, 2] {
        let mut world = World::new(8);
        let (link, permanent) = (world.open(1), world.peer());
        let mut temporary = world.temporary_peer(LIFE);
        world.send(link, &mut temporary, &GetConfig);
        world.holds.store = true;
        let request =
            put_binding(&mut world, link, &mut temporary, &permanent, |query| query.to_bytes());
        world.drain();
        if held == 2 {
            world.run_store();
        }
        world.holds.store_fails = true;
        world.run_store();
        assert_eq!(answer_to(&world, link, request), "500 INTERNAL");
        world.holds = Default::default();
        assert_eq!(ask(&mut world, link, &mut temporary, &query(1)), "401 AUTH_KEY_PERM_EMPTY");
        assert_eq!(bind(&mut world, link, &mut temporary, &permanent), "true");
    }
}

// req: S113
#[test]
fn a_binding_that_is_replaced_before_it_is_known_does_not_stand() {
    let mut world = World::new(9);
    let (link, permanent) = (world.open(1), world.peer());
    let (mut first, second) = (world.temporary_peer(LIFE), world.temporary_peer(LIFE));
    world.send(link, &mut first, &GetConfig);
    world.holds.store = true;
    put_binding(&mut world, link, &mut first, &permanent, |query| query.to_bytes());
    world.drain();
    world.run_store();
    let request = world.asked.pop_front().expect("a binding");
    assert!(matches!(request.action, StoreAction::Bind { .. }));
    let late = ready(request.carry_out(&world.memory));
    // Another shard binds another key, and says so before the outcome of the first arrives.
    let now = world.time();
    let bound = ready(world.memory.bind(second.key_id(), permanent.key_id(), now));
    assert_eq!(bound, Ok(Bound::Done { replaced: Some(first.key_id()) }));
    world.endpoint.unbind_key(first.key_id());
    world.endpoint.stored(late, world.now);
    world.drain();
    world.holds.store = false;
    assert_eq!(ask(&mut world, link, &mut first, &query(1)), "401 AUTH_KEY_PERM_EMPTY");
}

// req: S113
#[test]
fn a_key_that_is_unbound_while_the_store_looks_is_unbound() {
    let mut world = World::new(10);
    let (link, permanent) = (world.open(1), world.peer());
    let (mut first, second) = (world.temporary_peer(LIFE), world.temporary_peer(LIFE));
    let bind = |world: &World, key: AuthKeyId| {
        let bound = ready(world.memory.bind(key, permanent.key_id(), world.time()));
        assert!(matches!(bound, Ok(Bound::Done { .. })));
    };
    bind(&world, first.key_id());
    world.holds.store = true;
    let request = world.send(link, &mut first, &query(1));
    let load = world.asked.pop_front().expect("a load");
    let late = ready(load.carry_out(&world.memory));
    bind(&world, second.key_id());
    world.endpoint.unbind_key(first.key_id());
    world.endpoint.stored(late, world.now);
    world.drain();
    world.holds.store = false;
    world.run_store();
    assert_eq!(answer_to(&world, link, request), "401 AUTH_KEY_PERM_EMPTY");
}

// req: S113
#[test]
fn a_key_that_is_bound_while_the_store_looks_is_bound() {
    let mut world = World::new(11);
    world.endpoint.keys = Keys::new(1);
    let (link, permanent, mut other) = (world.open(1), world.peer(), world.peer());
    let mut temporary = world.temporary_peer(LIFE);
    world.send(link, &mut temporary, &GetConfig);
    world.holds.store = true;
    put_binding(&mut world, link, &mut temporary, &permanent, |query| query.to_bytes());
    world.drain();
    world.run_store();
    let binding = world.asked.pop_front().expect("a binding");
    // The key is forgotten, and looked for again, before it is bound.
    world.lose(link);
    world.holds.store = false;
    let link = world.open(2);
    world.send(link, &mut other, &query(1));
    world.lose(link);
    world.holds.store = true;
    let link = world.open(3);
    world.send(link, &mut temporary, &query(2));
    let load = world.asked.pop_front().expect("a load");
    let load = ready(load.carry_out(&world.memory));
    let binding = ready(binding.carry_out(&world.memory));
    world.endpoint.stored(binding, world.now);
    world.endpoint.stored(load, world.now);
    world.drain();
    world.holds.store = false;
    world.run_store();
    let identity = world.requests.last().map(|request| request.identity);
    assert_eq!(identity, Some(Some(permanent.key_id())));
}
