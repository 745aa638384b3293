//! What a client makes of time that it did not notice, and of clocks that are set.

use std::time::Duration;

use expect_test::expect;

use super::world::{World, object};
use crate::client::{
    ClientConfig, Event, Gap, LinkEnd, QUEUE_AGE_MAX, SLEEP_MIN, State, WAKE_PONG_MAX,
};

const SECOND: Duration = Duration::from_secs(1);

/// A world whose client is ready and has been for a while.
fn ready(seed: u64) -> World {
    let mut world = World::new(seed);
    world.run(30 * SECOND);
    assert_eq!(world.client.state(), State::Ready);
    world.transcript();
    world
}

fn gaps(world: &World) -> Vec<Gap> {
    let gap = |event: &Event| match event {
        Event::Gap(gap) => Some(*gap),
        _ => None,
    };
    world.events.iter().filter_map(gap).collect()
}

/// How long the client says that it slept, to the millisecond.
fn sleeps(world: &World) -> Vec<Duration> {
    let slept = |gap: &Gap| match gap {
        Gap::Slept { by } => Some(by.as_secs_f64()),
        _ => None,
    };
    let seconds = gaps(world).iter().filter_map(slept).collect::<Vec<_>>();
    seconds.into_iter().map(|by| Duration::from_secs_f64((by * 1000.0).round() / 1000.0)).collect()
}

// req: S118
#[test]
fn a_link_that_died_in_a_sleep_is_replaced_within_seconds() {
    let mut world = ready(1);
    world.network.half_open = true;
    let asleep = 8 * 3600 * SECOND;
    world.sleep(asleep);
    let woken = world.now;
    let request = world.request("good morning");
    world.run(WAKE_PONG_MAX + SECOND);
    assert_eq!(world.answers(request).collect::<Vec<_>>(), [&Ok(object("good morning"))]);
    assert_eq!(world.client.state(), State::Ready);
    assert!(world.dials.last().is_some_and(|at| *at <= woken + WAKE_PONG_MAX + SECOND));
    assert_eq!(sleeps(&world), [asleep]);
    // The server's time, which stood still here, is told by the server.
    world.run(60 * SECOND);
    let offset = world.saved.as_ref().unwrap().time_offset_ms - 3_600_000;
    assert!(offset.abs() < 2000, "{offset} ms off");
}

// req: S118
#[test]
fn a_link_that_lives_through_a_sleep_is_kept() {
    let mut world = ready(2);
    world.sleep(2 * SLEEP_MIN);
    world.run(30 * SECOND);
    assert_eq!(world.dials.len(), 1);
    expect![[r#"
        -- the client sleeps
        gap: Slept { by: 20.000000004s }
        > PingDelayDisconnect
        < Pong
    "#]]
    .assert_eq(&world.conversation());
}

// req: S118
#[test]
fn a_wait_before_a_dial_ends_with_the_sleep() {
    let mut world = ready(3);
    world.network.refuses = true;
    world.cut();
    world.run(300 * SECOND);
    assert!(matches!(world.client.state(), State::Waiting { last: Some(LinkEnd::DialFailed), .. }));
    world.run_until("a dial", {
        let dials = world.dials.len();
        move |world| world.dials.len() > dials
    });
    world.network.refuses = false;
    world.run(Duration::from_millis(100));
    world.sleep(60 * SECOND);
    world.run(SECOND);
    assert_eq!(world.client.state(), State::Ready);
}

// req: S118
#[test]
fn a_clock_that_is_set_breaks_nothing() {
    for (seed, (ahead, back)) in [(3600, 0), (0, 3600), (5, 0), (0, 1)].into_iter().enumerate() {
        let mut world = ready(10 + u64::try_from(seed).unwrap());
        world.wall_set = (ahead * SECOND, back * SECOND);
        let request = world.request("on time");
        world.run(120 * SECOND);
        assert_eq!(world.answers(request).collect::<Vec<_>>(), [&Ok(object("on time"))]);
        assert_eq!(world.dials.len(), 1, "the link is good");
        let told = (ahead * SECOND >= SLEEP_MIN).then_some(ahead * SECOND);
        assert_eq!(sleeps(&world), told.into_iter().collect::<Vec<_>>());
        let conversation = world.conversation();
        assert!(!conversation.contains("Bad"), "{conversation}");
        // A restart begins with the clock as it is now.
        world.restart_client();
        let request = world.request("still on time");
        assert!(world.outcome(request).is_ok());
        let conversation = world.conversation();
        assert!(!conversation.contains("Bad"), "{conversation}");
    }
}

#[test]
fn a_clock_that_is_corrected_little_by_little_is_no_sleep() {
    let mut world = ready(20);
    for _ in 0..100 {
        world.wall_set.0 += SECOND;
        world.run(SECOND);
    }
    assert_eq!(gaps(&world), [Gap::SessionCreated]);
}

// req: S99
#[test]
fn a_silence_in_which_pushes_expire_is_a_gap() {
    for (away, expires) in [(QUEUE_AGE_MAX / 2, false), (2 * QUEUE_AGE_MAX, true)] {
        let mut world = ready(30);
        world.network.refuses = true;
        world.cut();
        world.run(away);
        world.network.refuses = false;
        world.run(60 * SECOND);
        assert_eq!(world.client.state(), State::Ready);
        let told = gaps(&world);
        let expired = |gap: &&Gap| matches!(gap, Gap::QueueExpired { silence } if *silence >= away);
        assert_eq!(told.iter().filter(expired).count(), usize::from(expires), "{told:?}");
    }
}

// req: S38, S99
#[test]
fn a_sleep_is_one_gap_and_not_a_silence_too() {
    let mut world = ready(40);
    world.sleep(2 * QUEUE_AGE_MAX);
    world.run(60 * SECOND);
    let expired = gaps(&world).iter().any(|gap| matches!(gap, Gap::QueueExpired { .. }));
    assert!(!expired);
}

#[test]
fn a_closed_client_and_one_without_a_session_sleep_quietly() {
    let mut world = World::with(50, ClientConfig::default(), None);
    world.network.refuses = true;
    world.run(SECOND);
    world.sleep(3600 * SECOND);
    world.run(SECOND);
    world.client.close(world.client_now());
    world.sleep(3600 * SECOND);
    world.run(SECOND);
    assert_eq!(gaps(&world), []);
}
