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
    Some(match work {
        Work::Ctr => Case::limit("limit", move || limits.ctr(len)),
        Work::Ige => Case::limit("limit", move || limits.ige(len)),
        Work::IgeOf16 => Case::limit("limit", move || limits.ige_of_16(len)).of(16),
        Work::Open => Case::limit("limit", move || limits.open(len)),
        Work::Seal => Case::limit("limit", move || limits.seal(len)),
        Work::SealOf16 => Case::limit("limit, 16 at once", move || limits.seal_of_16(len)).of(16),
    })
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn limit(_: Work, _: usize) -> Option<Case<'static>> {
    None
}
