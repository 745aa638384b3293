//! A client that cancels calls over links that break: what the server then says agrees with what it
//! does, and the caller hears of none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::SECOND;
use super::world::World;
use crate::RequestId;

#[derive(Clone, Debug)]
enum Op {
    /// Cancel the request made so many before the last.
    Cancel(u64),
    /// Break the oldest link; milliseconds until the client and the server notice.
    Cut(u64, u64),
    /// From now on a query takes so many milliseconds.
    Handle(u64),
    Request,
    /// Milliseconds.
    Run(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (0_u64..4).prop_map(Op::Cancel),
        2 => (0_u64..5000, 0_u64..5000).prop_map(|(client, server)| Op::Cut(client, server)),
        2 => prop_oneof![Just(0), Just(60), Just(5000)].prop_map(Op::Handle),
        5 => Just(Op::Request),
        6 => prop_oneof![0_u64..100, 0_u64..8000].prop_map(Op::Run),
    ]
}

/// Carries the operations out; returns the requests cancelled before their answer was there.
fn carry_out(world: &mut World, ops: &[Op]) -> BTreeSet<RequestId> {
    let mut cancelled = BTreeSet::new();
    world.run(SECOND);
    for op in ops {
        match *op {
            Op::Cancel(back) => {
                let request = (world.numbers.len() as u64).checked_sub(back).map(RequestId);
                if let Some(request) = request.filter(|it| world.numbers.contains_key(it)) {
                    world.cancel(request);
                    cancelled.insert(request);
                }
            }
            Op::Cut(client, server) => {
                world.cut(Duration::from_millis(client), Duration::from_millis(server));
            }
            Op::Handle(delay) => world.handler_delay = Duration::from_millis(delay),
            Op::Request => drop(world.request()),
            Op::Run(time) => world.run(Duration::from_millis(time)),
        }
        cancelled.retain(|request| !world.outcomes.contains_key(request));
    }
    world.run(100 * SECOND);
    cancelled
}

/// What a transcript tells of cancellations.
#[derive(Default)]
struct Told<'a> {
    /// Each `rpc_drop_answer`, and the query that it names.
    drops: BTreeMap<&'a str, &'a str>,
    /// The results of each query: in which line, and what they say.
    results: BTreeMap<&'a str, Vec<(usize, Vec<&'a str>)>>,
}

impl<'a> Told<'a> {
    fn read(text: &'a str) -> Self {
        let mut told = Self::default();
        for (number, line) in text.lines().enumerate() {
            match line.split_whitespace().skip(3).collect::<Vec<_>>()[..] {
                ["rpc_drop_answer", drop, _, query] => {
                    told.drops.insert(drop, query);
                }
                ["rpc_result", _, _, query, ref says @ ..] => {
                    let query = query.strip_prefix("to=").expect("it names its query");
                    told.results.entry(query).or_default().push((number, says.to_vec()));
                }
                _ => {}
            }
        }
        told
    }

    fn results(&self, query: &str) -> &[(usize, Vec<&'a str>)] {
        self.results.get(query).map_or(&[], Vec::as_slice)
    }

    /// Whatever the server says of a query is so.
    fn check(&self) -> Result<(), TestCaseError> {
        for (drop, query) in &self.drops {
            let Some((line, says)) = self.results(drop).first() else { continue };
            let repeated = self.results(drop).iter().all(|(_, again)| again == says);
            prop_assert!(repeated, "{drop} is answered in two ways");
            let mut results = self.results(query).iter();
            match says[..] {
                ["rpc_answer_dropped_running"] => {
                    prop_assert!(results.all(|(_, result)| result == says), "of {query}");
                }
                ["rpc_answer_dropped", ..] | ["rpc_answer_unknown"] => {
                    prop_assert!(results.all(|(sent, _)| sent < line), "of {query}");
                }
                _ => prop_assert!(false, "{says:?} is no answer to {drop}"),
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    // req: S3, S6, S8, S9, S10, S11
    #[test]
    fn a_cancelled_call_is_dropped_and_its_late_answer_acknowledged(
        ops in proptest::collection::vec(op(), 0..40),
    ) {
        let mut world = World::new(0, 1800);
        let cancelled = carry_out(&mut world, &ops);
        for (request, number) in &world.numbers {
            match world.outcomes.get(request) {
                None => prop_assert!(cancelled.contains(request), "{:?} has no outcome", request),
                Some(outcomes) => prop_assert_eq!(outcomes.as_slice(), &[Ok(*number)][..]),
            }
        }
        prop_assert!(world.runs.values().all(|runs| *runs == 1), "carried out again");
        prop_assert_eq!((world.queued(), world.client.pending_requests()), (0, 0));
        let told = Told::read(&world.text);
        told.check()?;
        let named: BTreeSet<_> = told.drops.values().collect();
        let numbers = cancelled.iter().map(|request| world.numbers[request]);
        let arrived = numbers.filter(|number| world.runs.contains_key(number)).count();
        prop_assert!(named.len() >= arrived, "{} of {} are dropped", named.len(), arrived);
    }
}
