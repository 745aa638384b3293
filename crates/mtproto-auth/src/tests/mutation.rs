//! Every byte of every message of an exchange, changed; every message, cut short. No change may end
//! in a key, and none may pass unnoticed by the side that can notice it first.

use bytes::Bytes;
use mtproto_crypto::SeededRandom;

use super::support::{NOW, Stages, server_config};
use crate::{Fault, KeyKind, Query};

/// The message with one bit of byte `at` flipped.
fn flipped(body: &Bytes, at: usize) -> Bytes {
    let mut bytes = body.to_vec();
    bytes[at] ^= 1 << (at % 8);
    bytes.into()
}

/// Lets `receive` take the message with every flip and every cut. It may accept only flips in
/// `filler`: bytes behind a TL string, which mean nothing.
fn check(body: &Bytes, filler: &[usize], receive: impl Fn(&Bytes) -> Result<(), Fault>) {
    assert_eq!(receive(body), Ok(()));
    for at in 0..body.len() {
        let result = receive(&flipped(body, at));
        let is_filler = filler.contains(&at);
        assert_eq!(result.is_ok(), is_filler, "byte {at}: {result:?}");
        check_uniform(&result);
    }
    for len in (0..body.len()).step_by(4) {
        let result = receive(&body.slice(..len));
        assert!(result.is_err(), "cut to {len}");
        check_uniform(&result);
    }
}

fn check_uniform(result: &Result<(), Fault>) {
    if let Err(fault) = result {
        assert_eq!(fault.transport_error(), -404);
    }
}

/// A query as it comes from the network.
fn read(body: &Bytes) -> Result<Query, Fault> {
    Ok(Query::decode(body)?.expect("no flip makes an acknowledgement"))
}

fn stages() -> Stages {
    Stages::new(KeyKind::Permanent, 31)
}

// req: S111
#[test]
fn req_pq() {
    // The server cannot know the nonce; the client sees that the answer is to another one.
    let stages = stages();
    check(&stages.req_pq, &[], |body| {
        let (query, random) = (read(body)?, &mut SeededRandom::new(1));
        let (_, answer) = crate::server::start(&query, &server_config(), random)?;
        stages.wait_res_pq.clone().handle(&answer, random).map(|_| ())
    });
}

// req: S111
#[test]
fn res_pq() {
    // The client cannot know the server's nonce nor pq; the server sees its query.
    let stages = stages();
    check(&stages.res_pq, &[45, 46, 47], |body| {
        let random = &mut SeededRandom::new(2);
        let (_, query) = stages.wait_res_pq.clone().handle(body, random)?;
        let state = stages.server_wait_dh_params.clone();
        state.handle(&read(&query)?, &server_config(), NOW, random).map(|_| ())
    });
}

// req: S111
#[test]
fn req_dh_params() {
    let stages = stages();
    check(&stages.req_dh_params, &[41, 42, 43, 49, 50, 51], |body| {
        let (query, random) = (read(body)?, &mut SeededRandom::new(3));
        let state = stages.server_wait_dh_params.clone();
        state.handle(&query, &server_config(), NOW, random).map(|_| ())
    });
}

// req: S111
#[test]
fn server_dh_params() {
    let stages = stages();
    check(&stages.server_dh_params, &[], |body| {
        stages.wait_dh_params.clone().handle(body, &mut SeededRandom::new(4)).map(|_| ())
    });
}

// req: S111
#[test]
fn set_client_dh_params() {
    let stages = stages();
    check(&stages.set_client_dh_params, &[], |body| {
        let state = &stages.wait_client_dh;
        state.secret.shared(&state.read_g_b(&read(body)?)?)?;
        Ok(())
    });
}

// req: S111
#[test]
fn every_verdict() {
    for verdict in 0..3 {
        let (client, candidate) = stages().candidate();
        let answer = match verdict {
            0 => candidate.ok().1,
            1 => candidate.retry().1,
            _ => candidate.fail().1,
        };
        let receive = |body: &Bytes| match client.clone().handle(body, &mut SeededRandom::new(6)) {
            // What a refusal says when it is intact.
            Err(Fault::Refused) => Ok(()),
            result => result.map(|_| ()),
        };
        check(&answer, &[], receive);
    }
}
