//! Powers of one base in constant time: a table of its powers takes the place of most squarings.
//!
//! An exponent is read in digits of four bits. Row `r` of the table has the powers that a digit at
//! place `r * STRIDE` can stand for, so the digits at the same place within each row are multiplied
//! in one after the other, and squarings only move on from place to place: some 540 multiplications
//! in place of 2,560. Which entry is taken is a secret: every one of a row is read.

use core::array;

use crypto_bigint::{CtAssign, CtEq, U2048, Word};
use zeroize::Zeroizing;

use crate::big::{Form, Params};
#[cfg(target_arch = "x86_64")]
use crate::cpu::ifma;

/// A base and its table, a quarter of a megabyte. To make one costs as much as a power does.
pub(crate) struct Comb {
    params: Params,
    table: Table,
}

/// The table in the form of the path that was chosen when it was made.
enum Table {
    #[cfg(target_arch = "x86_64")]
    Ifma(ifma::Token, Vec<ifma::Row<8>>),
    Portable(Vec<Row>),
}

/// The powers that one digit can stand for, in Montgomery form.
type Row = [U2048; 1 << DIGIT_BITS];

impl Comb {
    pub(crate) fn new(base: &U2048, params: &Params) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = ifma::Token::detect() {
            return Self { params: *params, table: Table::Ifma(token, ifma_rows(base, params)) };
        }
        Self { params: *params, table: Table::Portable(rows(base, params).collect()) }
    }

    /// The powers with these exponents, in order.
    pub(crate) fn powers(&self, exponents: &[&U2048]) -> Zeroizing<Vec<U2048>> {
        let mut powers = Zeroizing::new(Vec::with_capacity(exponents.len()));
        match &self.table {
            #[cfg(target_arch = "x86_64")]
            Table::Ifma(token, rows) => {
                for exponents in exponents.chunks(ifma::LANES) {
                    if exponents.len() >= ifma::eight_min::<8>() {
                        let eight = self.eight(*token, rows, exponents);
                        powers.extend(eight.iter().take(exponents.len()));
                        continue;
                    }
                    let (pairs, last) = exponents.as_chunks();
                    for pair in pairs {
                        powers.extend(*self.few::<2>(*token, rows, *pair));
                    }
                    for exponent in last {
                        powers.extend(*self.few::<1>(*token, rows, [*exponent]));
                    }
                }
            }
            Table::Portable(rows) => {
                powers.extend(exponents.iter().map(|exponent| self.one(rows, exponent)));
            }
        }
        powers
    }

    fn one(&self, rows: &[Row], exponent: &U2048) -> U2048 {
        let mut power = Zeroizing::new(Form::one(&self.params));
        for place in (0..STRIDE).rev() {
            for _ in 0..DIGIT_BITS {
                *power = power.square();
            }
            for (row, start) in rows.iter().zip((0..).step_by(STRIDE)) {
                let factor = Zeroizing::new(select(row, digit(exponent, start + place)));
                *power = power.mul(&Form::from_montgomery(*factor, &self.params));
            }
        }
        power.retrieve()
    }

    #[cfg(target_arch = "x86_64")]
    fn eight(
        &self,
        token: ifma::Token,
        rows: &[ifma::Row<8>],
        exponents: &[&U2048],
    ) -> Zeroizing<[U2048; ifma::LANES]> {
        let words = |lane: usize| exponents.get(lane).map_or(&[][..], |it| it.as_words());
        let (modulus, r2) = self.words();
        let words = ifma::fixed_powers(token, modulus, r2, rows, array::from_fn(words));
        Zeroizing::new(words.map(|words| from_words(&words)))
    }

    #[cfg(target_arch = "x86_64")]
    fn few<const COUNT: usize>(
        &self,
        token: ifma::Token,
        rows: &[ifma::Row<8>],
        exponents: [&U2048; COUNT],
    ) -> Zeroizing<[U2048; COUNT]> {
        let (modulus, r2) = self.words();
        let exponents = exponents.map(|it| &it.as_words()[..]);
        let words = ifma::few_fixed_powers(token, modulus, r2, rows, exponents);
        Zeroizing::new(words.map(|words| from_words(&words)))
    }

    /// The modulus, and what brings a number into Montgomery form.
    #[cfg(target_arch = "x86_64")]
    fn words(&self) -> (&[u64], &[u64]) {
        (self.params.modulus().as_ref().as_words(), self.params.r2().as_words())
    }
}

/// Bits of a digit.
const DIGIT_BITS: usize = 4;

/// Digits between a row and the next. More would make the table smaller and need more squarings.
const STRIDE: usize = 8;

/// Rows from the lowest digit up.
fn rows(base: &U2048, params: &Params) -> impl Iterator<Item = Row> {
    let (one, mut unit) = (Form::one(params), Form::new(base, params));
    (0..U2048::BITS as usize / DIGIT_BITS / STRIDE).map(move |_| {
        let mut power = one;
        let row = array::from_fn(|_| {
            let entry = power.to_montgomery();
            power = power.mul(&unit);
            entry
        });
        for _ in 0..DIGIT_BITS * STRIDE {
            unit = unit.square();
        }
        row
    })
}

/// The same in digits, whose Montgomery form has another factor.
#[cfg(target_arch = "x86_64")]
fn ifma_rows(base: &U2048, params: &Params) -> Vec<ifma::Row<8>> {
    let factor = Form::new(&U2048::from(ifma::factor::<8>()), params);
    let entry = |entry| {
        let entry = Form::from_montgomery(entry, params).mul(&factor).to_montgomery();
        ifma::in_digits(entry.as_words())
    };
    rows(base, params).map(|row| row.map(entry)).collect()
}

#[cfg(target_arch = "x86_64")]
fn from_words(words: &[[u64; 4]; 8]) -> U2048 {
    let mut number = U2048::ZERO;
    number.as_mut_words().copy_from_slice(words.as_flattened());
    number
}

/// The digit at a place, which is no secret.
fn digit(exponent: &U2048, place: usize) -> Word {
    let (at, width) = (place * DIGIT_BITS, Word::BITS as usize);
    let word = exponent.as_words().get(at / width).copied().unwrap_or(0);
    (word >> (at % width)) % (1 << DIGIT_BITS)
}

/// The entry that a digit names; all of them are read.
fn select(row: &Row, digit: Word) -> U2048 {
    let mut chosen = U2048::ZERO;
    for (index, entry) in (0..).zip(row) {
        chosen.ct_assign(entry, digit.ct_eq(&index));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::big::{self, LEN};
    use crate::dh::WELL_KNOWN_PRIME;

    /// Both tables, and the powers that every path has to give.
    fn check(exponents: &[U2048]) {
        let (base, params) =
            (U2048::from(3u8), big::params(&big::read(&WELL_KNOWN_PRIME)).unwrap());
        let exponents: Vec<_> = exponents.iter().collect();
        let portable = Comb { params, table: Table::Portable(rows(&base, &params).collect()) };
        for comb in [Comb::new(&base, &params), portable] {
            let powers = comb.powers(&exponents);
            assert_eq!(powers.len(), exponents.len());
            for (power, exponent) in powers.iter().zip(&exponents) {
                assert_eq!(*power, Form::new(&base, &params).pow(exponent).retrieve());
            }
        }
    }

    #[test]
    fn exponents_at_the_edges() {
        let one = U2048::ONE;
        let mut exponents = vec![U2048::ZERO, one, U2048::MAX, U2048::from(16u8)];
        exponents.extend([31, 32, 2047].map(|bit| one.shl_vartime(bit)));
        exponents.push(big::read(&WELL_KNOWN_PRIME).wrapping_sub(&one));
        check(&exponents);
        check(&[]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// One batch, part of one, or two; some exponents with leading zeros.
        #[test]
        fn any_exponents(
            exponents in prop::collection::vec((any::<[[u8; 32]; 8]>(), 0..LEN), 1..10),
        ) {
            let read = |(bytes, zeros): &([[u8; 32]; 8], usize)| {
                let mut bytes: [u8; LEN] = bytes.as_flattened().try_into().unwrap();
                bytes[..*zeros].fill(0);
                big::read(&bytes)
            };
            check(&exponents.iter().map(read).collect::<Vec<_>>());
        }
    }
}
