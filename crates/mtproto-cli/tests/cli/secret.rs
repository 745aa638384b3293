//! Promise: secrets are made for every kind of proxy and read in every form in use.

use serde_json::{Value, json};

use crate::support::{mtproto, succeed};

fn described(args: &[&str]) -> Value {
    let args: Vec<_> = ["secret"].iter().chain(args).chain(&["--json"]).copied().collect();
    serde_json::from_str(&succeed(&args)).expect("JSON")
}

fn part<'a>(description: &'a Value, name: &str) -> &'a str {
    description[name].as_str().expect("text")
}

// req: S116
#[test]
fn a_secret_is_made_and_read_again() {
    let kinds: [(&[&str], &str, usize); 4] = [
        (&["new"], "dd", 34),
        (&["new", "dd"], "dd", 34),
        (&["new", "plain"], "plain", 32),
        (&["new", "ee", "www.example.org"], "ee", 64),
    ];
    for (args, kind, digits) in kinds {
        let made = described(args);
        assert_eq!((part(&made, "kind"), part(&made, "hex").len()), (kind, digits));
        assert_eq!(made["domain"].is_string(), kind == "ee");
        assert_ne!(made, described(args), "no two are the same");
        for form in ["hex", "base64url"] {
            assert_eq!(described(&["show", part(&made, form)]), made);
        }
    }
}

// req: S116
#[test]
fn a_secret_is_shown_with_its_links() {
    let secret = "ee000102030405060708090a0b0c0d0e0f612e6578616d706c65";
    let base64url = "7gABAgMEBQYHCAkKCwwNDg9hLmV4YW1wbGU";
    let query = format!("proxy?server=10.0.0.1&port=443&secret={base64url}");
    assert_eq!(
        described(&["show", secret, "--server", "10.0.0.1", "--port", "443"]),
        json!({
            "kind": "ee", "domain": "a.example", "hex": secret, "base64url": base64url,
            "link": format!("tg://{query}"), "web_form": format!("https://t.me/{query}"),
        })
    );
    let link = described(&["show", secret, "--server", "::1", "--port", "1"]);
    assert!(part(&link, "link").starts_with("tg://proxy?server=::1&port=1&"));
    assert_eq!(
        succeed(&["secret", "show", "AAECAwQFBgcICQoLDA0ODw"]),
        "kind       plain\nhex        000102030405060708090a0b0c0d0e0f\n\
         base64url  AAECAwQFBgcICQoLDA0ODw\n"
    );
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line() {
    let check = |args: &[&str], said: &str| {
        let outcome = mtproto(&[&["secret"], args].concat());
        assert_eq!(outcome.code, 2, "{args:?}");
        assert!(outcome.stderr.contains(said), "{args:?}: {}", outcome.stderr);
    };
    check(&["new", "ee"], "DOMAIN");
    check(&["new", "ee", "two words"], "\"two words\" is no host name: give 1 to 182");
    check(&["new", "dd", "a.example"], "\"a.example\" has no place");
    check(&["new", "ff"], "plain");
    check(&["new", "--server", "h"], "--port");
    check(&["new", "--server", "two words", "--port", "1"], "\"two words\" is no host");
    check(&["new", "--server", "h", "--port", "0"], "0");
    check(&["show", "no secret!"], "neither hex nor base64");
}
