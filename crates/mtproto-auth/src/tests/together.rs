//! Exchanges that are computed together go on as each would alone.

use bytes::Bytes;
use mtproto_crypto::SeededRandom;
use mtproto_tl::functions::{ReqDhParams, SetClientDhParams};
use mtproto_tl::{Decode, Encode};

use super::support::{NOW, client_config, query, server_config};
use crate::client;
use crate::server::{Exchange, ServerConfig, Step, Turn};
use crate::{Fault, KeyKind, Query};

/// A client in the middle of an exchange, and the server's side of it.
struct Pair {
    client: client::Exchange,
    server: Exchange,
    next: Bytes,
    last_answer: Bytes,
    /// What the server was asked last.
    last: Bytes,
}

impl Pair {
    fn new(config: &ServerConfig, random: &mut SeededRandom) -> Self {
        let (client, last) = client::Exchange::start(client_config(KeyKind::Permanent), random);
        let (server, last_answer) = Exchange::start(&query(&last), config, random).unwrap();
        let (client, next) = proceed(client, &last_answer, random);
        Self { client, server, next, last_answer, last }
    }

    /// The same after another step, one by one.
    fn further(self, config: &ServerConfig, random: &mut SeededRandom) -> Self {
        let step = self.server.handle(&query(&self.next), config, NOW, random).unwrap();
        let Step::Answer(server, last_answer) = step else { panic!("a key is early") };
        let (client, next) = proceed(self.client, &last_answer, random);
        Self { client, server, next, last_answer, last: self.next }
    }
}

fn proceed(
    client: client::Exchange,
    answer: &Bytes,
    random: &mut SeededRandom,
) -> (client::Exchange, Bytes) {
    match client.handle(answer, random).unwrap() {
        client::Step::Query(client, query) => (client, query),
        client::Step::Done(_) => panic!("the exchange is not over"),
    }
}

/// What comes of one of many.
enum Expected {
    /// The client gets its key in the end.
    Key(client::Exchange),
    Fault(Fault),
    Repeated(Bytes),
}

/// Goes on to the end.
fn check(step: Result<Step, Fault>, expected: Expected, config: &ServerConfig) {
    let random = &mut SeededRandom::new(9);
    let mut client = match expected {
        Expected::Fault(fault) => return assert_eq!(step.unwrap_err(), fault),
        Expected::Repeated(answer) => match step.unwrap() {
            Step::Answer(_, again) => return assert_eq!(again, answer),
            Step::Candidate(_) => panic!("a repeated query makes no key"),
        },
        Expected::Key(client) => client,
    };
    let mut step = step.unwrap();
    let candidate = loop {
        let (server, answer) = match step {
            Step::Answer(server, answer) => (server, answer),
            Step::Candidate(candidate) => break candidate,
        };
        let next;
        (client, next) = proceed(client, &answer, random);
        step = server.handle(&query(&next), config, NOW, random).unwrap();
    };
    let key = candidate.key().clone();
    match client.handle(&candidate.ok().1, random).unwrap() {
        client::Step::Done(own) => assert_eq!(own, key),
        client::Step::Query(..) => panic!("the server said ok"),
    }
}

fn damaged_rsa(body: &Bytes) -> Bytes {
    let query = ReqDhParams::from_bytes(body).unwrap();
    let encrypted_data = vec![7; query.encrypted_data.len()].into();
    ReqDhParams { encrypted_data, ..query }.to_bytes()
}

fn cut_short(body: &Bytes) -> Bytes {
    let query = SetClientDhParams::from_bytes(body).unwrap();
    let encrypted_data = query.encrypted_data.slice(1..);
    SetClientDhParams { encrypted_data, ..query }.to_bytes()
}

// req: S111
#[test]
fn each_goes_on_whatever_becomes_of_the_others() {
    let (config, random) = (server_config(), &mut SeededRandom::new(8));
    let mut turns: Vec<(Exchange, Query)> = Vec::new();
    let mut expected = Vec::new();
    for round in 0..11 {
        let pair = Pair::new(&config, random);
        let pair = if round % 2 == 0 { pair } else { pair.further(&config, random) };
        let (body, expects) = match round {
            2 => (damaged_rsa(&pair.next), Expected::Fault(Fault::InnerData)),
            3 => {
                let body = cut_short(&pair.next);
                let len = SetClientDhParams::from_bytes(&body).unwrap().encrypted_data.len();
                (body, Expected::Fault(Fault::EncryptedLen { len }))
            }
            4 => (pair.last, Expected::Repeated(pair.last_answer)),
            5 => (damaged_rsa(&pair.last), Expected::Fault(Fault::ChangedQuery)),
            _ => (pair.next, Expected::Key(pair.client)),
        };
        turns.push((pair.server, query(&body)));
        expected.push(expects);
    }

    let (states, queries): (Vec<_>, Vec<_>) = turns.into_iter().unzip();
    let turns = states.into_iter().zip(&queries);
    let turns =
        turns.map(|(state, query)| Turn { state, query, config: &config, server_time: NOW });
    let steps = Exchange::handle_all(turns.collect(), random);
    assert_eq!(steps.len(), expected.len());
    for (step, expected) in steps.into_iter().zip(expected) {
        check(step, expected, &config);
    }
}

#[test]
fn nothing_to_do_is_fine() {
    assert!(Exchange::handle_all(Vec::new(), &mut SeededRandom::new(1)).is_empty());
}
