//! Numbers of 2048 bits, between their bytes on the wire and the arithmetic.

use crypto_bigint::{Odd, U1024, U2048, modular::FixedMontyForm, modular::FixedMontyParams};

/// Bytes of a number of 2048 bits.
pub(crate) const LEN: usize = 256;

/// The Montgomery forms in use, whatever the width of a limb.
pub(crate) type Params = FixedMontyParams<{ U2048::LIMBS }>;
pub(crate) type Form = FixedMontyForm<{ U2048::LIMBS }>;
pub(crate) type HalfParams = FixedMontyParams<{ U1024::LIMBS }>;
pub(crate) type HalfForm = FixedMontyForm<{ U1024::LIMBS }>;

/// Reads a number of full length.
pub(crate) fn read(bytes: &[u8; LEN]) -> U2048 {
    U2048::from_be_slice(bytes)
}

/// Writes a number with its leading zeros.
pub(crate) fn write(number: &U2048) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes.copy_from_slice(number.to_be_bytes().as_ref());
    bytes
}

/// Puts back the leading zeros that a peer may have left out; more than `N` bytes are refused.
pub(crate) fn pad_left<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    let at = N.checked_sub(bytes.len())?;
    out.split_at_mut(at).1.copy_from_slice(bytes);
    Some(out)
}

/// What is needed to calculate modulo `modulus`; `None` if it is even.
pub(crate) fn params(modulus: &U2048) -> Option<Params> {
    Option::from(Odd::new(*modulus)).map(Params::new)
}
