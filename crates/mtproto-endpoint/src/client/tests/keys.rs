//! Making keys, using them again, and losing them.

use std::time::Duration;

use expect_test::expect;
use mtproto_store::SaltPeriod;
use mtproto_tl::Salt;

use super::world::{World, object};
use crate::client::{
    BINDING_MAX, ClientConfig, Closed, Event, Gap, KeyLoss, Pfs, RequestError, State,
};

const SECOND: Duration = Duration::from_secs(1);

fn pfs() -> ClientConfig {
    pfs_for(800 * SECOND)
}

fn pfs_for(lifetime: Duration) -> ClientConfig {
    ClientConfig { pfs: Some(Pfs { lifetime }), ..ClientConfig::default() }
}

fn ready(seed: u64, config: ClientConfig) -> World {
    let mut world = World::with(seed, config, None);
    world.run_until("being ready", |world| world.client.state() == State::Ready);
    world
}

fn losses(world: &World) -> Vec<KeyLoss> {
    let loss = |event: &Event| match event {
        Event::KeyLost { reason, .. } => Some(*reason),
        _ => None,
    };
    world.events.iter().filter_map(loss).collect()
}

// req: S22
#[test]
fn a_stored_key_is_used_again_without_an_exchange() {
    let mut world = ready(1, ClientConfig::default());
    let request = world.request("before");
    assert!(world.outcome(request).is_ok());
    let key = world.client.key();
    world.run(SECOND);
    world.transcript();
    world.restart_client();
    let request = world.request("after");
    assert_eq!(world.outcome(request), Ok(object("after")));
    assert_eq!(world.client.key(), key);
    expect![[r#"
        -- the links are cut
        -- the client restarts
        dial 1
        > after, PingDelayDisconnect
        state Resuming
        < NewSessionCreated, Pong, MsgsAck
        < rpc_result(after)
        gap: SessionCreated
        state Ready
        answer to 1
    "#]]
    .assert_eq(&world.conversation());
}

// req: S22
#[test]
fn stored_salts_are_right_after_a_restart() {
    for (hours, are_right) in [(0, true), (1, true), (20, true), (40, false)] {
        let mut world = ready(18, ClientConfig::default());
        world.run(SECOND);
        world.cut();
        world.network.refuses = true;
        world.run(hours * 3600 * SECOND);
        world.network.refuses = false;
        world.transcript();
        world.restart_client();
        let request = world.request("salted");
        assert_eq!(world.outcome(request), Ok(object("salted")));
        let conversation = world.conversation();
        assert_eq!(!conversation.contains("BadServerSalt"), are_right, "{conversation}");
    }
}

// req: S22
#[test]
fn salts_are_fetched_ahead() {
    for config in [ClientConfig::default(), pfs_for(100 * 3600 * SECOND)] {
        let mut world = ready(19, config);
        for _ in 0..70 {
            let request = world.request("hourly");
            assert!(world.outcome(request).is_ok());
            world.run(3600 * SECOND);
        }
        let conversation = world.conversation();
        let count = |name| conversation.matches(name).count();
        assert_eq!(count("BadServerSalt"), 0);
        assert!((3..=4).contains(&count("GetFutureSalts")), "{}", count("GetFutureSalts"));
        assert_eq!(world.dials.len(), 1);
    }
}

// req: S15
#[test]
fn a_stale_salt_is_replaced_and_the_request_repeated() {
    let mut world = ready(2, ClientConfig::default());
    world.run(SECOND);
    let stale = SaltPeriod { salt: Salt(13), valid_since: 0, valid_until: u32::MAX };
    let saved = world.saved.as_mut().unwrap();
    saved.permanent.salts = vec![stale];
    world.transcript();
    world.restart_client();
    let request = world.request("salted");
    assert_eq!(world.outcome(request), Ok(object("salted")));
    world.run(SECOND);
    expect![[r#"
        -- the links are cut
        -- the client restarts
        dial 1
        > salted, PingDelayDisconnect, GetFutureSalts
        state Resuming
        < BadServerSalt
        > salted, PingDelayDisconnect, GetFutureSalts
        state Ready
        < NewSessionCreated, Pong, FutureSalts, MsgsAck
        < rpc_result(salted)
        gap: SessionCreated
        answer to 1
    "#]]
    .assert_eq(&world.conversation());
    assert!(!world.saved.unwrap().permanent.salts.contains(&stale));
}

// req: S14
#[test]
fn a_wrong_clock_is_put_right_and_nobody_notices() {
    for offset_ms in [-7_200_000, -400_000, 400_000, 7_200_000] {
        let mut world = ready(3, ClientConfig::default());
        world.run(SECOND);
        let saved = world.saved.as_mut().unwrap();
        saved.time_offset_ms += offset_ms;
        world.restart_client();
        let request = world.request("on time");
        assert_eq!(world.outcome(request), Ok(object("on time")), "{offset_ms}");
        world.run(SECOND);
        let left = world.saved.as_ref().unwrap().time_offset_ms - 3_600_000;
        assert!(left.abs() < 2000, "{left} ms remain of {offset_ms}");
    }
}

// req: S118
#[test]
fn a_server_that_restarts_knows_its_keys_and_answers() {
    let mut world = ready(4, ClientConfig::default());
    let key = world.client.key();
    let requests: Vec<_> = (0..5).map(|n| world.request(&format!("{n}"))).collect();
    world.run(Duration::from_millis(25));
    world.restart_server();
    for request in requests {
        assert!(world.outcome(request).is_ok());
    }
    assert_eq!(world.client.key(), key);
    assert!(world.events.contains(&Event::Gap(Gap::SessionCreated)));
}

// req: S111
#[test]
fn an_exchange_goes_on_over_another_link() {
    for cut_at in (10..200).step_by(10) {
        let mut world = World::new(5);
        world.run(Duration::from_millis(cut_at));
        world.cut();
        let request = world.request("made it");
        assert!(world.outcome(request).is_ok());
        let made = world.events.iter().filter(|event| matches!(event, Event::KeyMade(_))).count();
        assert_eq!(made, 1, "cut at {cut_at} ms");
    }
}

// req: S111
#[test]
fn an_exchange_that_the_server_forgets_begins_anew() {
    let mut world = World::new(6);
    world.run(Duration::from_millis(90));
    world.restart_server();
    let request = world.request("made it");
    assert_eq!(world.outcome(request), Ok(object("made it")));
}

#[test]
fn a_server_that_is_silent_in_an_exchange_is_dialed_again() {
    let mut world = World::new(7);
    world.network.silent = true;
    world.run(45 * SECOND);
    assert!((3..=6).contains(&world.dials.len()), "{} dials", world.dials.len());
    world.network.silent = false;
    world.run(30 * SECOND);
    assert_eq!(world.client.state(), State::Ready);
}

#[test]
fn a_server_that_nobody_trusts_is_the_end() {
    let mut world = World::new(8);
    world.distrust_server();
    let request = world.request("secret");
    assert_eq!(world.outcome(request), Err(RequestError::Closed(Closed::ServerKeyUnknown)));
}

// req: S114
#[test]
fn a_permanent_key_is_given_up_only_after_proof() {
    let mut world = ready(9, ClientConfig::default());
    let key = world.client.key().unwrap();
    world.run(SECOND);
    world.transcript();
    world.forget_key(key);
    let request = world.request("lost");
    assert_eq!(world.outcome(request), Err(RequestError::Closed(Closed::KeyLost(key))));
    assert_eq!(losses(&world), [KeyLoss::Unknown]);
    // What is stored is not ours to destroy.
    assert!(world.saved.is_some());
    expect![[r#"
        -- the server loses a key
        > sealed under a key that is unknown
        < transport error -404: auth key not found
        close 1: transport error -404
        state Waiting, 1 failures
        dial 2
        state Dialing, 1 failures
        > sealed under a key that is unknown
        state Resuming
        < transport error -404: auth key not found
        close 2: transport error -404
        key lost: Unknown
        no answer to 1: client closed: the server does not know auth key f8611455e96f5c76 any more
        closed: the server does not know auth key f8611455e96f5c76 any more
    "#]]
    .assert_eq(&world.conversation());
}

// req: S114
#[test]
fn a_single_not_found_is_no_proof() {
    let mut world = ready(10, ClientConfig::default());
    let key = world.client.key();
    for _ in 0..3 {
        let link = world.link();
        let error = mtproto_frame::TransportError::NotFound;
        world.client.handle_transport_error(link, error, world.now);
        let request = world.request("still here");
        assert!(world.outcome(request).is_ok());
    }
    assert_eq!(world.client.key(), key);
    assert_eq!(losses(&world), []);
}

// req: S114
#[test]
fn a_lost_key_is_replaced_where_that_is_allowed() {
    let config = ClientConfig { replaces_lost_key: true, ..ClientConfig::default() };
    let mut world = ready(11, config);
    let key = world.client.key().unwrap();
    world.forget_key(key);
    let request = world.request("kept");
    assert_eq!(world.outcome(request), Ok(object("kept")));
    assert_ne!(world.client.key(), Some(key));
    assert!(world.events.contains(&Event::Gap(Gap::SessionReplaced)));
    world.run(SECOND);
    assert_eq!(world.saved.as_ref().map(|saved| saved.permanent.id()), world.client.key());
}

// req: S113
#[test]
fn a_temporary_key_is_bound_before_anything_is_said() {
    let mut world = ready(12, pfs());
    let request = world.request("secret");
    assert_eq!(world.outcome(request), Ok(object("secret")));
    expect![[r#"
        dial 1
        > plain ReqPqMulti
        state Exchanging
        < plain ResPq
        > plain ReqDhParams
        < plain ServerDhParamsOk
        > plain SetClientDhParams
        < plain DhGenOk
        key made
        > plain ReqPqMulti
        < plain ResPq
        > plain ReqDhParams
        < plain ServerDhParamsOk
        > plain SetClientDhParams
        < plain DhGenOk
        temporary key made
        > bindTempAuthKey, PingDelayDisconnect, GetFutureSalts
        state Binding
        < NewSessionCreated, Pong, FutureSalts, MsgsAck
        < rpc_result(true)
        gap: SessionCreated
        state Ready
        > secret, MsgsAck
        < rpc_result(secret)
        answer to 1
    "#]]
    .assert_eq(&world.conversation());
    let saved = world.saved.unwrap();
    assert_ne!(world.client.key(), Some(saved.permanent.id()));
    assert!(saved.temporary.unwrap().bound);
}

// req: S113
#[test]
fn a_binding_that_is_lost_is_made_again() {
    for cut_at in (280..420).step_by(10) {
        let mut world = World::with(13, pfs(), None);
        world.run(Duration::from_millis(cut_at));
        world.cut();
        let request = world.request("secret");
        assert_eq!(world.outcome(request), Ok(object("secret")));
        assert_eq!(losses(&world), [], "cut at {cut_at} ms");
    }
}

// req: S113
#[test]
fn a_binding_that_the_server_does_not_finish_is_given_up() {
    let mut world = World::with(20, pfs(), None);
    world.network.binding_stalls = true;
    let request = world.request("kept");
    world.run_until("the binding", |world| world.client.state() == State::Binding);
    let from = world.now;
    world.run_until("the end of it", |world| !losses(world).is_empty());
    assert_eq!(losses(&world), [KeyLoss::BindingTimedOut]);
    assert!(world.now.duration_since(from) <= BINDING_MAX + SECOND);
    world.network.binding_stalls = false;
    assert_eq!(world.outcome(request), Ok(object("kept")));
    assert_eq!(losses(&world).len(), 1);
}

// req: S113, S114
#[test]
fn a_lost_temporary_key_is_made_again_and_the_permanent_one_stays() {
    let mut world = ready(14, pfs());
    world.run(SECOND);
    let permanent = world.saved.as_ref().unwrap().permanent.id();
    let temporary = world.client.key().unwrap();
    world.forget_key(temporary);
    let request = world.request("kept");
    assert_eq!(world.outcome(request), Ok(object("kept")));
    assert_eq!(losses(&world), [KeyLoss::Unknown]);
    world.run(SECOND);
    assert_eq!(world.saved.unwrap().permanent.id(), permanent);
}

// req: S113
#[test]
fn a_temporary_key_is_renewed_before_it_expires() {
    let mut world = ready(15, pfs());
    let first = world.client.key();
    let mut answered = 0;
    for n in 0..1000 {
        let request = world.request(&format!("{n}"));
        assert!(world.outcome(request).is_ok());
        answered += world.answers(request).count();
        world.run(SECOND);
    }
    assert_eq!(answered, 1000);
    assert_eq!(world.handled.len(), 1000);
    assert_ne!(world.client.key(), first);
    assert_eq!(losses(&world), []);
    // The disconnect delay that the old session asked for costs no link.
    assert_eq!(world.dials.len(), 1);
}

// req: S113
#[test]
fn a_permanent_key_that_cannot_be_bound_to_is_lost_unless_it_is_young() {
    let mut world = ready(16, pfs());
    world.run(120 * SECOND);
    let permanent = world.saved.as_ref().unwrap().permanent.id();
    let temporary = world.client.key().unwrap();
    world.forget_key(permanent);
    world.forget_key(temporary);
    let request = world.request("lost");
    assert_eq!(world.outcome(request), Err(RequestError::Closed(Closed::KeyLost(permanent))));
    assert_eq!(losses(&world), [KeyLoss::Unknown, KeyLoss::BindingRefused]);
}

#[test]
fn a_store_that_fails_is_asked_again() {
    let mut world = World::new(17);
    world.network.cannot_save = true;
    world.run(20 * SECOND);
    assert!(world.saved.is_none());
    world.network.cannot_save = false;
    world.run(10 * SECOND);
    assert_eq!(world.saved.unwrap().permanent.id(), world.client.key().unwrap());
}
