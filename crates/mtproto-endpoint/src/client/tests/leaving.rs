//! Logging out, and closing.

use std::time::Duration;

use expect_test::expect;

use super::world::{World, object};
use crate::client::{
    ClientConfig, Closed, LOG_OUT_MAX, Misuse, Pfs, RequestError, RequestOptions, State,
};

const SECOND: Duration = Duration::from_secs(1);

const DESTROYED: State = State::Closed(Closed::LoggedOut { destroyed: true });

fn ready(seed: u64, config: ClientConfig) -> World {
    let mut world = World::with(seed, config, None);
    world.run(5 * SECOND);
    assert_eq!(world.client.state(), State::Ready);
    world.transcript();
    world
}

// req: S67
#[test]
fn logging_out_destroys_the_key_and_what_is_stored() {
    let mut world = ready(1, ClientConfig::default());
    let key = world.client.key().unwrap();
    world.client.log_out(world.now);
    world.run(SECOND);
    assert_eq!(world.client.state(), DESTROYED);
    assert!(world.saved.is_none() && !world.server_has(key));
    expect![[r#"
        > DestroyAuthKey, MsgsAck
        state LoggingOut
        < sealed under a key that is unknown
        < transport error -404: auth key not found
        close 1: closed by the application
        closed: logged out
    "#]]
    .assert_eq(&world.conversation());
    // Once more is no news.
    world.client.log_out(world.now);
    world.run(SECOND);
    assert_eq!(world.conversation(), "");
}

// req: S67
#[test]
fn logging_out_ends_calls_and_takes_no_more() {
    let mut world = ready(2, ClientConfig::default());
    world.network.stalls = true;
    let request = world.request("never");
    world.run(SECOND);
    world.client.log_out(world.now);
    assert_eq!(world.client.state(), State::LoggingOut);
    let closed = Closed::ByCaller;
    let late = world.client.request(object("late"), RequestOptions::default(), world.now);
    assert_eq!(late, Err(Misuse::Closed(closed)));
    assert_eq!(world.client.ping(world.now), Err(Misuse::Closed(closed)));
    assert_eq!(world.outcome(request), Err(RequestError::Closed(closed)));
    world.run(SECOND);
    assert_eq!(world.client.state(), DESTROYED);
    assert_eq!(world.answers(request).count(), 1);
}

// req: S67
#[test]
fn logging_out_survives_links() {
    for cut_at in (0..100).step_by(10) {
        let mut world = ready(3, ClientConfig::default());
        let key = world.client.key().unwrap();
        world.client.log_out(world.now);
        world.run(Duration::from_millis(cut_at));
        world.cut();
        world.run(10 * SECOND);
        // The key may be gone before the answer came: that it is unknown then is the answer.
        assert_eq!(world.client.state(), DESTROYED, "cut at {cut_at} ms");
        assert!(world.saved.is_none() && !world.server_has(key));
    }
}

// req: S67
#[test]
fn with_forward_secrecy_the_permanent_key_is_destroyed() {
    // During the exchanges, the binding, and afterwards.
    for after in (100..600).step_by(20) {
        let config = ClientConfig { pfs: Some(Pfs::default()), ..ClientConfig::default() };
        let mut world = World::with(4, config, None);
        world.run(Duration::from_millis(after));
        let permanent = world.saved.as_ref().map(|saved| saved.permanent.id());
        world.client.log_out(world.now);
        world.run(10 * SECOND);
        assert_eq!(world.client.state(), DESTROYED, "after {after} ms");
        assert!(world.saved.is_none());
        assert!(permanent.is_none_or(|key| !world.server_has(key)), "after {after} ms");
    }
}

// req: S67
#[test]
fn a_server_that_does_not_answer_is_waited_for_a_minute() {
    let mut world = ready(5, ClientConfig::default());
    let key = world.client.key().unwrap();
    world.network.silent = true;
    world.client.log_out(world.now);
    world.run(LOG_OUT_MAX - SECOND);
    assert!(!world.client.is_closed());
    world.run(2 * SECOND);
    let closed = Closed::LoggedOut { destroyed: false };
    assert_eq!(world.client.state(), State::Closed(closed));
    assert!(world.saved.is_none() && world.server_has(key));
}

// req: S67
#[test]
fn without_a_key_there_is_nothing_to_destroy() {
    let mut world = World::new(6);
    world.network.refuses = true;
    world.run(SECOND);
    world.client.log_out(world.now);
    world.run(SECOND);
    assert_eq!(world.client.state(), DESTROYED);
}

// req: S67
#[test]
fn closing_calls_logging_out_off() {
    let mut world = ready(7, ClientConfig::default());
    world.network.silent = true;
    world.client.log_out(world.now);
    world.run(SECOND);
    world.client.close(world.now);
    world.run(SECOND);
    assert_eq!(world.client.state(), State::Closed(Closed::ByCaller));
    assert!(world.saved.is_some());
}

// req: S95
#[test]
fn what_is_owed_is_acknowledged_before_the_client_closes() {
    let mut world = ready(8, ClientConfig::default());
    let session = world.session.unwrap();
    world.server.push(session, object("pushed"), world.now).unwrap();
    world.run(SECOND);
    world.transcript();
    world.client.close(world.now);
    world.run(SECOND);
    expect![[r#"
        > MsgsAck
        close 1: closed by the application
        closed: closed by the application
    "#]]
    .assert_eq(&world.conversation());
}
