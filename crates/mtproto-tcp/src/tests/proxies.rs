//! Through proxies, which are scripted here byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::{PROXY_HEAD_LEN_MAX, Proxy, ProxyError};

/// One thing that the proxy expects, and what it answers.
type Step<'a> = (&'a [u8], &'a [u8]);

/// Goes through `steps` with whoever connects, then passes bytes on to `server`.
async fn serve(listener: TcpListener, steps: &[Step<'_>], server: SocketAddr) {
    let (mut client, _) = listener.accept().await.unwrap();
    for (expected, answer) in steps {
        let mut said = vec![0; expected.len()];
        client.read_exact(&mut said).await.unwrap();
        assert_eq!(said.escape_ascii().to_string(), expected.escape_ascii().to_string());
        client.write_all(answer).await.unwrap();
    }
    let mut server = TcpStream::connect(server).await.unwrap();
    // Either side may be gone first when the test ends.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

/// A dial to `target` through a proxy of this scheme and login, which goes through `steps`.
async fn through(
    scheme: &str,
    target: &str,
    steps: &'static [Step<'static>],
) -> Result<(), String> {
    let (mut listen, address) = listen(ServerWireConfig::open());
    let server = listen.local_address().unwrap();
    let proxy = TcpListener::bind(LOOPBACK).await.unwrap();
    let place = proxy.local_addr().unwrap();
    let task = tokio::spawn(async move { serve(proxy, steps, server).await });

    let proxy = scheme.replace("PROXY", &place.to_string()).parse().unwrap();
    let connect = TcpConnect::new().proxy(proxy).limit(Duration::from_secs(5));
    let target: Address = target.parse().unwrap();
    let dial = TcpDial::new(target, WireConfig::obfuscated(Framing::Padded));
    let dial = dial.connect(Arc::new(connect));
    let mut client = match dial.dial_link().await {
        Ok(client) => client,
        Err(error) => {
            task.abort();
            let text = error.to_string().replace(&place.to_string(), "PROXY");
            return Err(text.replace(&address.to_string(), "SERVER"));
        }
    };
    let mut server = listen.accept_link().await.unwrap();
    pass(&mut client, &mut server, 3).await;
    pass(&mut server, &mut client, 4).await;
    drop((client, server));
    task.await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_socks_proxy_is_asked_for_a_name() {
    const STEPS: &[Step<'_>] = &[
        (b"\x05\x01\x00", b"\x05\x00"),
        (b"\x05\x01\x00\x03\x0bexample.org\x01\xbb", b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"),
    ];
    assert_eq!(through("socks5://PROXY", "tcp://example.org:443", STEPS).await, Ok(()));
    assert_eq!(through("socks5h://PROXY", "tcp://example.org:443", STEPS).await, Ok(()));
}

#[tokio::test]
async fn a_socks_proxy_is_told_who_asks() {
    const STEPS: &[Step<'_>] = &[
        (b"\x05\x02\x00\x02", b"\x05\x02"),
        (b"\x01\x02me\x03a b", b"\x01\x00"),
        (
            b"\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\
              \x00\x00\x00\x00\x00\x00\x00\x07\x00\x50",
            b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38",
        ),
    ];
    let outcome = through("socks5://me:a%20b@PROXY", "tcp://[2001:db8::7]:80", STEPS).await;
    assert_eq!(outcome, Ok(()));
}

#[tokio::test]
async fn an_http_proxy_is_asked_to_connect() {
    const STEPS: &[Step<'_>] = &[(
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n",
        b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n",
    )];
    assert_eq!(through("http://PROXY", "tcp://example.org:443", STEPS).await, Ok(()));
    const LOGIN: &[Step<'_>] = &[(
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\
          Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
    )];
    assert_eq!(through("http://me:secret@PROXY", "tcp://[::1]:443", LOGIN).await, Ok(()));
}

#[tokio::test]
async fn a_proxy_that_says_no_is_quoted() {
    let check = async |scheme: &str, steps, reason: &str| {
        let says = format!("the proxy {scheme} says: {reason}");
        let expected = format!("cannot connect to tcp://h:443: {says}");
        assert_eq!(through(scheme, "tcp://h:443", steps).await, Err(expected));
    };
    const SOCKS: &[Step<'_>] = &[
        (b"\x05\x01\x00", b"\x05\x00"),
        (b"\x05\x01\x00\x03\x01h\x01\xbb", b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"),
    ];
    check("socks5://PROXY", SOCKS, "Connection refused").await;
    const HEAD: &[u8] = b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n";
    const LOGIN: &[Step<'_>] = &[(HEAD, b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")];
    check("http://PROXY", LOGIN, "407, it wants USER:PASSWORD@ before its host").await;
    const FORBIDDEN: &[Step<'_>] = &[(HEAD, b"HTTP/1.1 403 Forbidden\r\n\r\n")];
    check("http://PROXY", FORBIDDEN, "403 Forbidden").await;
    const EAGER: &[Step<'_>] = &[(HEAD, b"HTTP/1.1 200 OK\r\n\r\nhello")];
    check("http://PROXY", EAGER, "more than an answer").await;
    const ENDLESS: &[Step<'_>] = &[(HEAD, &[b'h'; PROXY_HEAD_LEN_MAX * 2])];
    check("http://PROXY", ENDLESS, "invalid HTTP version").await;
}

#[test]
fn a_refused_proxy_says_why_and_not_what() {
    let check = |text: &str, error| assert_eq!(text.parse::<Proxy>(), Err(error), "{text}");
    check("h:1080", ProxyError::Scheme);
    check("socks4://h:1080", ProxyError::Scheme);
    check("socks5://h", ProxyError::Place);
    check("http://h:0x1", ProxyError::Place);
    check("socks5://h:1080/path", ProxyError::Place);
    check("socks5://me@h:1080", ProxyError::Login);
    check("socks5://:secret@h:1080", ProxyError::Login);
    check("http://me:a%0d%0ab@h:1", ProxyError::Login);
    check(&format!("socks5://me:{}@h:1", "x".repeat(256)), ProxyError::Login);
    let proxy: Proxy = "http://me:secret@[::1]:8080".parse().unwrap();
    assert_eq!(format!("{proxy:?} {proxy}"), "Proxy(http://[::1]:8080) http://[::1]:8080");
}
