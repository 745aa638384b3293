//! Addresses and framings as texts.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

#[test]
fn an_address_is_read_and_written() {
    let check = |text: &str, host: Host, port: u16| {
        let address = Address { scheme: Scheme::Tcp, host, port };
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
    let host = "has no valid host: write tcp://HOST:PORT";
    let ipv6 = "has no valid IPv6 address: write tcp://[::1]:PORT";
    let path = "goes on after the port: write tcp://HOST:PORT";
    let port = "has no valid port: write tcp://HOST:PORT with a port up to 65535";
    let scheme = "has no known scheme: begin it with tcp://";
    for text in ["", "127.0.0.1:80", "http://127.0.0.1:80", "tcp:127.0.0.1:80"] {
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
