//! Dialing, and links that end in every way.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use expect_test::expect;
use mtproto_frame::TransportError;
use mtproto_session::PingConfig;

use super::world::{World, object};
use crate::client::{
    ClientConfig, Closed, DIAL_WINDOW, FLOOD_DELAY_MIN, LINKS_MAX, LinkEnd, LinkId, PACKETS_MAX,
    ReconnectPolicy, State,
};

const SECOND: Duration = Duration::from_secs(1);

/// A world whose client is ready.
fn ready(seed: u64) -> World {
    let mut world = World::new(seed);
    world.run_until("being ready", |world| world.client.state() == State::Ready);
    world.transcript();
    world
}

/// The most dials of any minute.
fn most_dials(world: &World) -> usize {
    let within = |start: Instant| {
        world.dials.iter().filter(move |at| (start..start + DIAL_WINDOW).contains(*at))
    };
    world.dials.iter().map(|start| within(*start).count()).max().unwrap_or(0)
}

// req: S118
#[test]
fn dials_that_fail_come_ever_later() {
    let mut world = World::new(1);
    world.network.refuses = true;
    world.run(600 * SECOND);
    let early = world.dials.iter().filter(|at| **at < world.start + DIAL_WINDOW).count();
    let late = world.dials.iter().filter(|at| **at >= world.now - DIAL_WINDOW).count();
    assert!((6..=12).contains(&early), "{early} dials in the first minute");
    assert!((2..=5).contains(&late), "{late} dials in the last minute");
    assert!(matches!(world.client.state(), State::Waiting { last: Some(LinkEnd::DialFailed), .. }));
}

// req: S118
#[test]
fn a_policy_sets_the_pace_of_dials_and_closing_ends_them() {
    let policies = [(Duration::ZERO, 5, 5), (SECOND, 600, 60), (30 * SECOND, 600, 2)];
    for (delay, dials_per_minute_max, dialed) in policies {
        let reconnect = ReconnectPolicy {
            first_delay: delay,
            max_delay: delay,
            jitter_percent: 0,
            dials_per_minute_max,
        };
        let config = ClientConfig { reconnect, ..ClientConfig::default() };
        let mut world = World::with(13, config, None);
        world.network.refuses = true;
        for _ in 0..5 {
            let before = world.dials.len();
            world.run(DIAL_WINDOW);
            let dials = world.dials.len() - before;
            assert!(dials.abs_diff(dialed) <= 2, "{dials} dials in a minute, not {dialed}");
        }
        assert!(most_dials(&world) <= dials_per_minute_max);
        let before = world.dials.len();
        world.client.close(world.now);
        world.run(10 * DIAL_WINDOW);
        assert_eq!(world.client.state(), State::Closed(Closed::ByCaller));
        assert_eq!(world.dials.len(), before);
    }
}

// req: S118
#[test]
fn links_that_die_at_once_are_not_made_without_end() {
    let mut world = ready(2);
    let from = world.now;
    while world.now < from + 600 * SECOND {
        world.run_until("being ready", |world| world.client.state() == State::Ready);
        world.cut();
        world.run(Duration::from_millis(1));
    }
    assert!(most_dials(&world) <= ReconnectPolicy::default().dials_per_minute_max);
}

// req: S114
#[test]
fn a_flood_error_keeps_the_client_away() {
    let mut world = ready(3);
    let link = LinkId(1);
    world.client.handle_transport_error(link, TransportError::Flood, world.now);
    let dials = world.dials.len();
    world.run(FLOOD_DELAY_MIN);
    assert_eq!(world.dials.len(), dials);
    world.run(3 * FLOOD_DELAY_MIN);
    assert!(world.dials.len() > dials);
    assert_eq!(world.client.state(), State::Ready);
}

// req: S114
#[test]
fn the_wrong_data_centre_is_the_end() {
    let mut world = ready(4);
    let request = world.request("lost");
    world.client.handle_transport_error(LinkId(1), TransportError::WrongDc, world.now);
    assert!(world.outcome(request).is_err());
    assert_eq!(world.client.state(), State::Closed(Closed::WrongDc));
}

// req: S114
#[test]
fn any_other_transport_error_costs_the_link_and_nothing_else() {
    for code in [-403, -500, -1] {
        let mut world = ready(14);
        let key = world.client.key();
        let request = world.request("kept");
        let error = TransportError::from_code(code).unwrap();
        world.client.handle_transport_error(LinkId(1), error, world.now);
        let last = Some(LinkEnd::Transport(error));
        assert!(matches!(world.client.state(), State::Waiting { last: end, .. } if end == last));
        assert_eq!(world.outcome(request), Ok(object("kept")));
        assert_eq!((world.client.key(), world.dials.len()), (key, 2));
    }
}

// req: S112
#[test]
fn a_packet_that_is_not_from_the_server_costs_the_link_and_nothing_else() {
    let mut world = ready(5);
    let request = world.request("kept");
    let key = world.client.key().unwrap();
    let forgeries = [
        vec![],
        vec![1, 2, 3],
        vec![7; 100],
        // The right key, and nothing else right.
        [&key.0.to_le_bytes()[..], &[9; 64]].concat(),
        // Unencrypted, and cut short.
        vec![0; 19],
    ];
    for forgery in forgeries {
        world.run_until("being ready", |world| world.client.state() == State::Ready);
        let link = LinkId(u64::try_from(world.dials.len()).unwrap());
        world.client.handle_packet(link, BytesMut::from(&forgery[..]), world.now);
        let state = loop {
            match world.client.poll_output() {
                crate::client::Output::Close { reason, .. } => break reason,
                crate::client::Output::Wait(_) => panic!("{forgery:?} was accepted"),
                _ => {}
            }
        };
        assert_eq!(state, LinkEnd::BadPacket);
        world.cut();
    }
    assert_eq!(world.outcome(request), Ok(object("kept")));
}

#[test]
fn an_unencrypted_message_out_of_place_is_ignored() {
    let mut world = ready(6);
    let body = bytes::Bytes::from(vec![0x63, 0x24, 0x16, 0x05, 1, 2, 3, 4]);
    let message = mtproto_auth::PlainMessage { msg_id: mtproto_tl::MsgId(1), body };
    let packet = BytesMut::from(&*message.to_packet());
    world.client.handle_packet(LinkId(1), packet, world.now);
    world.run(SECOND);
    assert_eq!(world.dials.len(), 1);
    assert_eq!(world.client.state(), State::Ready);
}

// req: S30
#[test]
fn a_silent_link_is_given_up() {
    let mut world = ready(7);
    world.network.silent = true;
    world.run(90 * SECOND);
    world.network.silent = false;
    let request = world.request("heard again");
    assert_eq!(world.outcome(request), Ok(object("heard again")));
    assert!(world.transcript().contains("no answer in time"));
}

// req: S30
#[test]
fn the_keepalive_has_the_pace_that_is_wanted() {
    let pings = PingConfig { interval: 5 * SECOND, ..PingConfig::default() };
    let mut world = World::with(9, ClientConfig { pings, ..ClientConfig::default() }, None);
    world.run_until("being ready", |world| world.client.state() == State::Ready);
    world.transcript();
    world.run(26 * SECOND);
    assert_eq!(world.transcript().matches("PingDelayDisconnect").count(), 5);
}

#[test]
fn an_idle_client_stays_connected() {
    let mut world = ready(8);
    world.run(3600 * SECOND);
    assert_eq!(world.dials.len(), 1);
    assert_eq!(world.client.state(), State::Ready);
}

#[test]
fn as_many_links_are_kept_as_are_wanted() {
    for (wanted, kept) in [(0, 1), (3, 3), (100, LINKS_MAX)] {
        let config = ClientConfig { links: wanted, ..ClientConfig::default() };
        let mut world = World::with(10, config, None);
        world.run(SECOND);
        assert_eq!(world.links(), kept);
        let requests: Vec<_> = (0..10).map(|n| world.request(&format!("{n}"))).collect();
        world.run(Duration::from_millis(5));
        let newest = world.link();
        world.cut_one(newest);
        for request in requests {
            assert!(world.outcome(request).is_ok());
        }
        world.run(10 * SECOND);
        assert_eq!(world.links(), kept);
        // All of them are kept alive, not only the newest.
        let dials = world.dials.len();
        world.run(600 * SECOND);
        assert_eq!((world.links(), world.dials.len()), (kept, dials));
    }
}

#[test]
fn packets_are_looked_at_before_there_are_too_many() {
    let mut world = ready(11);
    let link = world.link();
    for _ in 0..PACKETS_MAX {
        world.client.handle_packet(link, BytesMut::from(&[7; 100][..]), world.now);
    }
    // The first of them ended the link, without anybody asking for output.
    assert!(matches!(world.client.state(), State::Waiting { last: Some(LinkEnd::BadPacket), .. }));
}

#[test]
fn what_a_closed_endpoint_hears_changes_nothing() {
    let mut world = ready(12);
    let link = world.link();
    world.client.close(world.now);
    world.client.handle_packet(link, BytesMut::from(&[7; 100][..]), world.now);
    world.client.handle_transport_error(link, TransportError::NotFound, world.now);
    world.client.link_lost(link, world.now);
    world.client.link_opened(LinkId(99), false, world.now);
    world.run(SECOND);
    assert_eq!(world.client.state(), State::Closed(Closed::ByCaller));
    assert_eq!(world.dials.len(), 1);
}

#[test]
fn states_tell_the_way() {
    let mut world = World::new(9);
    world.network.refuses = true;
    world.run(Duration::from_millis(100));
    world.network.refuses = false;
    world.run(SECOND);
    world.cut();
    world.run(SECOND);
    let conversation = world.conversation();
    let states: Vec<_> = conversation.lines().filter(|line| line.starts_with("state")).collect();
    expect![[r#"
        state Waiting, 1 failures
        state Dialing, 1 failures
        state Exchanging
        state Ready
        state Waiting, 2 failures
        state Dialing, 2 failures
        state Resuming
        state Ready"#]]
    .assert_eq(&states.join("\n"));
}
