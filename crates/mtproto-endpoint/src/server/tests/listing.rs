//! Sessions are listed.

use std::time::Duration;

use mtproto_session::LinkId;
use mtproto_tl::SessionId;

use super::binding::bind;
use super::peer::Peer;
use super::talk::query;
use super::world::World;
use crate::server::{SESSIONS_PAGE_MAX, SessionInfo, SessionRef};

/// Every session, and how many pages it took.
fn list(world: &World) -> (Vec<SessionInfo>, usize) {
    let (mut all, mut pages): (Vec<SessionInfo>, _) = (Vec::new(), 0);
    loop {
        let page = world.endpoint.sessions(all.last().map(|last| last.name));
        if page.is_empty() {
            return (all, pages);
        }
        assert!(page.len() <= SESSIONS_PAGE_MAX);
        all.extend(page);
        pages += 1;
    }
}

/// The description of one session.
fn info(world: &World, name: SessionRef) -> SessionInfo {
    list(world).0.into_iter().find(|info| info.name == name).expect("it is listed")
}

#[test]
fn a_session_is_described_as_it_is() {
    let mut world = World::new(1);
    let (old, new, mut peer) = (world.open(1), world.open(2), world.peer());
    let created = world.time();
    world.send(old, &mut peer, &query(1));
    world.wait(Duration::from_secs(5));
    world.holds.requests = true;
    world.send(new, &mut peer, &query(2));
    let described = SessionInfo {
        name: peer.session_ref(),
        identity: Some(peer.key_id()),
        links: vec![old, new],
        running_requests: 1,
        queued_messages: 2,
        queued_bytes: 28 + 20,
        created,
        last_active: world.time(),
    };
    assert_eq!(info(&world, peer.session_ref()), described);
    world.wait(Duration::from_secs(5));
    world.lose(new);
    let SessionInfo { links, last_active, .. } = info(&world, peer.session_ref());
    assert_eq!((links, last_active), (vec![old], described.last_active));
}

// req: S113
#[test]
fn a_bound_key_is_listed_with_the_permanent_one() {
    let mut world = World::new(2);
    let (link, permanent) = (world.open(1), world.peer());
    let mut temporary = world.temporary_peer(Duration::from_secs(3600));
    world.send(link, &mut temporary, &query(1));
    assert_eq!(info(&world, temporary.session_ref()).identity, None);
    bind(&mut world, link, &mut temporary, &permanent);
    assert_eq!(info(&world, temporary.session_ref()).identity, Some(permanent.key_id()));
}

#[test]
fn what_was_only_refused_is_not_listed() {
    let mut world = World::new(3);
    let (link, mut peer) = (world.open(1), world.peer());
    peer.session = SessionId(0);
    world.send(link, &mut peer, &query(1));
    assert_eq!(list(&world), (vec![], 0));
}

#[test]
fn many_sessions_are_listed_page_by_page() {
    let mut world = World::new(4);
    let peers: Vec<_> = (0..5).map(|_| world.peer()).collect();
    let mut sessions: Vec<Peer> =
        peers.iter().flat_map(|peer| (1..=60).map(|number| peer.in_session(number))).collect();
    for (number, session) in (1..).zip(&mut sessions) {
        let link: LinkId = world.open(number);
        world.send(link, session, &query(1));
    }
    let mut names: Vec<_> = sessions.iter().map(Peer::session_ref).collect();
    names.sort_unstable();
    let (listed, pages) = list(&world);
    assert_eq!(listed.iter().map(|info| info.name).collect::<Vec<_>>(), names);
    assert_eq!(pages, names.len().div_ceil(SESSIONS_PAGE_MAX));

    // One goes between two pages; what comes after it is listed all the same.
    let first = world.endpoint.sessions(None);
    let last = first.last().expect("a full page").name;
    assert!(world.endpoint.discard_session(last, world.now));
    world.drain();
    let second = world.endpoint.sessions(Some(last));
    assert_eq!(second, listed[SESSIONS_PAGE_MAX..]);
}
