//! Addresses and framings as texts.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

#[test]
fn an_address_is_read_and_written() {
    let check = |text: &str, host: Host, port: u16| {
        let address = Address { scheme: Scheme::Tcp, host, port, path: ApiPath::default() };
        assert_eq!(text.parse(), Ok(address.clone()), "{text}");
        assert_eq!(address.to_string(), text);
    };
    let name = |name: &str| Host::Name(name.to_owned());
    check("tcp://example.org:443", name("example.org"), 443);
    check("tcp://localhost:65535", name("localhost"), 65535);
    check("tcp://127.0.0.1:80", Host::Ip(Ipv4Addr::LOCALHOST.into()), 80);
    check("tcp://[::1]:5222", Host::Ip(Ipv6Addr::LOCALHOST.into()), 5222);
    check("tcp://[2001:db8::7]:0", Host::Ip("2001:db8::7".parse().unwrap()), 0);
    let trailing: Address = "tcp://example.org:443/".parse().unwrap();
    assert_eq!(trailing.to_string(), "tcp://example.org:443");
    assert_eq!(Address::tcp("[::1]:5".parse().unwrap()).to_string(), "tcp://[::1]:5");
}

#[test]
fn a_refused_address_says_which_why_and_what_to_write() {
    let check = |text: &str, shown: &str| {
        let error = text.parse::<Address>().unwrap_err();
        assert_eq!(error.to_string(), format!("address {text:?} {shown}"));
    };
    let host = "has no valid host: write HOST:PORT, as in tcp://HOST:PORT";
    let ipv6 = "has no valid IPv6 address: write [::1]:PORT, as in tcp://[::1]:PORT";
    let path = "goes on after the port: write tcp://HOST:PORT";
    let port = "has no valid port: write HOST:PORT with a port up to 65535, as in tcp://HOST:PORT";
    let scheme = "has no known scheme: begin it with tcp://, ws://, wss://, http:// or https://";
    let api_path = "has a path that is not MTProto's: end it with /api, or /apiws for WebSocket";
    for text in ["", "127.0.0.1:80", "udp://127.0.0.1:80", "tcp:127.0.0.1:80", "://h:80"] {
        check(text, scheme);
    }
    for text in ["tcp://:80", "tcp://a b:80", "tcp://1.2.3:80", "tcp://1.2.3.256:80", "tcp://u@h:1"]
    {
        check(text, host);
    }
    for text in ["tcp://::1:80", "tcp://[::1:80", "tcp://[1.2.3.4]:80", "tcp://[fe80::1%1]:80"] {
        check(text, ipv6);
    }
    for text in ["tcp://h", "tcp://h:", "tcp://h:65536", "tcp://h:-1", "tcp://h:+1", "tcp://[::1]"]
    {
        check(text, port);
    }
    for text in ["tcp://h:80/api", "tcp://h:80?x", "tcp://h:80#x"] {
        check(text, path);
    }
    for text in ["http://h/index", "wss://h/apix", "ws://h/apisw", "https://h/api?x", "http://h#x"]
    {
        check(text, api_path);
    }
    for text in ["https://h:", "ws://h:0x50/api", "wss://[::1]443"] {
        check(text, port);
    }
}

// req: S101, S102, S104, S105, S107, S108, S110
#[test]
fn an_address_of_the_web_is_read_in_every_form_in_use_and_written_in_one() {
    let check = |written: &str, forms: &[&str]| {
        for form in forms.iter().chain([&written]) {
            let address: Address = form.parse().unwrap();
            assert_eq!(address.to_string(), written, "{form}");
            assert_eq!(address.http_form().parse(), Ok(address), "{form}");
        }
    };
    check("http://149.154.167.51:80/api", &["http://149.154.167.51", "HTTP://149.154.167.51/api/"]);
    check("http://10.0.0.1:8080/apiw", &["http://10.0.0.1:8080/apiw1"]);
    check("ws://10.0.0.1:80/apis", &["http://10.0.0.1:80/apis", "ws://10.0.0.1"]);
    check("ws://[::1]:80/apiws", &["http://[::1]/apiws", "ws://[::1]/apiw"]);
    check("wss://localhost:443/apiws", &["https://localhost/apiws", "wss://localhost/apiws1"]);
    check(
        "wss://venus-1.web.telegram.org:443/apiws_test",
        &[
            "https://venus-1.web.telegram.org/apiws_test",
            "wss://venus-1.web.telegram.org/apiws_test1",
            "wss://venus-1.web.telegram.org/apiws1_test",
        ],
    );
    check(
        "https://pluto.web.telegram.org:443/apiw",
        &["https://pluto.web.telegram.org/apiw_premium", "https://pluto.web.telegram.org/apiw1"],
    );
}

// req: S101, S102, S103, S109
#[test]
fn what_telegrams_servers_do_not_serve_is_not_built() {
    let ip = || WebAddress::new(Host::Ip(Ipv4Addr::LOCALHOST.into()));
    let name = || WebAddress::new(DataCenter::Venus.host(false));
    let built = |address: WebAddress| address.build().map(|address| address.http_form());
    let fine = |text: &str| Ok(text.to_owned());
    assert_eq!(built(ip()), fine("http://127.0.0.1:80/api"));
    assert_eq!(built(ip().websocket().cors()), fine("http://127.0.0.1:80/apiws"));
    assert_eq!(built(ip().tls()), Err(WebFault::TlsWithoutName));
    assert_eq!(built(ip().test()), Err(WebFault::TestWithoutName));
    assert_eq!(built(name()), fine("http://venus.web.telegram.org:80/api"));
    assert_eq!(built(name().websocket()), Err(WebFault::NameWithoutTls));
    assert_eq!(
        built(name().tls().websocket().test()),
        fine("https://venus.web.telegram.org:443/apis_test")
    );
}

// req: S106, S107
#[test]
fn data_centres_have_names() {
    for (number, data_center) in (1..).zip(DataCenter::ALL) {
        assert_eq!(data_center.number(), number);
        assert_eq!(DataCenter::from_number(number), Some(data_center));
        assert_eq!(data_center.to_string().parse(), Ok(data_center));
        for second in [false, true] {
            assert_eq!(DataCenter::of(&data_center.host(second)), Some((data_center, second)));
        }
    }
    assert_eq!(DataCenter::from_number(0), None);
    for name in ["web.telegram.org", "pluto-2.web.telegram.org", "kws2.web.telegram.org", "pluto"] {
        assert_eq!(DataCenter::of(&Host::Name(name.to_owned())), None, "{name}");
    }
}

// req: S116
#[test]
fn a_proxy_link_is_read_in_every_form_and_written_in_two() {
    let secret = "ee000102030405060708090a0b0c0d0e0f7777772e676f6f676c652e636f6d";
    let link: ProxyLink =
        format!("tg://proxy?port=443&server=%5B2001%3Adb8::7%5D&x=y&secret={secret}")
            .parse()
            .unwrap();
    let query =
        "proxy?server=2001:db8::7&port=443&secret=7gABAgMEBQYHCAkKCwwNDg93d3cuZ29vZ2xlLmNvbQ";
    assert_eq!(link.to_string(), format!("tg://{query}"));
    assert_eq!(link.web_form(), format!("https://t.me/{query}"));
    for opening in ["tg:", "TG://", "http://t.me/", "https://Telegram.me/", "t.me/"] {
        let text = format!("{opening}{query}");
        assert!(ProxyLink::is_meant_by(&text), "{opening}");
        assert_eq!(text.parse(), Ok(link.clone()), "{opening}");
    }
    // Base64 of the usual alphabet, as it has to be written in a link.
    let plain: ProxyLink =
        "tg://proxy?server=h&port=1&secret=%2B%2F%2B%2FAAAAAAAAAAAAAAAAAA%3D%3D".parse().unwrap();
    assert_eq!(plain.secret.to_string(), format!("fbffbf{}", "0".repeat(26)));
    assert!(!format!("{plain:?}").contains("fbff"), "{plain:?}");
}

#[test]
fn a_refused_proxy_link_says_why_and_not_what() {
    let check = |text: &str, error: ProxyLinkError| {
        assert_eq!(text.parse::<ProxyLink>(), Err(error), "{text}");
    };
    let secret = "secret=000102030405060708090a0b0c0d0e0f";
    check("tg://resolve?domain=x", ProxyLinkError::NotALink);
    check("tcp://h:443", ProxyLinkError::NotALink);
    assert!(!ProxyLink::is_meant_by("tcp://h:443"));
    check(&format!("tg://proxy?port=1&{secret}"), ProxyLinkError::Missing { part: "server" });
    check(&format!("tg://proxy?server=h&{secret}"), ProxyLinkError::Missing { part: "port" });
    check("tg://proxy?server=h&port=1", ProxyLinkError::Missing { part: "secret" });
    check(&format!("tg://proxy?server=a%20b&port=1&{secret}"), ProxyLinkError::Server);
    check(&format!("tg://proxy?server=&port=1&{secret}"), ProxyLinkError::Server);
    for port in ["0", "65536", "x", "", "-1"] {
        check(&format!("tg://proxy?server=h&port={port}&{secret}"), ProxyLinkError::Port);
    }
    check("tg://proxy?server=h&port=1&secret=x!", SecretError::Encoding { len: 2 }.into());
    let long = format!("tg://proxy?server={}", "a".repeat(PROXY_LINK_LEN_MAX));
    check(&long, ProxyLinkError::Len { len: long.len() });
}

#[test]
fn a_framing_is_read_and_written() {
    for framing in Framing::ALL {
        assert_eq!(framing.to_string().parse(), Ok(framing));
    }
    assert_eq!(
        "fool".parse::<Framing>().unwrap_err().to_string(),
        "unknown framing \"fool\": use abridged, intermediate, padded or full"
    );
}
