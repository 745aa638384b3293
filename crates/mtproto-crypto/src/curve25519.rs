//! Points of Curve25519, for what has to look like a key exchange and is none.
//!
//! <https://www.rfc-editor.org/rfc/rfc7748>

use crypto_bigint::U256;
use crypto_bigint::modular::ConstMontyForm;

/// The public key that belongs to the secret key `scalar`.
///
/// What is computed from a random `scalar` passes every check that a real key passes. The time
/// taken depends on the scalar, so nothing may ever be agreed on with it: draw it, use its point
/// once, forget it.
pub fn curve25519_public_key(scalar: &[u8; 32]) -> [u8; 32] {
    let mut scalar = *scalar;
    // The clamping of RFC 7748: no small subgroup, and the same length for all.
    let [first, .., last] = &mut scalar;
    *first &= 0xf8;
    *last = *last & 0x7f | 0x40;
    multiply(&U256::from_le_slice(&scalar), &Element::new(&BASE))
}

/// The x coordinate of the point at `x` times `scalar`: the Montgomery ladder.
fn multiply(scalar: &U256, x: &Element) -> [u8; 32] {
    let a24 = Element::new(&A24);
    let (mut x2, mut z2) = (Element::ONE, Element::ZERO);
    let (mut x3, mut z3) = (*x, Element::ONE);
    for bit in (0..SCALAR_BITS).rev() {
        let is_set = scalar.bit_vartime(bit);
        if is_set {
            (x2, z2, x3, z3) = (x3, z3, x2, z2);
        }
        let (sum, difference) = (x2.add(&z2), x2.sub(&z2));
        let (sum_squared, difference_squared) = (sum.square(), difference.square());
        let across = (x3.sub(&z3).mul(&sum), x3.add(&z3).mul(&difference));
        x3 = across.0.add(&across.1).square();
        z3 = x.mul(&across.0.sub(&across.1).square());
        let e = sum_squared.sub(&difference_squared);
        x2 = sum_squared.mul(&difference_squared);
        z2 = e.mul(&sum_squared.add(&a24.mul(&e)));
        if is_set {
            (x2, z2, x3, z3) = (x3, z3, x2, z2);
        }
    }
    // The inverse by Fermat; that of zero is zero, as the standard wants.
    let x = x2.mul(&z2.pow_vartime(&PRIME.wrapping_sub(&U256::from_u8(2))));
    let mut out = [0; 32];
    out.copy_from_slice(x.retrieve().to_le_bytes().as_ref());
    out
}

/// A number modulo [`PRIME`].
type Element = ConstMontyForm<Modulus, { U256::LIMBS }>;

crypto_bigint::const_monty_params!(
    Modulus,
    U256,
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed"
);

const PRIME: U256 =
    U256::from_be_hex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed");
const BASE: U256 = U256::from_u8(9);
/// A quarter of the curve's constant less two.
const A24: U256 = U256::from_u32(121_665);
const SCALAR_BITS: u32 = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::hex;

    #[test]
    fn keys_match_rfc_7748() {
        let mut nine = [0; 32];
        nine[0] = 9;
        assert_eq!(
            curve25519_public_key(&nine)[..],
            hex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
        );
        let bob = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        assert_eq!(
            curve25519_public_key(&bob.try_into().unwrap())[..],
            hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        );
    }
}
