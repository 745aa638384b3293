//! Fixed places in fixed arrays, checked when they are compiled.

/// The `N` bytes of `bytes` from `AT` on; a place outside does not compile.
pub(crate) fn part<const AT: usize, const N: usize, const M: usize>(bytes: &[u8; M]) -> &[u8; N] {
    const { assert!(AT + N <= M, "the part lies outside the array") };
    match bytes.split_at(AT).1.first_chunk() {
        Some(part) => part,
        None => unreachable!("the length was checked when this was compiled"),
    }
}

/// One array out of several pieces, which must fill it exactly.
pub(crate) fn join<const N: usize>(pieces: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    join_into(&mut out, pieces);
    out
}

/// Puts the pieces where they shall stay, which spares a copy that would have to wait for them.
#[inline]
pub(crate) fn join_into<const N: usize>(out: &mut [u8; N], pieces: &[&[u8]]) {
    debug_assert_eq!(pieces.iter().map(|piece| piece.len()).sum::<usize>(), N);
    let mut rest = out.as_mut_slice();
    for piece in pieces {
        let Some((slot, after)) = rest.split_at_mut_checked(piece.len()) else { break };
        slot.copy_from_slice(piece);
        rest = after;
    }
}
