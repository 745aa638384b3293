//! Every way from a client to the server: transports, framings, obfuscation, secrets.

use std::net::SocketAddr;
use std::sync::Arc;

use mtproto_kit::client::TlsClient;
use mtproto_kit::crypto::{OsRandom, SecureRandomExt};
use mtproto_kit::frame::{Address, Framing, Scheme, Secret, SecretKey, WireConfig};
use mtproto_kit::http::HttpDial;
use mtproto_kit::tcp::{TcpConnect, TcpDial};
use mtproto_kit::tls::TlsConnect;
use mtproto_kit::transport::{Connect, Dial};
use mtproto_kit::ws::WsDial;

/// How a client of the demonstration reaches the server.
pub(super) struct Way {
    pub(super) transport: &'static str,
    /// What is in the transport's byte stream.
    pub(super) stream: String,
    pub(super) dial: Arc<dyn Dial>,
}

/// A secret of each kind.
pub(super) fn secrets() -> [Secret; 3] {
    let mut random = OsRandom::new();
    let mut key = || SecretKey::from(random.array::<16>());
    [
        Secret::Plain(key()),
        Secret::Padded(key()),
        Secret::FakeTls { key: key(), domain: "www.example.org".to_owned() },
    ]
}

/// All ways to `address`, where a server answers that knows `secrets`, and has a certificate that
/// `tls` believes.
pub(super) fn ways(address: SocketAddr, secrets: &[Secret], tls: TlsClient) -> Vec<Way> {
    let tcp = |stream: String, wire| Way {
        transport: "tcp",
        stream,
        dial: Arc::new(TcpDial::new(Address::tcp(address), wire)),
    };
    let bare = Framing::ALL.map(|framing| tcp(framing.to_string(), WireConfig::plain(framing)));
    let tagged = Framing::ALL.into_iter().filter(|framing| framing.tag().is_some());
    let obfuscated =
        tagged.map(|framing| tcp(format!("{framing} obfuscated"), WireConfig::obfuscated(framing)));
    let with_secret = secrets.iter().map(|secret| {
        let (framing, kind) = match secret {
            Secret::FakeTls { .. } => (Framing::Padded, "secret ee"),
            Secret::Padded(_) => (Framing::Padded, "secret dd"),
            Secret::Plain(_) => (Framing::Intermediate, "secret"),
        };
        tcp(format!("{framing} {kind}"), WireConfig::with_secret(framing, secret.clone()))
    });
    let connect: Arc<dyn Connect> = Arc::new(TcpConnect::new());
    let connect = Arc::new(TlsConnect::new(connect, tls));
    let web = [Scheme::Ws, Scheme::Wss, Scheme::Http, Scheme::Https]
        .map(|scheme| over_web(Address::new(scheme, address), connect.clone()));
    bare.into_iter().chain(obfuscated).chain(with_secret).chain(web).collect()
}

fn over_web(address: Address, connect: Arc<dyn Connect>) -> Way {
    let framing = Framing::Intermediate;
    let transport = match address.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
        Scheme::Wss => "wss",
        _ => "ws",
    };
    if address.scheme.is_websocket() {
        let stream = format!("{framing} obfuscated");
        let wire = WireConfig::obfuscated(framing);
        Way { transport, stream, dial: Arc::new(WsDial::new(address, wire, connect)) }
    } else {
        let stream = "long poll".to_owned();
        Way { transport, stream, dial: Arc::new(HttpDial::new(address, connect)) }
    }
}
