use mtproto_crypto::{AuthKey, SeededRandom};
use mtproto_tl::functions::auth::BindTempAuthKey;
use mtproto_tl::{AuthKeyId, Decode, Encode, MsgId, SessionId};

use super::support::{NOW, Scripted, copied, hex, vector};
use crate::binding::{BindError, Binding, Carrier, EXPIRES_AT_SLACK, TempKey, build, check};

fn perm_key() -> AuthKey {
    AuthKey::new(std::array::from_fn(|i| 255 - i as u8))
}

fn temp_key() -> AuthKey {
    AuthKey::new(std::array::from_fn(|i| i as u8))
}

fn carrier() -> Carrier {
    Carrier {
        key_id: AuthKeyId(temp_key().id()),
        session_id: SessionId(72_623_859_790_382_856),
        msg_id: MsgId(7_333_334_986_649_785_976),
    }
}

/// A server's view of one query, every part of which a test may change.
struct Case {
    query: BindTempAuthKey,
    carrier: Carrier,
    temp: Option<TempKey>,
    perm_key: Option<AuthKey>,
    now: u32,
}

impl Case {
    fn new() -> Self {
        let expires_at = NOW + 3600;
        let query = build(&perm_key(), carrier(), expires_at, &mut SeededRandom::new(4));
        let temp = Some(TempKey { expires_at, bound_to: None });
        Self { query, carrier: carrier(), temp, perm_key: Some(perm_key()), now: NOW }
    }

    fn after(change: impl FnOnce(&mut Self)) -> Result<Binding, BindError> {
        let mut case = Self::new();
        change(&mut case);
        check(&case.query, case.carrier, case.temp, case.perm_key.as_ref(), case.now)
    }
}

// req: S112, S113
#[test]
fn the_query_is_that_of_the_vector_byte_for_byte() {
    let sample = vector("bind_temp_auth_key");
    let nonce = sample["nonce_i64"].as_i64().unwrap().to_le_bytes();
    let mut random =
        Scripted::new(&[&nonce, &hex(&sample["random_int128"]), &hex(&sample["padding"])]);
    let query = build(&perm_key(), carrier(), 1_735_689_600, &mut random);
    assert!(random.is_used_up());
    assert_eq!(query.to_bytes()[..], hex(&sample["auth_bindTempAuthKey"]));

    let read = BindTempAuthKey::from_slice(&hex(&sample["auth_bindTempAuthKey"])).unwrap();
    let temp = TempKey { expires_at: 1_735_689_600, bound_to: None };
    let binding = Binding {
        temp_key_id: AuthKeyId(temp_key().id()),
        perm_key_id: AuthKeyId(perm_key().id()),
        expires_at: 1_735_689_600,
    };
    assert_eq!(check(&read, carrier(), Some(temp), Some(&perm_key()), NOW), Ok(binding));
}

// req: S112, S113
#[test]
fn a_query_that_differs_from_what_it_seals_is_invalid() {
    let changes: [fn(&mut Case); 12] = [
        |case| case.perm_key = None,
        |case| case.perm_key = Some(temp_key()),
        |case| case.query.nonce ^= 1,
        |case| case.query.expires_at += 1,
        |case| case.query.perm_auth_key_id.0 ^= 1,
        |case| case.carrier.key_id.0 ^= 1,
        |case| case.carrier.session_id.0 ^= 1,
        |case| case.carrier.msg_id.0 += 4,
        |case| case.query.encrypted_message.truncate(103),
        |case| case.query.encrypted_message.truncate(88),
        |case| {
            let longer = [&case.query.encrypted_message[..], &[0; 16]].concat();
            case.query.encrypted_message = longer.into();
        },
        |case| case.query.encrypted_message.clear(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let result = Case::after(change);
        assert_eq!(result, Err(BindError::EncryptedMessageInvalid), "change {number}");
    }
}

// req: S112, S113
#[test]
fn every_flipped_byte_of_the_sealed_message_is_noticed() {
    for at in 0..104 {
        let result = Case::after(|case| {
            let mut bytes = case.query.encrypted_message.to_vec();
            bytes[at] ^= 1 << (at % 8);
            case.query.encrypted_message = copied(&bytes);
        });
        // The last block's plaintext is half filler, which 1.0 does not vouch for; but its other
        // half changes with every bit of it.
        assert_eq!(result, Err(BindError::EncryptedMessageInvalid), "byte {at}");
    }
}

// req: S113
#[test]
fn a_key_that_is_not_temporary_cannot_be_bound() {
    let result = Case::after(|case| case.temp = None);
    assert_eq!(result, Err(BindError::TempAuthKeyEmpty));
}

// req: S113
#[test]
fn the_end_lies_in_the_future_and_not_beyond_the_key() {
    let ends = NOW + 3600;
    let temp = |expires_at| Some(TempKey { expires_at, bound_to: None });
    assert!(Case::after(|case| case.now = ends - 1).is_ok());
    assert_eq!(Case::after(|case| case.now = ends), Err(BindError::ExpiresAtInvalid));
    assert!(Case::after(|case| case.temp = temp(ends - EXPIRES_AT_SLACK)).is_ok());
    let result = Case::after(|case| case.temp = temp(ends - EXPIRES_AT_SLACK - 1));
    assert_eq!(result, Err(BindError::ExpiresAtInvalid));
}

// req: S113
#[test]
fn a_bound_key_may_be_bound_again_but_not_to_another_one() {
    let bound_to = |id| Some(TempKey { expires_at: NOW + 3600, bound_to: Some(AuthKeyId(id)) });
    assert!(Case::after(|case| case.temp = bound_to(perm_key().id())).is_ok());
    let result = Case::after(|case| case.temp = bound_to(1));
    assert_eq!(result, Err(BindError::TempAuthKeyAlreadyBound));
}

#[test]
fn errors_are_known_by_their_text() {
    for error in [
        BindError::EncryptedMessageInvalid,
        BindError::ExpiresAtInvalid,
        BindError::TempAuthKeyAlreadyBound,
        BindError::TempAuthKeyEmpty,
    ] {
        assert_eq!(BindError::from_text(error.text()), Some(error));
        assert_eq!(error.to_string(), format!("400 {}", error.text()));
    }
    assert_eq!(BindError::from_text("AUTH_KEY_PERM_EMPTY"), None);
}
