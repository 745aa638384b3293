//! What applications do: clients call, cancel and ping, and the server pushes.

use std::time::Duration;

use crate::agenda::Event;
use crate::objects::Query;
use crate::world::World;

impl World<'_> {
    /// The application of a client does something, and will again.
    pub(crate) fn work(&mut self, client: usize) {
        let env = &mut self.env;
        if env.is_quiet {
            return;
        }
        let pause = env.plan.pause;
        let next = env.dice.until_next(pause);
        env.later(next, Event::Work(client));
        let doer = &mut self.clients[client];
        if doer.endpoint.is_closed() {
            return doer.begin_anew(env);
        }
        if !env.plan.exactly_once && env.dice.below(3_000) == 0 {
            doer.log_out(env);
            doer.drain(env);
        }
        match env.dice.below(100) {
            0..=2 => doer.ping(env),
            3..=6 => doer.cancel(env),
            7..=16 => return self.push_to(client),
            17..=19 => {
                for _ in 0..self.env.dice.within(5..=40) {
                    self.call(client);
                }
            }
            _ => self.call(client),
        }
        self.clients[client].drain(&mut self.env);
    }

    fn call(&mut self, client: usize) {
        let dice = &mut self.env.dice;
        let handling = match dice.below(1000) {
            0..=499 => Duration::ZERO,
            500..=989 => dice.ms(1..=300),
            990..=998 => dice.ms(1_000..=60_000),
            _ => dice.ms(590_000..=660_000),
        };
        let len = length(dice.below(1000), dice.below(1 << 16));
        let answer_len = length(dice.below(1000), dice.below(1 << 16));
        let wait = dice.chance(50).then(|| dice.ms(100..=60_000));
        let query = Query { number: self.env.books.next_call(), handling, len, answer_len };
        self.clients[client].call(query, wait, &mut self.env);
    }

    fn push_to(&mut self, client: usize) {
        let env = &mut self.env;
        let mut sessions = env.books.used_sessions();
        sessions.retain(|session| env.books.user(*session) == Some(client));
        if let Some(session) = env.dice.pick(&sessions) {
            let len = length(env.dice.below(1000), env.dice.below(1 << 16));
            self.server.push(session, len, env);
        }
    }
}

/// Most objects are short, a few are long.
fn length(kind: u64, span: u64) -> usize {
    let len = match kind {
        0..=899 => span % 200,
        900..=989 => 200 + span % 4_000,
        _ => 4_000 + span,
    };
    usize::try_from(len).unwrap_or(0)
}
