//! Both roles over streams in memory, and certificates on a disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use mtproto_frame::{Address, Host};
use mtproto_transport::{Connect, Connected, DialError, Origin};
use rustls::HandshakeKind;
use rustls::crypto::CryptoProvider;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Mutex;

use crate::{
    ClientStream, Fingerprint, HANDSHAKE_LIMIT, ServerStream, TlsClient, TlsConnect, TlsServer,
    Trust,
};

const NAME: &str = "example.com";

fn server(dir: &Path) -> TlsServer {
    TlsServer::self_signed(dir, &[NAME.to_owned(), "127.0.0.1".to_owned()]).unwrap().0
}

fn client(trust: Trust) -> TlsClient {
    TlsClient::new(&trust).unwrap()
}

fn name(name: &str) -> Host {
    Host::Name(name.to_owned())
}

type Ends = (io::Result<ClientStream<DuplexStream>>, io::Result<ServerStream<DuplexStream>>);

async fn handshake(client: &TlsClient, host: &Host, server: &TlsServer) -> Ends {
    let (near, far) = duplex(1 << 16);
    tokio::join!(client.connect(host, near), server.accept(far))
}

/// Which certificate a new client is shown.
async fn shown(server: &TlsServer) -> Fingerprint {
    let client = client(Trust::Pin(server.fingerprint()));
    let (near, _) = handshake(&client, &name(NAME), server).await;
    let near = near.unwrap();
    Fingerprint::of(&near.get_ref().1.peer_certificates().unwrap()[0])
}

#[tokio::test]
async fn bytes_pass_under_every_trust() {
    let dir = TempDir::new().unwrap();
    let server = server(dir.path());
    let pinned = || Trust::Pin(server.fingerprint());
    let roots = || Trust::Roots(server.path().to_owned());
    for (trust, host) in [
        (pinned(), name(NAME)),
        (pinned(), name("another.example")),
        (roots(), name(NAME)),
        (roots(), Host::Ip("127.0.0.1".parse().unwrap())),
    ] {
        let (near, far) = handshake(&client(trust), &host, &server).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        assert_eq!(far.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        near.write_all(b"hello").await.unwrap();
        near.shutdown().await.unwrap();
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"hello");
    }
    assert!(CryptoProvider::get_default().is_none(), "nothing is set for the whole process");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_told_from_others() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (server, other) = (server(dir.path()), server(other.path()));
    let untrusted = "the server's certificate is not trusted: ";
    let fix = ": trust a file of certificates, or pin the server's by its fingerprint";
    let pin = other.fingerprint();
    let mismatch = format!("its fingerprint is {}, and {pin} is pinned", server.fingerprint());
    for (trust, host, reason) in [
        (Trust::Pin(pin), NAME, &*mismatch),
        (Trust::Roots(other.path().to_owned()), NAME, "BadSignature"),
        (Trust::Roots(server.path().to_owned()), "another.example", "not valid for"),
    ] {
        let (near, far) = handshake(&client(trust), &name(host), &server).await;
        let error = near.map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(untrusted) && error.ends_with(fix), "{error}");
        assert!(error.contains(reason), "{error}");
        assert!(far.is_err());
    }
    if let Ok(client) = TlsClient::new(&Trust::Platform) {
        let (near, _) = handshake(&client, &name(NAME), &server).await;
        assert!(near.map(|_| ()).unwrap_err().to_string().starts_with(untrusted));
    }
}

#[tokio::test]
async fn a_client_that_comes_again_resumes() {
    let dir = TempDir::new().unwrap();
    let server = server(dir.path());
    let client = client(Trust::Pin(server.fingerprint()));
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let (near, far) = handshake(&client, &name(NAME), &server).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        assert_eq!(far.get_ref().1.handshake_kind(), Some(kind));
        // The tickets come with the first bytes.
        far.write_all(b"!").await.unwrap();
        far.flush().await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), b'!');
    }
}

#[test]
fn a_certificate_is_made_once_and_said_so() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    let names = [NAME.to_owned()];
    let (server, line) = TlsServer::self_signed(dir, &names).unwrap();
    let path = dir.join("tls/cert.pem");
    assert_eq!(
        line.unwrap(),
        format!(
            "made a self-signed certificate: {}, SHA-256 {}",
            path.display(),
            server.fingerprint()
        )
    );
    let (again, line) = TlsServer::self_signed(dir, &names).unwrap();
    assert_eq!((again.fingerprint(), line), (server.fingerprint(), None));

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(dir.join("tls/key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    // A certificate is never replaced, but a key that was never used is.
    fs::remove_file(&path).unwrap();
    assert!(TlsServer::self_signed(dir, &names).unwrap().1.is_some());
    fs::remove_file(dir.join("tls/key.pem")).unwrap();
    let error = TlsServer::self_signed(dir, &names).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: ", dir.join("tls/key.pem").display())), "{error}");
}

#[test]
fn unusable_files_are_named_with_a_way_out() {
    let dir = TempDir::new().unwrap();
    let server = server(dir.path());
    let other = TempDir::new().unwrap();
    let path = |dir: &TempDir, name: &str| dir.path().join("tls").join(name);
    let other = { self::server(other.path()).path().with_file_name("key.pem") };
    let (certificate, key) = (server.path().to_owned(), path(&dir, "key.pem"));
    let junk = path(&dir, "junk");
    fs::write(&junk, "junk").unwrap();
    let missing = path(&dir, "missing");
    let check = |certificate: &PathBuf, key: &PathBuf, blamed: &PathBuf, fix: &str| {
        let error = TlsServer::from_files(certificate, key).unwrap_err();
        assert_eq!((&error.value, error.fix), (&blamed.display().to_string(), fix));
        assert!(!error.to_string().contains('\n'), "{error}");
    };
    let (give_certificates, give_key) =
        ("give one or more certificates in PEM", "give a private key in PEM");
    check(&missing, &key, &missing, give_certificates);
    check(&junk, &key, &junk, give_certificates);
    check(&key, &key, &key, give_certificates);
    check(&certificate, &missing, &missing, give_key);
    check(&certificate, &junk, &junk, give_key);
    check(&certificate, &certificate, &certificate, give_key);
    check(&certificate, &other, &other, "give the key of the certificate");
    assert!(TlsServer::from_files(&certificate, &key).is_ok());

    let error = TlsClient::new(&Trust::Roots(junk.clone())).unwrap_err();
    assert_eq!((error.value, error.fix), (junk.display().to_string(), give_certificates));
    let bad_name = ["not a name\u{e4}".to_owned()];
    let error = TlsServer::self_signed(&dir.path().join("new"), &bad_name).unwrap_err();
    assert_eq!(error.fix, "give names of hosts and numbers of addresses");
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_a_broken_one_is_not() {
    let (dir, new) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (server, new) = (server(dir.path()), server(new.path()));
    let (old, renewed) = (server.fingerprint(), new.fingerprint());
    let (certificate, key) = (server.path().to_owned(), server.path().with_file_name("key.pem"));
    assert_eq!(shown(&server).await, old);

    fs::write(&certificate, "half of a certif").unwrap();
    assert_eq!(shown(&server).await, old);
    fs::remove_file(&certificate).unwrap();
    assert_eq!(shown(&server).await, old);
    // The certificate is there, its key is not yet.
    fs::copy(new.path(), &certificate).unwrap();
    assert_eq!(shown(&server).await, old);
    fs::copy(new.path().with_file_name("key.pem"), &key).unwrap();
    assert_eq!(shown(&server).await, renewed);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up() {
    let dir = TempDir::new().unwrap();
    let server = server(dir.path());
    let (_near, far) = duplex(1 << 16);
    let error = server.accept(far).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);

    let (near, _far) = duplex(1 << 16);
    let error = connect(near, "wss://example.com/apiws").await.map(|_| ()).unwrap_err();
    assert!(matches!(error, DialError::Timeout { limit: HANDSHAKE_LIMIT, .. }), "{error}");
}

#[tokio::test]
async fn a_peer_without_tls_is_named() {
    let (near, mut far) = duplex(1 << 16);
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let error = connect(near, "https://example.com/api").await.map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot connect to https://example.com:443/api: the server speaks no TLS there: choose its \
         TLS port, or an address without TLS"
    );

    let dir = TempDir::new().unwrap();
    let (mut near, far) = duplex(1 << 16);
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(server(dir.path()).accept(far).await.is_err());
}

#[tokio::test]
async fn an_address_without_tls_gets_none() {
    let (near, mut far) = duplex(1 << 16);
    let mut stream = connect(near, "ws://example.com/apiws").await.unwrap().stream;
    stream.write_all(b"plain").await.unwrap();
    let mut received = [0; 5];
    far.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"plain");
}

/// Connects through a [`TlsConnect`] over one stream that is there already.
async fn connect(stream: DuplexStream, address: &str) -> Result<Connected, DialError> {
    let below = Arc::new(Once(Mutex::new(Some(stream))));
    let client = client(Trust::Pin(Fingerprint::of(b"nobody")));
    TlsConnect::new(below, client).connect(&address.parse().unwrap()).await
}

struct Once(Mutex<Option<DuplexStream>>);

#[async_trait]
impl Connect for Once {
    async fn connect(&self, _: &Address) -> Result<Connected, DialError> {
        let stream = self.0.lock().await.take().expect("one connection");
        Ok(Connected { stream: Box::new(stream), origin: Origin::MEMORY })
    }
}
