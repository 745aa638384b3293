//! Promise: addresses are built by the rules and read in every form in use.

use serde_json::{Value, json};

use crate::support::{mtproto, succeed};

fn described(args: &[&str]) -> Value {
    let args: Vec<_> = ["uri"].iter().chain(args).chain(&["--json"]).copied().collect();
    serde_json::from_str(&succeed(&args)).expect("JSON")
}

// req: S110
#[test]
fn an_address_is_built_and_read_again() {
    let built = described(&["build", "--dc", "venus", "--second", "--tls", "--websocket"]);
    assert_eq!(
        built,
        json!({
            "uri": "wss://venus-1.web.telegram.org:443/apis",
            "documented_form": "https://venus-1.web.telegram.org:443/apis",
            "transport": "wss", "host": "venus-1.web.telegram.org", "port": 443, "path": "/apis",
            "tls": true, "cors": false, "test_servers": false,
            "data_centre": 2, "second_name": true,
        })
    );
    for form in ["uri", "documented_form"] {
        assert_eq!(described(&["parse", built[form].as_str().expect("text")]), built);
    }
    assert_eq!(
        succeed(&["uri", "parse", "tcp://[::1]:443"]),
        "uri              tcp://[::1]:443\ntransport        tcp\nhost             [::1]\n\
         port             443\n"
    );
}

// req: S116
#[test]
fn a_proxy_link_is_taken_apart() {
    let secret = "dd000102030405060708090a0b0c0d0e0f";
    let query = format!("proxy?server=h&port=443&secret={secret}");
    let link = json!({
        "uri": format!("tg://{query}"), "web_form": format!("https://t.me/{query}"),
        "server": "h", "port": 443, "secret": secret,
    });
    for opening in ["tg://", "https://t.me/"] {
        assert_eq!(described(&["parse", &format!("{opening}{query}")]), link);
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line() {
    let check = |args: &[&str], said: &str| {
        let outcome = mtproto(&[&["uri"], args].concat());
        assert_eq!(outcome.code, 2, "{args:?}");
        assert!(outcome.stderr.contains(said), "{args:?}: {}", outcome.stderr);
    };
    check(&["build", "--host", "10.0.0.1", "--tls"], "TLS goes with a name: give one");
    check(&["build", "--dc", "1", "--websocket"], "ask for TLS, or give an IP address");
    check(&["build", "--dc", "6"], "1 to 5");
    check(&["build", "--dc", "mars"], "use pluto, venus");
    check(&["build", "--host", "a b"], "give a host name or an IP address");
    check(&["build"], "--dc");
    check(&["parse", "gopher://h"], "begin it with tcp://");
    check(&["parse", "tg://proxy?server=h"], "the proxy link has no port");
}
