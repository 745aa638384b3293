//! Our client, or a hand-made one, with our server: everything goes well, or a rule ends it.

use std::sync::Arc;

use bytes::Bytes;
use mtproto_crypto::rsa::Scheme;
use mtproto_crypto::{SecureRandom, SeededRandom};
use mtproto_tl::functions::{ReqDhParams, ReqPq, SetClientDhParams};
use mtproto_tl::types::{ClientDhInnerData, DhGenRetry, ResPq};
use mtproto_tl::{Decode, Encode};

use super::support::{Form, HandMade, NOW, Stages, TEMPORARY, client_config, query, server_config};
use crate::client::{self, ClientConfig, Outcome};
use crate::nonces::Verdict;
use crate::server::{self, ANSWERS_MAX, Exchange, ServerConfig, Step};
use crate::{Fault, KeyKind, NewKey, RETRIES_MAX};

/// What a client does with `resPQ`.
type FirstStep<'a> =
    &'a dyn Fn(client::WaitResPq, &Bytes, &mut dyn SecureRandom) -> (client::WaitDhParams, Bytes);

/// A whole exchange with our server; both sides' keys, or the server's fault.
fn exchange(
    kind: KeyKind,
    config: &ServerConfig,
    first_step: FirstStep<'_>,
) -> Result<(NewKey, NewKey), Fault> {
    let random = &mut SeededRandom::new(11);
    let (client, req_pq) = client::start(client_config(kind), random);
    let (server, answer) = server::start(&query(&req_pq), config, random)?;
    let (client, next) = first_step(client, &answer, random);
    let (server, answer) = server.handle(&query(&next), config, NOW, random)?;
    let (client, next) = client.handle(&answer, random).unwrap();
    let candidate = server.handle(&query(&next))?;
    let stored = candidate.key().clone();
    let (_, answer) = candidate.ok();
    match client.handle(&answer, random).unwrap() {
        Outcome::Done(key) => Ok((key, stored)),
        Outcome::Retry(..) => panic!("the server said ok"),
    }
}

fn exchange_by_hand(hand: &HandMade, config: &ServerConfig) -> Result<(NewKey, NewKey), Fault> {
    exchange(hand.kind(), config, &|_, answer, random| hand.answer(answer, random, |_| ()))
}

const FORMS: [Form; 4] = [Form::Plain, Form::Dc(2), Form::Temp, Form::TempDc(2)];

// req: S111, S113
#[test]
fn both_kinds_of_key_with_our_client() {
    for kind in [KeyKind::Permanent, TEMPORARY] {
        let (ours, stored) = exchange(kind, &server_config(), &|client, answer, random| {
            client.handle(answer, random).unwrap()
        })
        .unwrap();
        assert_eq!(ours, stored);
        assert_eq!((stored.kind, stored.server_time), (kind, NOW));
    }
}

// req: L11, S111
#[test]
fn every_rsa_form_with_every_inner_constructor() {
    for scheme in [Scheme::Pad, Scheme::Old] {
        for form in FORMS {
            let hand = HandMade::new(form, scheme);
            let (ours, stored) = exchange_by_hand(&hand, &server_config()).unwrap();
            assert_eq!(ours, stored, "{scheme:?} {form:?}");
            assert_eq!(stored.kind, hand.kind(), "{scheme:?} {form:?}");
        }
    }
}

// req: S111
#[test]
fn the_old_rsa_form_can_be_refused() {
    let config = ServerConfig { accept_old_rsa: false, ..server_config() };
    for form in FORMS {
        assert!(exchange_by_hand(&HandMade::new(form, Scheme::Pad), &config).is_ok());
        let result = exchange_by_hand(&HandMade::new(form, Scheme::Old), &config);
        assert_eq!(result, Err(Fault::InnerData), "{form:?}");
    }
}

// req: S111, S114
#[test]
fn the_data_centre_counts_only_where_the_server_has_one() {
    let two = ServerConfig { dc: Some(2), ..server_config() };
    let anywhere = server_config();
    let by_hand =
        |form, config: &ServerConfig| exchange_by_hand(&HandMade::new(form, Scheme::Pad), config);
    for form in [Form::Dc(2), Form::TempDc(2), Form::Dc(-2), Form::Plain, Form::Temp] {
        assert!(by_hand(form, &two).is_ok(), "{form:?}");
    }
    for dc in [0, 1, 10_002, -10_002, i32::MIN] {
        for form in [Form::Dc(dc), Form::TempDc(dc)] {
            let fault = by_hand(form, &two).unwrap_err();
            assert_eq!((fault.transport_error(), &fault), (-444, &Fault::WrongDc { dc }));
            assert!(by_hand(form, &anywhere).is_ok());
        }
    }
}

// req: L13, S111
#[test]
fn the_challenge_is_what_living_clients_can_read() {
    let stages = Stages::new(KeyKind::Permanent, 2);
    let challenge = ResPq::from_bytes(&stages.res_pq).unwrap();
    let pq = u64::from_be_bytes(challenge.pq[..].try_into().unwrap());
    assert_eq!(pq >> 63, 0);
    let answer = ReqDhParams::from_bytes(&stages.req_dh_params).unwrap();
    assert_eq!((answer.p.len(), answer.q.len()), (4, 4));
    assert_eq!(stages.wait_dh_gen.nonces.first_salt(), {
        let (_, candidate) = stages.candidate();
        candidate.key().first_salt
    });
}

#[test]
fn the_first_offered_key_that_is_known_is_used() {
    let stages = Stages::new(KeyKind::Permanent, 3);
    let mut offer = ResPq::from_bytes(&stages.res_pq).unwrap();
    offer.server_public_key_fingerprints.splice(0..0, [1, -2]);
    let random = &mut SeededRandom::new(3);
    let (_, query) = stages.wait_res_pq.clone().handle(&offer.to_bytes(), random).unwrap();
    let query = ReqDhParams::from_bytes(&query).unwrap();
    assert_eq!(query.public_key_fingerprint, offer.server_public_key_fingerprints[2]);

    offer.server_public_key_fingerprints.truncate(2);
    let fault = stages.wait_res_pq.handle(&offer.to_bytes(), random).unwrap_err();
    assert_eq!(fault, Fault::NoKnownKey);
}

#[test]
fn a_client_without_keys_stops() {
    let stages = Stages::new(KeyKind::Permanent, 4);
    let config = ClientConfig { keys: Arc::new([]), dc: 2, kind: KeyKind::Permanent };
    let random = &mut SeededRandom::new(4);
    let (state, _) = client::start(config, &mut SeededRandom::new(4));
    assert_eq!(state.handle(&stages.res_pq, random).unwrap_err(), Fault::NoKnownKey);
}

/// Our server with a driver's view of it.
struct Server {
    exchange: Option<Exchange>,
    config: ServerConfig,
    random: SeededRandom,
}

impl Server {
    fn new(seed: u64) -> Self {
        Self { exchange: None, config: server_config(), random: SeededRandom::new(seed) }
    }

    fn ask(&mut self, body: &Bytes) -> Result<Step, Fault> {
        let (query, random) = (query(body), &mut self.random);
        match self.exchange.take() {
            Some(exchange) => exchange.handle(&query, &self.config, NOW, random),
            None => Exchange::start(&query, &self.config, random)
                .map(|(exchange, answer)| Step::Answer(exchange, answer)),
        }
    }

    /// The answer, `verdict` deciding about a key.
    fn answer(&mut self, body: &Bytes, verdict: Verdict) -> Result<Bytes, Fault> {
        let (exchange, answer) = match self.ask(body)? {
            Step::Answer(exchange, answer) => (exchange, answer),
            Step::Candidate(candidate) => match verdict {
                Verdict::Ok => {
                    let (state, answer) = candidate.ok();
                    (Exchange::Finished(state), answer)
                }
                Verdict::Retry => candidate.retry(),
                Verdict::Fail => {
                    let (state, answer) = candidate.fail();
                    (Exchange::Finished(state), answer)
                }
            },
        };
        self.exchange = Some(exchange);
        Ok(answer)
    }
}

/// Our client and our server up to `set_client_DH_params`, which is returned.
fn propose(seed: u64) -> (client::Exchange, Server, [Bytes; 3], [Bytes; 2]) {
    let mut random = SeededRandom::new(!seed);
    let mut server = Server::new(seed);
    let (client, first) = client::Exchange::start(client_config(KeyKind::Permanent), &mut random);
    let first_answer = server.answer(&first, Verdict::Ok).unwrap();
    let (client, second) = next_query(client, &first_answer, &mut random);
    let second_answer = server.answer(&second, Verdict::Ok).unwrap();
    let (client, third) = next_query(client, &second_answer, &mut random);
    (client, server, [first, second, third], [first_answer, second_answer])
}

fn next_query(
    client: client::Exchange,
    answer: &Bytes,
    random: &mut dyn SecureRandom,
) -> (client::Exchange, Bytes) {
    match client.handle(answer, random).unwrap() {
        client::Step::Query(client, query) => (client, query),
        client::Step::Done(_) => panic!("the exchange is not over"),
    }
}

// req: S111
#[test]
fn a_repeated_query_gets_the_identical_answer_at_every_stage() {
    let (client, mut server, queries, answers) = propose(5);
    // The repeat may carry other filler.
    let refilled = |query: &Bytes| Bytes::from([&query[..], &[9; 16]].concat());
    for (query, answer) in queries.iter().zip(&answers) {
        assert_eq!(server.answer(&refilled(query), Verdict::Ok).unwrap(), answer);
    }
    let last = server.answer(&queries[2], Verdict::Ok).unwrap();
    // What is repeated decides nothing again.
    assert_eq!(server.answer(&refilled(&queries[2]), Verdict::Fail).unwrap(), last);
    for (query, answer) in queries.iter().zip(&answers) {
        assert_eq!(server.answer(query, Verdict::Ok).unwrap(), answer);
    }
    let step = client.handle(&last, &mut SeededRandom::new(0)).unwrap();
    assert!(matches!(step, client::Step::Done(_)));
}

// req: S111
#[test]
fn a_changed_query_ends_the_exchange_at_every_stage() {
    let nonce = *query(&propose(6).2[0]).nonce();
    let old_req_pq = ReqPq { nonce }.to_bytes();
    let (.., queries, _) = propose(6);
    for answered in 1..=queries.len() {
        let mut server = Server::new(6);
        for query in &queries[..answered] {
            server.answer(query, Verdict::Ok).unwrap();
        }
        let fault = server.ask(&old_req_pq).unwrap_err();
        assert_eq!((fault.transport_error(), fault), (-404, Fault::ChangedQuery));
        assert!(server.exchange.is_none());
    }
    // A query that belongs to a later stage comes too early.
    let mut server = Server::new(6);
    server.answer(&queries[0], Verdict::Ok).unwrap();
    assert_eq!(server.ask(&queries[2]).unwrap_err(), Fault::ChangedQuery);
    // Nor does an exchange begin in the middle.
    assert_eq!(server.ask(&queries[1]).unwrap_err(), Fault::ChangedQuery);
}

// req: S111
#[test]
fn after_the_end_another_proposal_is_refused() {
    let (_, mut server, queries, _) = propose(7);
    server.answer(&queries[2], Verdict::Ok).unwrap();
    let mut other = SetClientDhParams::from_bytes(&queries[2]).unwrap();
    other.encrypted_data = Bytes::from_static(&[0; 336]);
    assert_eq!(server.ask(&other.to_bytes()).unwrap_err(), Fault::ChangedQuery);
}

// req: S111
#[test]
fn a_key_whose_id_is_taken_is_followed_by_another() {
    let stages = Stages::new(TEMPORARY, 8);
    let random = &mut SeededRandom::new(8);
    let (client, candidate) = stages.candidate();
    let taken = candidate.key().clone();
    let nonces = client.nonces.clone();

    let (server, answer) = candidate.retry();
    let Outcome::Retry(client, proposal) = client.handle(&answer, random).unwrap() else {
        panic!("the server said retry");
    };
    let sealed = SetClientDhParams::from_bytes(&proposal).unwrap().encrypted_data;
    let inner: ClientDhInnerData = nonces.open(&sealed).unwrap();
    assert_eq!(inner.retry_id.to_le_bytes(), taken.key.aux_hash());

    let step = server.handle(&query(&proposal), &server_config(), NOW, random).unwrap();
    let Step::Candidate(candidate) = step else { panic!("this is no repeat") };
    let stored = candidate.key().clone();
    assert_ne!(stored.key, taken.key);
    let (_, answer) = candidate.ok();
    match client.handle(&answer, random).unwrap() {
        Outcome::Done(key) => assert_eq!(key, stored),
        Outcome::Retry(..) => panic!("the server said ok"),
    }
}

// req: S111
#[test]
fn retries_are_bounded_on_both_sides() {
    let (mut client, mut server, queries, _) = propose(9);
    let (mut proposal, random) = (queries[2].clone(), &mut SeededRandom::new(9));
    for _ in 0..RETRIES_MAX {
        let answer = server.answer(&proposal, Verdict::Retry).unwrap();
        (client, proposal) = next_query(client, &answer, random);
    }
    let client::Exchange::WaitDhGen(state) = &client else { panic!("a key is proposed") };
    let (state, nonces) = (state.clone(), &state.nonces);
    let forged = DhGenRetry {
        nonce: nonces.id.nonce,
        server_nonce: nonces.id.server_nonce,
        new_nonce_hash2: nonces.hash(Verdict::Retry, &state.key),
    };
    assert_eq!(state.handle(&forged.to_bytes(), random).unwrap_err(), Fault::RetriesExhausted);

    // The server says fail where it would have to say retry once more.
    let answer = server.answer(&proposal, Verdict::Retry).unwrap();
    assert_eq!(client.handle(&answer, random).unwrap_err(), Fault::Refused);
    let Some(Exchange::Finished(state)) = &server.exchange else { panic!("it is over") };
    assert_eq!(state.answers.0.len(), ANSWERS_MAX);
    assert_eq!(server.answer(&proposal, Verdict::Ok).unwrap(), answer);
}

// req: S111
#[test]
fn a_refused_key_ends_the_exchange() {
    let (client, mut server, queries, _) = propose(10);
    let answer = server.answer(&queries[2], Verdict::Fail).unwrap();
    assert_eq!(client.handle(&answer, &mut SeededRandom::new(1)).unwrap_err(), Fault::Refused);
}

#[test]
fn a_wrong_fingerprint_or_wrong_factors_are_refused_before_rsa() {
    let stages = Stages::new(KeyKind::Permanent, 12);
    let good = ReqDhParams::from_bytes(&stages.req_dh_params).unwrap();
    let fault = |change: &dyn Fn(&mut ReqDhParams)| {
        let mut bad = good.clone();
        change(&mut bad);
        // Not even a number to decrypt.
        bad.encrypted_data = Bytes::new();
        let (bad, random) = (query(&bad.to_bytes()), &mut SeededRandom::new(0));
        let state = stages.server_wait_dh_params.clone();
        state.handle(&bad, &server_config(), NOW, random).unwrap_err()
    };
    assert_eq!(fault(&|query| query.public_key_fingerprint ^= 1), Fault::Fingerprint);
    assert_eq!(fault(&|query| query.nonce[0] ^= 1), Fault::Nonce);
    assert_eq!(fault(&|query| query.server_nonce[0] ^= 1), Fault::ServerNonce);
    assert_eq!(fault(&|query| std::mem::swap(&mut query.p, &mut query.q)), Fault::Factors);
    assert_eq!(fault(&|query| query.p = Bytes::new()), Fault::Factors);
    assert_eq!(fault(&|query| query.q = Bytes::from_static(&[0, 0, 0, 1])), Fault::Factors);
    assert_eq!(fault(&|_| ()), Fault::InnerData);
}

#[test]
fn states_can_be_computed_on_any_thread_and_show_no_secret() {
    fn is_send<T: Send + 'static>() {}
    is_send::<client::Exchange>();
    is_send::<client::Step>();
    is_send::<Exchange>();
    is_send::<Step>();
    is_send::<ServerConfig>();
    is_send::<ClientConfig>();

    let stages = Stages::new(KeyKind::Permanent, 13);
    let secrets = [
        format!("{:?}", *stages.wait_dh_gen.nonces.new_nonce),
        format!("{:?}", stages.wait_dh_gen.key.as_bytes()),
    ];
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        stages.wait_dh_params,
        stages.wait_dh_gen,
        stages.server_wait_dh_params,
        stages.wait_client_dh
    );
    let (_, candidate) = stages.candidate();
    let shown = format!("{shown} {candidate:?} {:?}", candidate.key());
    for secret in secrets {
        assert!(!shown.contains(secret.trim_matches(['[', ']'])));
    }
}
