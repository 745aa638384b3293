//! Whatever happens, in whatever order: every request has one outcome, and nothing panics.

use std::time::Duration;

use bytes::BytesMut;
use mtproto_crypto::{SecureRandom, SeededRandom};
use mtproto_frame::TransportError;

use super::world::{World, object};
use crate::client::{ClientConfig, LinkId, Pfs, RequestId, State};

/// A number below `end`.
fn below(random: &mut SeededRandom, end: u32) -> u32 {
    random.u32() % end
}

fn config(seed: u64) -> ClientConfig {
    let pfs = (seed % 2 == 1).then_some(Pfs { lifetime: Duration::from_secs(120) });
    let links = 1 + usize::try_from(seed % 3).unwrap();
    ClientConfig { pfs, links, ..ClientConfig::default() }
}

// req: S118
#[test]
fn every_request_has_one_outcome() {
    for seed in 0..20 {
        let mut world = World::with(seed, config(seed), None);
        let mut random = SeededRandom::new(seed);
        let mut requests: Vec<RequestId> = Vec::new();
        for n in 0..150 {
            match below(&mut random, 15) {
                0 => world.cut(),
                1 => world.restart_server(),
                2 => world.network.refuses = !world.network.refuses,
                3 => world.network.silent = !world.network.silent,
                4 if world.links() > 0 => {
                    let link = world.link();
                    world.cut_one(link);
                }
                5 => {
                    let _ = world.client.ping(world.client_now());
                }
                6 => {
                    let span = below(&mut random, 1500);
                    world.sleep(Duration::from_secs(u64::from(span)));
                }
                7 => {
                    let set = |random: &mut _| Duration::from_secs(below(random, 4000).into());
                    world.wall_set = (set(&mut random), set(&mut random));
                }
                8 => world.network.half_open = !world.network.half_open,
                _ => requests.push(world.request(&format!("{n}"))),
            }
            world.run(Duration::from_millis(u64::from(below(&mut random, 3000))));
        }
        world.network = super::world::Network::default();
        world.run(Duration::from_secs(180));
        assert_eq!(world.client.state(), State::Ready, "seed {seed}\n{}", world.transcript());
        for request in requests {
            assert_eq!(world.answers(request).count(), 1, "seed {seed}, request {}", request.0);
        }
    }
}

// req: S39, S118
#[test]
fn a_hundred_calls_survive_twenty_lost_links_and_two_forgotten_sessions() {
    for seed in 0..6 {
        let pfs = config(seed).pfs.map(|_| Pfs::default());
        let mut world = World::with(100 + seed, ClientConfig { pfs, ..config(seed) }, None);
        let mut random = SeededRandom::new(seed);
        world.run_until("being ready", |world| world.client.state() == State::Ready);
        world.network.slowness = Duration::from_secs(150);
        let requests: Vec<_> = (0..100).map(|n| world.request(&format!("{n:02}"))).collect();
        for n in 0..20 {
            world.run(Duration::from_millis(u64::from(below(&mut random, 6000))));
            match n {
                7 | 14 => world.restart_server(),
                _ => world.cut(),
            }
            let unanswered = |request: &&RequestId| world.answers(**request).next().is_none();
            assert_eq!(requests.iter().filter(unanswered).count(), 100, "seed {seed}, link {n}");
        }
        world.run(Duration::from_secs(400));
        for (n, request) in requests.into_iter().enumerate() {
            let own = Ok(object(&format!("{n:02}")));
            assert_eq!(world.answers(request).collect::<Vec<_>>(), [&own], "seed {seed}");
        }
        // Once, and once more for each time that the server forgot it.
        let mut handled = std::collections::BTreeMap::new();
        world.handled.iter().for_each(|query| *handled.entry(query).or_insert(0) += 1);
        assert!(handled.values().all(|times| *times <= 3), "seed {seed}: {handled:?}");
    }
}

#[test]
fn nothing_that_a_peer_sends_makes_it_panic() {
    for seed in 0..10 {
        let mut world = World::with(seed, config(seed), None);
        let mut random = SeededRandom::new(seed);
        for _ in 0..500 {
            let link = LinkId(u64::from(below(&mut random, 40)));
            let mut payload = vec![0; below(&mut random, 120).try_into().unwrap()];
            random.fill(&mut payload);
            match below(&mut random, 6) {
                // Under the key in use, or under none.
                0 => {
                    let key = world.client.key().map_or(0, |key| key.0);
                    payload.splice(0..0, key.to_le_bytes());
                }
                1 => payload.splice(0..0, [0; 16]).for_each(drop),
                2 => {
                    let code = -403 - i32::try_from(below(&mut random, 30)).unwrap();
                    let error = TransportError::from_code(code).unwrap();
                    world.client.handle_transport_error(link, error, world.now);
                }
                3 => world.client.handle_quick_ack(link, random.u32(), world.now),
                4 => world.client.link_lost(link, world.now),
                _ => {}
            }
            world.client.handle_packet(link, BytesMut::from(&payload[..]), world.now);
            world.run(Duration::from_millis(u64::from(below(&mut random, 2000))));
        }
    }
}
