//! A few seeds, and those that once found something.

use std::time::Duration;

use mtproto_endpoint::client::{Closed, Event, RequestError, RequestId, State};
use mtproto_endpoint::server::SessionRef;
use mtproto_tl::{AuthKeyId, MsgId, SessionId};

use crate::dice::Dice;
use crate::faults::Plan;
use crate::invariants::{Books, Process};
use crate::objects::Query;
use crate::{Report, Scenario, run};

fn run_seed(seed: u64, minutes: u64) -> Report {
    run(Scenario { seed, busy: Duration::from_secs(60 * minutes) }, None)
}

fn check(seed: u64, minutes: u64) {
    let report = run_seed(seed, minutes);
    let again =
        format!("cargo run --release -p mtproto-cli -- sim --seed {seed} --minutes {minutes}");
    assert_eq!(report.violation, None, "see it again: {again}");
}

#[test]
fn invariants_hold() {
    for seed in 0..20 {
        check(seed, 3);
    }
}

#[test]
fn a_seed_goes_the_same_way_again() {
    let digest = |seed| run_seed(seed, 1).digest;
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}

// A new session was told over one link while the call was on its way over another, and the call was
// sent again under another id.
// req: S39
#[test]
fn a_call_overtaken_by_a_new_session_is_carried_out_once() {
    check(1, 1);
}

// Somebody delivered a container twice, and the client sent what was in it under another id.
#[test]
fn a_container_delivered_twice_is_carried_out_once() {
    check(57, 1);
}

// A packet was refused for a salt whose time was yet to come, sent again under another id, and
// delivered again when the time had come.
#[test]
fn a_packet_refused_too_early_is_carried_out_once() {
    check(260, 1);
}

// The clock of a client was ahead: what it sent was refused and sent again in another session, and
// delivered again when its time had come.
#[test]
fn a_packet_that_came_before_its_time_is_carried_out_once() {
    check(308, 1);
}

// In seed 334 a client logged out while it was cut off, and nobody began anew in its place.
#[test]
fn a_client_that_has_logged_out_need_not_be_told_of_a_push() {
    let mut books = Books::new(&Plan::new(&mut Dice::new(334)));
    let process = Process { client: 0, life: 0 };
    let session = SessionRef { key: AuthKeyId(1), session: SessionId(2) };
    let query = Query { number: 0, handling: Duration::ZERO, len: 28, answer_len: 12 };
    let request = RequestId(1);
    books.session_opened(session);
    books.called(process, request, None);
    books.run(session, MsgId(4), query);
    books.pushed(session);
    let outcome = Err(RequestError::Closed(Closed::ByCaller));
    books.learn(process, &Event::Answer { request, outcome });
    let end = Closed::LoggedOut { destroyed: false };
    books.learn(process, &Event::State(State::Closed(end)));
    books.close();
    assert_eq!(books.report.violation, None);
    assert_eq!(books.report.pushes_lost, 1);
}
