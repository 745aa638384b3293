//! What was seen in one run.

use std::fmt;
use std::time::Duration;

use crate::Violation;

/// What was seen in one run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How much time passed in the world, the quiet time included.
    pub simulated: Duration,
    /// What the seed chose.
    pub plan: String,
    /// Calls that clients made.
    pub calls: u64,
    /// Of these, given up by their caller.
    pub cancelled: u64,
    /// Of these, lost with a client that was killed.
    pub abandoned: u64,
    /// Handlers begun.
    pub runs: u64,
    /// Handlers begun for a call that had one before, because a session was lost.
    pub runs_again: u64,
    /// Objects pushed.
    pub pushes: u64,
    /// Objects pushed that did not arrive, because a session was lost.
    pub pushes_lost: u64,
    /// Pings that came back.
    pub pongs: u64,
    /// Packets that machines sent.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Links dialed with success.
    pub links: u64,
    /// Keys exchanged.
    pub keys_made: u64,
    /// Sessions that were lost while a client counted on them.
    pub losses: u64,
    /// How many things went wrong on purpose.
    pub faults: u64,
    /// The first invariant that did not hold.
    pub violation: Option<Violation>,
    /// A number that two runs have in common only if they went the same way.
    pub digest: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.simulated.as_secs_f64() / 60.0;
        writeln!(f, "seed {}: {}", self.seed, self.plan)?;
        writeln!(f, "{minutes:.1} minutes, {} things went wrong on purpose", self.faults)?;
        let Self { calls, cancelled, abandoned, runs, runs_again, .. } = self;
        writeln!(f, "{calls} calls ({cancelled} cancelled, {abandoned} abandoned)")?;
        writeln!(f, "{runs} handlers begun, {runs_again} of them again after a session was lost")?;
        let Self { pushes, pushes_lost, pongs, packets, bytes, .. } = self;
        writeln!(f, "{pushes} pushes ({pushes_lost} lost with their session), {pongs} pongs")?;
        let Self { links, keys_made, losses, .. } = self;
        writeln!(f, "{packets} packets of {bytes} bytes over {links} links")?;
        writeln!(f, "{keys_made} keys exchanged, {losses} sessions lost")?;
        match &self.violation {
            None => write!(f, "every invariant held"),
            Some(violation) => write!(f, "VIOLATED: {violation}"),
        }
    }
}
