//! Promise: one port serves every transport, and a client finds its way over each of them.

use std::net::SocketAddr;
use std::time::Duration;

use mtproto_kit::client::{Client, ClientBuilder, TlsClient, Trust};
use mtproto_kit::frame::{Framing, Secret};
use mtproto_kit::server::{Server, ServerBuilder, TlsServer, handler_fn};
use mtproto_tests::{ECHO, echo, object, public_key, server};

/// A server with all that there is, and how to trust its certificate.
struct Port {
    server: Server,
    trust: Trust,
    _dir: tempfile::TempDir,
}

const PLAIN: &str = "000102030405060708090a0b0c0d0e0f";
const PADDED: &str = "dd100102030405060708090a0b0c0d0e0f";
/// Of www.example.org.
const FAKE_TLS: &str = "ee200102030405060708090a0b0c0d0e0f7777772e6578616d706c652e6f7267";

impl Port {
    async fn open() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (tls, _) =
            TlsServer::self_signed(dir.path(), &["localhost".to_owned()]).expect("a certificate");
        let trust = Trust::Pin(tls.fingerprint());
        let secrets = [PLAIN, PADDED, FAKE_TLS].map(|text| text.parse().expect("a secret"));
        let builder = secrets.into_iter().fold(server(), ServerBuilder::secret);
        let server = builder.tls(tls).serve(handler_fn(echo)).await.expect("a server");
        Self { server, trust, _dir: dir }
    }

    fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    fn client(&self, scheme: &str, path: &str) -> ClientBuilder {
        let tls = TlsClient::new(&self.trust).expect("a client");
        let client = Client::builder().server_key(public_key()).tls(tls);
        client.address(format!("{scheme}://{}{path}", self.address()))
    }
}

/// Makes a key, and asks a few things.
async fn talk(name: &str, client: ClientBuilder) {
    let client = client.connect_timeout(Duration::from_secs(20)).connect().await;
    let client = client.unwrap_or_else(|error| panic!("{name}: {error}"));
    for number in 0..20 {
        let query = object(ECHO, &[number]);
        let answer = client.call(query.clone()).await;
        assert_eq!(answer, Ok(query), "{name}");
    }
    let rtt = client.ping().await.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(rtt < Duration::from_secs(5), "{name}: {rtt:?}");
    client.shutdown().await;
}

// req: S71, S73, S79, S81, S116, S117
#[tokio::test(flavor = "multi_thread")]
async fn every_transport_is_told_apart_on_one_port() {
    let port = Port::open().await;
    let tcp = || port.client("tcp", "");
    let secret = |text: &str| text.parse::<Secret>().expect("a secret");
    for framing in Framing::ALL {
        talk(&framing.to_string(), tcp().framing(framing)).await;
        if framing != Framing::Full {
            talk("obfuscated", tcp().framing(framing).obfuscated(true)).await;
            talk("secret", tcp().framing(framing).secret(secret(PLAIN))).await;
        }
    }
    talk("secret dd", tcp().secret(secret(PADDED))).await;
    talk("secret ee", tcp().secret(secret(FAKE_TLS))).await;
    for (scheme, path) in [
        ("ws", ""),
        ("ws", "/apiws"),
        ("wss", "/apiws1"),
        ("http", ""),
        ("http", "/apiw"),
        ("https", "/api"),
    ] {
        talk(&format!("{scheme} {path}"), port.client(scheme, path)).await;
    }
    let link = format!(
        "tg://proxy?server={}&port={}&secret={FAKE_TLS}",
        port.address().ip(),
        port.address().port()
    );
    talk("link", tcp().address(link)).await;
}
