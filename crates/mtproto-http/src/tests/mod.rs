//! Requests as clients write them, and links at both ends.

mod client;
mod hostile;
mod links;
mod patience;
mod raw;
mod requests;

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use mtproto_frame::Address;
use mtproto_transport::{Connect, Connected, DialError, Link, Listen, Origin};
use tokio::io::{DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::{HttpConfig, HttpDial, HttpServerLink};

/// How much may be on its way in one direction, in bytes.
const IN_FLIGHT: usize = 1 << 14;

/// A dialler within this process, and the listener it reaches.
fn memory() -> (HttpDial, MemoryListen) {
    memory_at("http://server:80/api")
}

fn memory_at(address: &str) -> (HttpDial, MemoryListen) {
    let (streams, accepted) = mpsc::unbounded_channel();
    let connect = Arc::new(MemoryConnect(streams));
    (HttpDial::new(address.parse().unwrap(), connect), MemoryListen(accepted))
}

/// Makes streams within this process.
struct MemoryConnect(mpsc::UnboundedSender<DuplexStream>);

#[async_trait]
impl Connect for MemoryConnect {
    async fn connect(&self, address: &Address) -> Result<Connected, DialError> {
        let (near, far) = duplex(IN_FLIGHT);
        self.0.send(far).map_err(|_| DialError::Connect {
            target: address.to_string(),
            source: io::ErrorKind::ConnectionRefused.into(),
        })?;
        Ok(Connected { stream: Box::new(near), origin: Origin::MEMORY })
    }
}

/// Takes the streams of a [`MemoryConnect`].
struct MemoryListen(mpsc::UnboundedReceiver<DuplexStream>);

impl MemoryListen {
    async fn stream(&mut self) -> DuplexStream {
        self.0.recv().await.expect("the dialler is there")
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[async_trait]
impl Listen for MemoryListen {
    async fn accept(&mut self) -> io::Result<Box<dyn Link>> {
        let config = Arc::new(HttpConfig::default());
        Ok(Box::new(HttpServerLink::new(self.stream().await, Origin::MEMORY, config)))
    }
}

/// Makes real connections.
struct TcpConnect;

#[async_trait]
impl Connect for TcpConnect {
    async fn connect(&self, address: &Address) -> Result<Connected, DialError> {
        let target = (address.host.to_string(), address.port);
        let failed = |source| DialError::Connect { target: address.to_string(), source };
        let stream = TcpStream::connect(target).await.map_err(failed)?;
        let origin = Origin::tcp(stream.peer_addr().map_err(failed)?);
        Ok(Connected { stream: Box::new(stream), origin })
    }
}

/// Takes real connections.
struct TcpAccept(TcpListener);

#[async_trait]
impl Listen for TcpAccept {
    async fn accept(&mut self) -> io::Result<Box<dyn Link>> {
        let (stream, peer) = self.0.accept().await?;
        let config = Arc::new(HttpConfig::default());
        Ok(Box::new(HttpServerLink::new(stream, Origin::tcp(peer), config)))
    }
}
