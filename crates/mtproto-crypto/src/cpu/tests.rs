//! Every path gives the bytes of the portable one.

use proptest::prelude::*;

use super::*;

/// Runs the same messages through the portable path and through the one that was detected.
fn check(messages: &[(IgeKey, Vec<u8>)], encrypt: bool) {
    let mut expected = messages.to_vec();
    for (key, data) in &mut expected {
        let way = if encrypt { portable::encrypt } else { portable::decrypt };
        way(Lane::new(key.clone(), data));
    }
    let mut actual = messages.to_vec();
    let lanes = actual.iter_mut().map(|(key, data)| Lane::new(key.clone(), data));
    if encrypt {
        ige_encrypt(lanes);
    } else {
        ige_decrypt(lanes);
    }
    for (n, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        assert_eq!(expected.1, actual.1, "message {n} of {}, encrypt: {encrypt}", messages.len());
    }
}

fn message() -> impl Strategy<Value = (IgeKey, Vec<u8>)> {
    let key = (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(key, iv)| IgeKey::new(key, iv));
    (key, prop::collection::vec(any::<u8>(), 0..400))
}

proptest! {
    #[test]
    fn any_list_of_any_lengths(
        messages in prop::collection::vec(message(), 0..14),
        encrypt: bool,
    ) {
        check(&messages, encrypt);
    }
}

#[test]
fn a_long_message_beside_short_ones() {
    let message = |fill: u8, len: usize| (IgeKey::new([fill; 32], [!fill; 32]), vec![fill; len]);
    let lens = [16, 100_000, 0, 15, 32, 4096, 1 << 16, 48, 17, 160];
    let messages: Vec<_> = (1..).zip(lens).map(|(fill, len)| message(fill, len)).collect();
    check(&messages, true);
    check(&messages, false);
}
