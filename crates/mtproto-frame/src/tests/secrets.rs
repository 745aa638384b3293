//! Secrets as texts.

use super::*;

fn parse(text: &str) -> Result<Secret, SecretError> {
    text.parse()
}

const HEX: &str = "00112233445566778899aabbccddeeff";

fn key() -> SecretKey {
    (u128::from_str_radix(HEX, 16).unwrap()).to_be_bytes().into()
}

// req: S116
#[test]
fn every_kind_in_every_text() {
    let plain = || Ok(Secret::Plain(key()));
    let padded = || Ok(Secret::Padded(key()));
    let fake_tls = || Ok(Secret::FakeTls { key: key(), domain: "a.example".to_owned() });
    assert_eq!(parse(HEX), plain());
    assert_eq!(parse(&HEX.to_uppercase()), plain());
    assert_eq!(parse("ABEiM0RVZneImaq7zN3u_w"), plain());
    assert_eq!(parse("ABEiM0RVZneImaq7zN3u/w=="), plain());
    assert_eq!(parse(&format!("dd{HEX}")), padded());
    assert_eq!(parse("3QARIjNEVWZ3iJmqu8zd7v8"), padded());
    assert_eq!(parse(&format!("ee{HEX}612e6578616d706c65")), fake_tls());
    assert_eq!(parse("7gARIjNEVWZ3iJmqu8zd7v9hLmV4YW1wbGU="), fake_tls());
}

#[test]
fn a_written_secret_is_read_again() {
    let domain = |len: usize| "x".repeat(len);
    let longest = Secret::FakeTls { key: key(), domain: domain(SECRET_DOMAIN_LEN_MAX) };
    let shortest = Secret::FakeTls { key: key(), domain: domain(1) };
    for secret in [Secret::Plain(key()), Secret::Padded(key()), shortest, longest] {
        assert_eq!(parse(&secret.to_string()), Ok(secret));
    }
}

fn check(text: &str, error: SecretError, shown: &str) {
    assert_eq!(parse(text), Err(error), "{text}");
    assert_eq!(error.to_string(), shown);
}

#[test]
fn a_refusal_says_why_and_what_to_do_but_not_the_secret() {
    let fix = "give 32 hex digits, as `openssl rand -hex 16` prints them";
    check("", SecretError::Empty, &format!("the secret is empty: {fix}"));
    check(
        "not a secret!",
        SecretError::Encoding { len: 13 },
        &format!("a secret of 13 characters is neither hex nor base64: {fix}"),
    );
    check(
        &HEX[2..],
        SecretError::Len { len: 15 },
        &format!("a secret cannot have 15 bytes: {fix}"),
    );
    check(
        &format!("dd{HEX}00"),
        SecretError::Len { len: 18 },
        &format!("a secret cannot have 18 bytes: {fix}"),
    );
    check(
        &format!("77{HEX}"),
        SecretError::Mark { mark: 0x77 },
        "a secret of more than 16 bytes begins with 77: \
         begin it with dd (padded) or ee (fake TLS), or give 16 bytes",
    );
    let domain = "an ee secret has a domain of 0 bytes that is no host name: \
                  append the hex of a name of 1 to 182 letters";
    check(&format!("ee{HEX}"), SecretError::Domain { len: 0 }, domain);
    let refused = |domain: &str| {
        let hex: String = domain.bytes().map(|byte| format!("{byte:02x}")).collect();
        parse(&format!("ee{HEX}{hex}"))
    };
    assert_eq!(refused("a b"), Err(SecretError::Domain { len: 3 }));
    assert_eq!(refused(&"x".repeat(183)), Err(SecretError::Domain { len: 183 }));
}
