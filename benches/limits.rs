//! What one core can do at best: the instructions that a work cannot do without, in the order in
//! which they have to wait for each other, and nothing around them.

#[cfg(target_arch = "x86_64")]
mod x86_64;

use mtproto_benches::Case;

/// A work whose limit is known.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    Ctr,
    Ige,
    IgeOf16,
    Open,
    Seal,
    SealOf16,
}

/// The limit of a work on `len` bytes, or on sixteen times as many. None is known for a processor
/// without the instructions that we use at best.
#[cfg(target_arch = "x86_64")]
pub(crate) fn limit(work: Work, len: usize) -> Option<Case<'static>> {
    let limits = x86_64::Limits::detect()?;
    let mut seed = 1;
    let run = move || {
        seed = match work {
            Work::Ctr => limits.ctr(seed, len),
            Work::Ige => limits.ige(seed, len),
            Work::IgeOf16 => limits.ige_of_16(seed, len),
            Work::Open => limits.open(seed, len),
            Work::Seal => limits.seal(seed, len),
            Work::SealOf16 => limits.seal_of_16(seed, len),
        };
        seed
    };
    let operations = if matches!(work, Work::IgeOf16 | Work::SealOf16) { 16 } else { 1 };
    Some(Case::limit("limit", run).of(operations))
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn limit(_: Work, _: usize) -> Option<Case<'static>> {
    None
}
