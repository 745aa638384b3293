//! Whatever happens to links and servers, each request has one outcome.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::world::World;
use super::{SECOND, start};
use crate::RequestId;

#[derive(Clone, Debug)]
enum Op {
    /// Cancel the request made so many before the last.
    Cancel(u64),
    /// Break the oldest link; milliseconds until the client and the server notice.
    Cut(u64, u64),
    /// The server forgets everything.
    Forget,
    /// From now on a query takes so many milliseconds.
    Handle(u64),
    /// Another link besides.
    Open,
    Push,
    Request,
    /// Milliseconds.
    Run(u64),
}

fn op(forgetful: bool) -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => (0_u64..5).prop_map(Op::Cancel),
        3 => (0_u64..30_000, 0_u64..30_000).prop_map(|(client, server)| Op::Cut(client, server)),
        u32::from(forgetful) => Just(Op::Forget),
        1 => prop_oneof![Just(0), Just(60), Just(5_000), Just(100_000)].prop_map(Op::Handle),
        1 => Just(Op::Open),
        3 => Just(Op::Push),
        6 => Just(Op::Request),
        6 => prop_oneof![0_u64..100, 0_u64..100_000].prop_map(Op::Run),
    ]
}

struct Outcome {
    world: World,
    cancelled: Vec<RequestId>,
}

fn carry_out(ops: &[Op], ahead: i64, salt_period: u32) -> Outcome {
    let mut world = World::new(ahead, salt_period);
    let mut cancelled = Vec::new();
    for op in ops {
        match *op {
            Op::Cancel(back) => {
                let made = world.numbers.len() as u64;
                if let Some(number) = made.checked_sub(back).filter(|number| *number > 0) {
                    let request = RequestId(number);
                    world.cancel(request);
                    if !world.outcomes.contains_key(&request) {
                        cancelled.push(request);
                    }
                }
            }
            Op::Cut(client, server) => {
                world.cut(Duration::from_millis(client), Duration::from_millis(server));
            }
            Op::Forget => world.forget(),
            Op::Handle(delay) => world.handler_delay = Duration::from_millis(delay),
            Op::Open => world.open_link(),
            Op::Push => world.push(),
            Op::Request => drop(world.request()),
            Op::Run(time) => world.run(Duration::from_millis(time)),
        }
    }
    // Long enough for every timer, short enough for nothing to be forgotten for its age.
    world.run(500 * SECOND);
    Outcome { world, cancelled }
}

fn check(Outcome { world, cancelled }: &Outcome) -> Result<(), TestCaseError> {
    for (request, number) in &world.numbers {
        let outcomes = world.outcomes.get(request).map_or(&[][..], Vec::as_slice);
        if cancelled.contains(request) {
            prop_assert_eq!(outcomes, &[][..], "{:?} was cancelled", request);
        } else {
            prop_assert_eq!(outcomes, &[Ok(*number)][..], "{:?}", request);
        }
    }
    prop_assert_eq!(world.client.pending_requests(), 0);
    prop_assert_eq!(world.queued(), 0, "something is not acknowledged");
    let mut received = world.received.clone();
    received.sort_unstable();
    received.dedup();
    prop_assert_eq!(received.len(), world.received.len(), "a push was told twice");
    prop_assert!(world.now > start());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        // A shrunk list becomes a named test below.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // req: S5, S39, S45, S94, S96, S97, S118
    #[test]
    fn each_request_has_one_outcome(
        ops in proptest::collection::vec(op(true), 0..60),
        ahead in prop_oneof![Just(0_i64), -4000_i64..4000],
        salt_period in prop_oneof![Just(1800_u32), 2_u32..60],
    ) {
        check(&carry_out(&ops, ahead, salt_period))?;
    }

    // req: S94, S97
    #[test]
    fn a_server_that_remembers_runs_nothing_twice_and_loses_no_push(
        ops in proptest::collection::vec(op(false), 0..60),
        ahead in prop_oneof![Just(0_i64), -4000_i64..4000],
        salt_period in prop_oneof![Just(1800_u32), 2_u32..60],
    ) {
        let outcome = carry_out(&ops, ahead, salt_period);
        check(&outcome)?;
        for (number, runs) in &outcome.world.runs {
            prop_assert_eq!(*runs, 1, "query {} was carried out again", number);
        }
        let received: BTreeSet<_> = outcome.world.received.iter().copied().collect();
        prop_assert_eq!(&received, &outcome.world.pushed);
    }
}

/// What was found by the properties above, shrunk.
fn once(ops: &[Op], salt_period: u32) {
    let outcome = carry_out(ops, 0, salt_period);
    check(&outcome).unwrap_or_else(|error| panic!("{error}\n{}", outcome.world.text));
    let runs = &outcome.world.runs;
    assert!(runs.values().all(|runs| *runs == 1), "{runs:?}\n{}", outcome.world.text);
}

// The repeat went into a container with a stale salt, and was then sent under another id.
#[test]
fn a_repeat_keeps_its_id_when_its_container_is_refused() {
    let cut = [Op::Cut(0, 0), Op::Run(35), Op::Cut(8840, 9881)];
    once(&[&[Op::Open, Op::Request, Op::Run(85)][..], &cut].concat(), 2);
}

// The server was asked over the new link before the repeat left, and had not received it.
#[test]
fn a_repeat_overtaken_by_the_question_about_it_keeps_its_id() {
    once(&[Op::Run(120), Op::Cut(10_001, 0), Op::Request, Op::Run(0), Op::Open], 1800);
}

// Each new link and each end of an old one is an attempt, and most go nowhere.
#[test]
fn a_push_survives_a_row_of_links_that_die_at_once() {
    let flap = [Op::Open, Op::Run(40), Op::Cut(0, 3555)];
    let begin = [Op::Run(120), Op::Cut(0, 3555), Op::Push];
    once(&[&begin[..], &flap, &flap, &flap, &flap].concat(), 1800);
}
