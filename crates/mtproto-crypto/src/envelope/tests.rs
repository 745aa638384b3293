//! Sealed and opened, by the published bytes and by whoever would like them otherwise.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::hash::sha256;
use crate::random::SeededRandom;
use crate::vectors::{self, Recorded, array, bytes, number};

const HEADER: Header =
    Header { salt: 0x1122_3344_5566_7788, session_id: 1, msg_id: 0x6543_2100, seqno: 7 };

fn direction(x: &Value) -> Direction {
    if x == 8 { Direction::ServerToClient } else { Direction::ClientToServer }
}

fn seal_one(key: &AuthKey, direction: Direction, packet: &mut [u8]) -> u32 {
    let mut jobs = [SealJob::new(key, direction, packet)];
    seal(&mut jobs);
    jobs[0].ack_token
}

fn open_one(key: &AuthKey, direction: Direction, packet: &mut [u8]) -> Result<Opened, OpenError> {
    let mut jobs = [OpenJob::new(key, direction, Filler::Never, packet)];
    open(&mut jobs);
    jobs[0].opened.clone()
}

/// A packet from client to server with a body of 24 bytes.
fn sealed(key: &AuthKey) -> Vec<u8> {
    let mut packet = Vec::new();
    lay_out(&mut packet, &HEADER, &[0x77; 24], Padding::Least, &mut SeededRandom::new(1));
    seal_one(key, Direction::ClientToServer, &mut packet);
    packet
}

/// A packet whose plaintext is exactly `text`, sealed by somebody who has the key.
fn forged(key: &AuthKey, text: &[u8]) -> Vec<u8> {
    let mut packet = [&[0; PREFIX_LEN], text].concat();
    seal_one(key, Direction::ClientToServer, &mut packet);
    packet
}

#[test]
fn a_body_in_its_packet_is_laid_out_as_one_that_is_copied_there() {
    for (padding, body_len) in [(Padding::Least, 4), (Padding::Random, 88), (Padding::Random, 0)] {
        let (mut copied, mut around) = (Vec::new(), vec![9; ROOM_LEN + body_len]);
        lay_out(&mut copied, &HEADER, &vec![9; body_len], padding, &mut SeededRandom::new(3));
        lay_around(&mut around, &HEADER, padding, &mut SeededRandom::new(3));
        assert_eq!(around, copied);
        assert!(around.len() <= ROOM_LEN + body_len + PADDING_CHOSEN_MAX);
    }
}

// req: S112
#[test]
fn published_messages() {
    let vectors = &vectors::all()["messages_v2"];
    let key = AuthKey::new(vectors::counting());
    for vector in vectors["messages"].as_array().unwrap() {
        let direction = direction(&vector["x"]);
        let header = Header {
            salt: number(&vector["salt"]),
            session_id: number(&vector["session_id"]),
            msg_id: number(&vector["msg_id"]),
            seqno: number(&vector["seq_no"]) as u32,
        };
        let body = bytes(&vector["body"]);
        let mut packet = Vec::new();
        if vector["padding"].is_null() {
            lay_out(&mut packet, &header, &body, Padding::Least, &mut Recorded::new(&[&[0; 20]]));
            let padding_len = number(&vector["padding_length"]) as usize;
            packet.resize(PREFIX_LEN + HEADER_LEN + body.len() + padding_len, 0);
        } else {
            let mut random = Recorded::new(&[&bytes(&vector["padding"])]);
            lay_out(&mut packet, &header, &body, Padding::Least, &mut random);
            assert!(random.is_used_up());
            assert_eq!(packet[PREFIX_LEN..], bytes(&vector["plaintext"]));
        }

        let token = seal_one(&key, direction, &mut packet);
        assert_eq!(packet[8..24], bytes(&vector["msg_key"]));
        match &vector["payload"] {
            Value::Null => assert_eq!(sha256(&[&packet]), array(&vector["payload_sha256"])),
            payload => assert_eq!(packet, bytes(payload)),
        }
        assert_eq!(key_id(&packet), Some(key.id()));
        if !vector["quick_ack_token_u32"].is_null() {
            assert_eq!(u64::from(token), number(&vector["quick_ack_token_u32"]));
        }

        let opened = open_one(&key, direction, &mut packet).unwrap();
        assert_eq!(opened.header, header);
        assert_eq!(packet[opened.body], body);
        assert_eq!(opened.ack_token, token);
    }
}

#[test]
fn a_raw_text_of_grammers_is_sealed_alike() {
    let vector = &vectors::all()["encrypt_v2_grammers"];
    let text = vector["plaintext_ascii"].as_str().unwrap().as_bytes();
    let key = AuthKey::new(vectors::counting());
    let packet = forged(&key, &[text, &bytes(&vector["padding"])].concat());
    assert_eq!(packet, bytes(&vector["payload"]));
}

// req: S112
#[test]
fn a_message_of_a_real_server_opens() {
    let vector = &vectors::all()["decrypt_v2_grammers"];
    let key = AuthKey::new(array(&vector["auth_key"]));
    let mut packet = bytes(&vector["payload"]);
    let opened = open_one(&key, direction(&vector["x"]), &mut packet).unwrap();
    let text = bytes(&vector["plaintext"]);
    let padding_len = number(&vector["padding_length"]) as usize;
    assert!(packet[PREFIX_LEN..].starts_with(&text));
    assert_eq!(opened.header.salt.to_le_bytes(), text[..8]);
    assert_eq!(packet.len() - opened.body.end, padding_len);
}

#[test]
fn padding_stays_within_what_was_asked_for() {
    let mut random = SeededRandom::new(2);
    for body_len in (0..200).step_by(4) {
        let mut seen = std::collections::BTreeSet::new();
        for padding in [Padding::Least, Padding::Random].repeat(40) {
            let mut packet = vec![0xee; 5];
            lay_out(&mut packet, &HEADER, &vec![1; body_len], padding, &mut random);
            let padding_len = packet.len() - 5 - PREFIX_LEN - HEADER_LEN - body_len;
            assert_eq!((packet.len() - 5 - PREFIX_LEN) % BLOCK_LEN, 0);
            let most = if padding == Padding::Least { 27 } else { 27 + 15 * BLOCK_LEN };
            assert!((PADDING_MIN..=most).contains(&padding_len));
            seen.insert(padding_len);
        }
        assert!(seen.len() > 8, "the length of random padding varies");
    }
}

// req: S112
#[test]
fn every_changed_byte_is_refused_alike_and_nothing_is_left() {
    let key = AuthKey::new(vectors::counting());
    let packet = sealed(&key);
    for at in 0..packet.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = packet.clone();
            changed[at] ^= change;
            let opened = open_one(&key, Direction::ClientToServer, &mut changed);
            assert_eq!(opened, Err(OpenError), "byte {at}");
            assert!(changed.iter().all(|byte| *byte == 0), "the text must not survive");
        }
    }
}

// req: S112
#[test]
fn every_other_length_is_refused_alike() {
    let key = AuthKey::new(vectors::counting());
    let packet = sealed(&key);
    for len in 0..packet.len() {
        let mut cut = packet[..len].to_vec();
        assert_eq!(open_one(&key, Direction::ClientToServer, &mut cut), Err(OpenError), "{len}");
    }
    for more in 1..40 {
        let mut longer = [packet.as_slice(), &vec![0; more]].concat();
        assert_eq!(open_one(&key, Direction::ClientToServer, &mut longer), Err(OpenError));
    }
}

#[test]
fn what_was_not_laid_out_is_wiped_and_not_sent_in_the_clear() {
    let key = AuthKey::new(vectors::counting());
    for len in [0, 1, 24, 56, 71, 73, 80, 87, 89] {
        let mut packet = vec![0x77; len];
        seal_one(&key, Direction::ClientToServer, &mut packet);
        assert_eq!(packet, vec![0; len]);
    }
}

#[test]
fn filler_is_cut_only_where_the_framing_has_it() {
    let key = AuthKey::new(vectors::counting());
    for more in 0..40 {
        let mut longer = [sealed(&key), vec![0xfe; more]].concat();
        let job = OpenJob::new(&key, Direction::ClientToServer, Filler::Cut, &mut longer);
        let mut jobs = [job];
        open(&mut jobs);
        let body = jobs[0].opened.clone().map(|opened| opened.body);
        assert_eq!(body, if more < 16 { Ok(56..80) } else { Err(OpenError) }, "{more}");
    }
    for len in 0..PACKET_LEN_MIN {
        let mut short = vec![0; len];
        let mut jobs = [OpenJob::new(&key, Direction::ClientToServer, Filler::Cut, &mut short)];
        open(&mut jobs);
        assert_eq!(jobs[0].opened, Err(OpenError));
    }
}

#[test]
fn another_key_or_direction_is_refused() {
    let (key, other) = (AuthKey::new(vectors::counting()), AuthKey::new([9; 256]));
    let packet = sealed(&key);
    for (key, direction) in [(&key, Direction::ServerToClient), (&other, Direction::ClientToServer)]
    {
        assert_eq!(open_one(key, direction, &mut packet.clone()), Err(OpenError));
        // The right id in front does not help.
        let mut renamed = packet.clone();
        renamed[..8].copy_from_slice(&key.id().to_le_bytes());
        assert_eq!(open_one(key, direction, &mut renamed), Err(OpenError));
    }
}

/// Even the owner of the key has to keep the lengths: 12..1024 bytes of padding, whole words.
// req: L26, S112
#[test]
fn only_right_lengths_are_accepted_from_an_owner_of_the_key() {
    let key = AuthKey::new(vectors::counting());
    let mut text = vec![0x55; HEADER_LEN + 1136];
    let rest = text.len() - HEADER_LEN;
    let odd = [u32::MAX, 1 << 31, (1 << 31) + 64, 0xffff_fff0, u32::MAX / 2 - 3, 1 << 16];
    let mut accepted = 0;
    for len in (0..rest as u32 + 40).chain(odd) {
        text[28..32].copy_from_slice(&len.to_le_bytes());
        let opened = open_one(&key, Direction::ClientToServer, &mut forged(&key, &text));
        let padding_len = rest as i64 - i64::from(len);
        let right = len % 4 == 0 && (12..=1024).contains(&padding_len);
        assert_eq!(opened.is_ok(), right, "length {len}, padding {padding_len}");
        accepted += u32::from(right);
    }
    assert_eq!(accepted, (1136 - 12) / 4 - (1136 - 1024) / 4 + 1);
}

#[test]
fn one_bad_packet_of_a_batch_fails_alone() {
    let key = AuthKey::new(vectors::counting());
    let mut packets: Vec<_> = (0..40).map(|_| sealed(&key)).collect();
    for n in [0, 3, 17, 39] {
        packets[n][50] ^= 1;
    }
    packets[20].truncate(30);
    let mut jobs: Vec<_> = packets
        .iter_mut()
        .map(|packet| OpenJob::new(&key, Direction::ClientToServer, Filler::Never, packet))
        .collect();
    open(&mut jobs);
    for (n, job) in jobs.iter().enumerate() {
        assert_eq!(job.opened.is_err(), [0, 3, 17, 20, 39].contains(&n), "packet {n}");
    }
}

#[test]
fn errors_and_jobs_say_nothing_secret() {
    let key = AuthKey::new([0x5a; 256]);
    assert_eq!(OpenError.to_string(), "the packet does not open under its key");
    let mut packet = sealed(&key);
    let job = SealJob::new(&key, Direction::ClientToServer, &mut packet);
    assert!(!format!("{job:?}").contains("90, 90"), "no byte of the key");
    assert!(!format!("{job:?}").contains("119, 119"), "no byte of the body");
}

proptest! {
    // req: S112
    #[test]
    fn what_is_sealed_opens(
        seed: u64,
        bodies in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..300), 1..20),
        from_server: bool,
        random_padding: bool,
    ) {
        let mut random = SeededRandom::new(seed);
        let keys = [0, 1, 2].map(|_| {
            let mut bytes = [0; 256];
            random.fill(&mut bytes);
            AuthKey::new(bytes)
        });
        let direction =
            if from_server { Direction::ServerToClient } else { Direction::ClientToServer };
        let padding = if random_padding { Padding::Random } else { Padding::Least };
        let bodies: Vec<Vec<u8>> =
            bodies.iter().map(|b| b.iter().flat_map(|word| word.to_le_bytes()).collect()).collect();
        let mut packets: Vec<Vec<u8>> = bodies.iter().map(|body| {
            let mut packet = Vec::new();
            lay_out(&mut packet, &HEADER, body, padding, &mut random);
            packet
        }).collect();
        let mut jobs: Vec<_> = packets.iter_mut().zip(keys.iter().cycle())
            .map(|(packet, key)| SealJob::new(key, direction, packet)).collect();
        seal(&mut jobs);
        let tokens: Vec<_> = jobs.iter().map(|job| job.ack_token).collect();
        let mut jobs: Vec<_> = packets.iter_mut().zip(keys.iter().cycle())
            .map(|(packet, key)| OpenJob::new(key, direction, Filler::Never, packet)).collect();
        open(&mut jobs);
        let opened: Vec<_> = jobs.iter().map(|job| job.opened.clone().unwrap()).collect();
        for (n, opened) in opened.into_iter().enumerate() {
            prop_assert_eq!(opened.header, HEADER);
            prop_assert_eq!(opened.ack_token, tokens[n]);
            prop_assert_eq!(&packets[n][opened.body], &bodies[n][..]);
        }
    }

    #[test]
    fn garbage_is_refused(mut packet in prop::collection::vec(any::<u8>(), 0..400)) {
        let key = AuthKey::new(vectors::counting());
        if let Some(id) = packet.first_chunk_mut() {
            *id = key.id().to_le_bytes();
        }
        for filler in [Filler::Never, Filler::Cut] {
            let job = OpenJob::new(&key, Direction::ServerToClient, filler, &mut packet);
            let mut jobs = [job];
            open(&mut jobs);
            prop_assert_eq!(&jobs[0].opened, &Err(OpenError));
        }
    }
}

mod of_v1 {
    use super::*;
    use crate::ige::IgeKey;
    use crate::kdf::{message_aes_v1, msg_key_v1};

    // req: S112
    #[test]
    fn the_published_message() {
        let vector = &vectors::all()["message_v1"];
        let key = AuthKey::new(vectors::counting());
        let text = bytes(&vector["plaintext_without_padding"]);
        let msg_key = msg_key_v1(&text);
        assert_eq!(msg_key, array(&vector["msg_key"]));
        let aes: IgeKey = message_aes_v1(&key, direction(&vector["x"]), &msg_key);
        assert_eq!((*aes.key, *aes.iv), (array(&vector["aes_key"]), array(&vector["aes_iv"])));
        let mut text = [text, bytes(&vector["padding"])].concat();
        aes.encrypt(&mut text);
        assert_eq!(text, bytes(&vector["payload"])[PREFIX_LEN..]);
    }

    fn vector() -> (AuthKey, u64, [u8; v1::INNER_LEN], Vec<u8>) {
        let vector = &vectors::all()["bind_temp_auth_key"];
        let key = AuthKey::new(vectors::counting_down());
        let msg_id = number(&vector["msg_id"]);
        let inner = array(&vector["bind_auth_key_inner"]);
        (key, msg_id, inner, bytes(&vector["encrypted_message"]))
    }

    // req: S112, S113
    #[test]
    fn the_published_binding() {
        let (key, msg_id, inner, sealed) = vector();
        let drawn = &vectors::all()["bind_temp_auth_key"];
        let (random, padding) = (bytes(&drawn["random_int128"]), bytes(&drawn["padding"]));
        let mut random = Recorded::new(&[&random, &padding]);
        assert_eq!(v1::seal(&key, msg_id, &inner, &mut random)[..], sealed);
        assert!(random.is_used_up());
        assert_eq!(v1::open(&key, &sealed), Ok(v1::Bound { msg_id, seqno: 0, inner }));
    }

    // req: S112
    #[test]
    fn everything_but_the_unprotected_padding_is_checked() {
        let (key, msg_id, inner, sealed) = vector();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 0x10;
            let opened = v1::open(&key, &changed);
            // 1.0 does not hash the last 8 bytes, but IGE spreads a change over its whole block.
            assert_eq!(opened, Err(OpenError), "byte {at}");
        }
        for len in 0..sealed.len() {
            assert_eq!(v1::open(&key, &sealed[..len]), Err(OpenError));
        }
        let longer = [sealed.as_slice(), &[0; 16]].concat();
        assert_eq!(v1::open(&key, &longer), Err(OpenError));
        let other = AuthKey::new([1; 256]);
        assert_eq!(v1::open(&other, &sealed), Err(OpenError));
        let (one, two) = (
            v1::seal(&key, msg_id, &inner, &mut SeededRandom::new(1)),
            v1::seal(&key, msg_id, &inner, &mut SeededRandom::new(2)),
        );
        assert_ne!(one, two, "sealed again, it looks different");
    }

    #[test]
    fn the_inner_length_is_checked_even_from_an_owner_of_the_key() {
        let (key, ..) = vector();
        for len in [0, 36, 41, 44, 48, u32::MAX] {
            let mut text = [3; 80];
            text[28..32].copy_from_slice(&len.to_le_bytes());
            let msg_key = msg_key_v1(&text[..72]);
            message_aes_v1(&key, Direction::ClientToServer, &msg_key).encrypt(&mut text);
            let sealed = [&key.id().to_le_bytes()[..], &msg_key, &text].concat();
            assert_eq!(v1::open(&key, &sealed), Err(OpenError), "{len}");
        }
    }
}
