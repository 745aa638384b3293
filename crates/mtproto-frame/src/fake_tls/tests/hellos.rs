//! What a client says, and what it takes for an answer.

use std::collections::BTreeSet;

use super::*;
use crate::SECRET_DOMAIN_LEN_MAX;

const SHAPES: [HelloShape; 2] = [HelloShape::Classic, HelloShape::Modern];

/// The extensions of a hello in order; every byte of it belongs to something.
fn extensions(hello: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let (kind, message, behind) = split_record(hello);
    assert_eq!((kind, &hello[1..3], behind), (0x16, &[3, 1][..], &[][..]));
    assert_eq!(message[..2], [1, 0]);
    assert_eq!(usize::from(u16::from_be_bytes([message[2], message[3]])), message.len() - 4);
    assert_eq!((&message[4..6], message[38]), (&[3, 3][..], 32));
    let suites_len = usize::from(u16::from_be_bytes([message[71], message[72]]));
    let rest = &message[73 + suites_len..];
    assert_eq!(rest[..2], [1, 0], "no compression");
    let (_, mut rest) = rest.split_at(2);
    assert_eq!(usize::from(u16::from_be_bytes([rest[0], rest[1]])), rest.len() - 2);
    rest = &rest[2..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (head, body) = rest.split_at(4);
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        found.push((u16::from_be_bytes([head[0], head[1]]), body[..len].to_vec()));
        rest = &body[len..];
    }
    found
}

fn is_grease(id: u16) -> bool {
    let [high, low] = id.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

// req: S116
#[test]
fn hellos_are_those_of_browsers() {
    for (shape, seed) in SHAPES.into_iter().flat_map(|shape| (0..20).map(move |seed| (shape, seed)))
    {
        let (_, hello) = start(shape, seed);
        let extensions = extensions(&hello);
        let ids: BTreeSet<u16> = extensions.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids.len(), extensions.len(), "no extension comes twice");
        let server_name = [[0, 18, 0, 0, 15].as_slice(), DOMAIN.as_bytes()].concat();
        assert!(extensions.contains(&(0, server_name)));

        let grease: Vec<usize> =
            (0..extensions.len()).filter(|at| is_grease(extensions[*at].0)).collect();
        let key_share = extensions.iter().find(|(id, _)| *id == 0x33).unwrap();
        match shape {
            HelloShape::Classic => {
                assert_eq!((hello.len(), &hello[..5]), (517, &[0x16, 3, 1, 2, 0][..]));
                assert_eq!((grease, extensions.len()), (vec![0, 15], 17));
                assert_eq!((extensions[16].0, key_share.1.len()), (0x15, 43));
            }
            HelloShape::Modern => {
                assert!((1600..1900).contains(&hello.len()), "{}", hello.len());
                assert_eq!((grease, extensions.len()), (vec![0, 17], 18));
                assert_eq!(key_share.1.len(), 2 + 5 + 4 + 1184 + 32 + 4 + 32);
                check_ml_kem_key(&key_share.1[11..11 + 1184]);
            }
        }
    }
}

/// A key is refused by its receiver if it has numbers that are not below the modulus.
fn check_ml_kem_key(key: &[u8]) {
    for triple in key[..1152].chunks_exact(3) {
        let pair = u32::from_le_bytes([triple[0], triple[1], triple[2], 0]);
        assert!(pair & 0xfff < 3329 && pair >> 12 < 3329);
    }
}

#[test]
fn no_two_hellos_are_alike() {
    let orders: BTreeSet<Vec<u16>> = (0..20)
        .map(|seed| extensions(&start(HelloShape::Modern, seed).1))
        .map(|extensions| extensions[1..17].iter().map(|(id, _)| *id).collect())
        .collect();
    assert_eq!(orders.len(), 20);
    for shape in SHAPES {
        let randoms: BTreeSet<_> =
            (0..20).map(|seed| start(shape, seed).1[11..76].to_vec()).collect();
        assert_eq!(randoms.len(), 20);
    }
}

// req: S116, L32
#[test]
fn a_hello_and_its_answer_come_in_any_pieces() {
    for shape in SHAPES {
        let gate = gate();
        let (client, hello) = start(shape, 1);
        for len in 0..hello.len() {
            assert_eq!(gate.check(&hello[..len], NOW), Verdict::NeedMore, "{len} bytes");
        }
        let Accepted { secret, answer } = accept(&gate, &hello);
        assert_eq!(secret, 0);

        for len in 0..answer.len() {
            match client.check(&answer[..len]) {
                Ok(Answer::NeedMore(missing)) => {
                    assert!(missing > 0 && len + missing <= answer.len(), "{missing} at {len}");
                }
                other => panic!("{other:?} at {len}"),
            }
        }
        assert_eq!(client.check(&answer), Ok(Answer::Proven));
    }
}

#[test]
fn domains_of_every_length_are_named() {
    for shape in SHAPES {
        for len in [1, 2, 100, 130, 180, SECRET_DOMAIN_LEN_MAX] {
            let domain = "d".repeat(len);
            let random = &mut SeededRandom::new(1);
            let (_, hello) = ClientHandshake::start(&KEY.into(), &domain, shape, NOW, random);
            assert_eq!(extensions(&hello).iter().filter(|(id, _)| *id == 0).count(), 1);
            if shape == HelloShape::Classic && len < 180 {
                assert_eq!(hello.len(), 517, "a domain of {len} bytes");
            }
            accept(&gate_of(&[secret_of(KEY, &domain)]), &hello);
        }
    }
}

// req: S116
#[test]
fn an_answer_is_three_records() {
    let gate = gate();
    let mut lens = BTreeSet::new();
    for seed in 0..20 {
        let (_, hello) = start(HelloShape::Modern, seed);
        let Accepted { answer, .. } = accept(&gate, &hello);
        let (kind, message, rest) = split_record(&answer);
        assert_eq!((kind, message.len()), (0x16, 122));
        assert_eq!(answer[..11], [0x16, 3, 3, 0, 0x7a, 2, 0, 0, 0x76, 3, 3]);
        assert_eq!((answer[43], &answer[44..76]), (32, &hello[44..76]), "the session id");
        assert_eq!(answer[76..81], [0x13, 1, 0, 0, 0x2e]);
        assert_eq!(answer[81..89], [0, 0x33, 0, 0x24, 0, 0x1d, 0, 0x20]);
        assert_eq!(answer[121..127], [0, 0x2b, 0, 2, 3, 4]);
        assert_eq!(rest[..6], [0x14, 3, 3, 0, 1, 1]);
        let (kind, encrypted, rest) = split_record(&rest[6..]);
        assert_eq!((kind, rest), (0x17, &[][..]));
        lens.insert(encrypted.len());
    }
    assert!(lens.first() >= Some(&2500) && lens.last() < Some(&3622), "{lens:?}");
    assert!((2..=3).contains(&lens.len()), "a site sends nearly the same each time: {lens:?}");
}

#[test]
fn an_answer_with_a_changed_bit_proves_nothing() {
    let (client, hello) = start(HelloShape::Classic, 1);
    let Accepted { answer, .. } = accept(&gate(), &hello);
    for at in 0..answer.len() {
        let mut changed = answer.clone();
        changed[at] ^= 1;
        match client.check(&changed) {
            Err(Fault::AnswerUnproven | Fault::AnswerMalformed { .. }) => {}
            // A longer record; a shorter one has something behind it.
            Ok(Answer::NeedMore(_)) => assert!((3..5).contains(&at) || (136..138).contains(&at)),
            other => panic!("{other:?} with byte {at} changed"),
        }
    }
    let more = [answer, vec![0]].concat();
    assert_eq!(client.check(&more), Err(Fault::AnswerUnproven));
}

#[test]
fn the_answer_to_another_proves_nothing() {
    let gate = gate();
    let (client, _) = start(HelloShape::Classic, 1);
    let (_, hello) = start(HelloShape::Classic, 2);
    assert_eq!(client.check(&accept(&gate, &hello).answer), Err(Fault::AnswerUnproven));

    // The one server has another key, the other is a site.
    let other = gate_of(&[secret_of([1; 16], DOMAIN)]);
    let theirs = prove(start(HelloShape::Classic, 3).1, [1; 16], NOW);
    assert_eq!(client.check(&accept(&other, &theirs).answer), Err(Fault::AnswerUnproven));
    let alert = [0x15, 3, 3, 0, 2, 2, 40];
    assert_eq!(client.check(&alert), Err(Fault::AnswerMalformed { kind: 0x15, len: 2 }));
    let endless = [0x16, 3, 3, 0xff, 0xff];
    assert_eq!(client.check(&endless), Err(Fault::AnswerMalformed { kind: 0x16, len: 0xffff }));
    assert_eq!(
        Fault::AnswerUnproven.to_string(),
        "the server does not know the secret: check the secret, and this computer's clock"
    );
}
