//! Connections: from the first bytes of a client to the end of both.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use mtproto_kit::frame::{
    Address, Inbound, Obfuscation, Recognised, Scheme, Secret, ServerWireConfig, StreamKind,
    WireConfig,
};
use mtproto_kit::tcp::{TcpDial, TcpLink, TcpListen};
use mtproto_kit::transport::{LinkError, LinkExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::carry::{as_sent, both_ways};

/// How many clients there may be; more wait to be accepted.
pub(crate) const CLIENTS_MAX: usize = 10_000;

/// How long a client may take for its first packet.
pub(crate) const HELLO_LIMIT: Duration = Duration::from_secs(10);

/// How long what is left may take to leave when a connection ends.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A port for clients, and where they go.
pub(crate) struct Relay {
    listen: TcpListen,
    address: SocketAddr,
    centers: Arc<HashMap<u16, Address>>,
}

/// A data center's number and address, written as `2=tcp://HOST:PORT`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DataCenter {
    pub(crate) number: u16,
    pub(crate) address: Address,
}

impl FromStr for DataCenter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').ok_or("give NUMBER=ADDRESS, as 2=tcp://HOST:PORT")?;
        let number = parts.0.parse().ok().filter(|number| *number != 0);
        let number = number.ok_or_else(|| format!("{}: give a number from 1 on", parts.0))?;
        let address: Address = parts.1.parse().map_err(|error| format!("{error}"))?;
        if address.scheme != Scheme::Tcp {
            return Err(format!("{address}: a relay speaks TCP; give tcp://HOST:PORT"));
        }
        Ok(Self { number, address })
    }
}

impl Relay {
    /// Opens the port. The last address of a data center counts.
    pub(crate) fn bind(
        listen: SocketAddr,
        secrets: Vec<Secret>,
        centers: Vec<DataCenter>,
    ) -> Result<Self, String> {
        let config = Arc::new(ServerWireConfig::with_secrets(secrets));
        let listen = TcpListen::bind(listen, config).map_err(|error| error.to_string())?;
        let address = listen.local_address().map_err(|error| error.to_string())?;
        let centers = centers.into_iter().map(|center| (center.number, center.address));
        Ok(Self { listen, address, centers: Arc::new(centers.collect()) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves clients till the port is lost.
    pub(crate) async fn run(mut self) -> Result<(), String> {
        let room = Arc::new(Semaphore::new(CLIENTS_MAX));
        loop {
            let place = Arc::clone(&room).acquire_owned().await;
            let place = place.map_err(|error| error.to_string())?;
            let client = self.listen.accept_link().await.map_err(|error| error.to_string())?;
            tokio::spawn(serve(client, Arc::clone(&self.centers), place));
        }
    }
}

/// One client, from its first packet on.
async fn serve(
    mut client: TcpLink,
    centers: Arc<HashMap<u16, Address>>,
    _place: OwnedSemaphorePermit,
) {
    let peer = client.stream().peer_addr().ok();
    match connect(&mut client, &centers).await {
        Ok(mut center) => {
            let why = both_ways(&mut client, &mut center).await;
            debug!(?peer, %why, "a connection ended");
            let close = async { tokio::join!(client.close(), center.close()) };
            // What cannot be sent any more is lost with the connection, as on any network.
            let _ = timeout(CLOSE_LIMIT, close).await;
        }
        Err(why) => warn!(?peer, %why, "a client was turned away"),
    }
}

/// Waits for what the client wants, and opens the way there: in the same framing, so that a
/// padded packet stays padded, and with the number that the client gave.
async fn connect(client: &mut TcpLink, centers: &HashMap<u16, Address>) -> Result<TcpLink, String> {
    let first = timeout(HELLO_LIMIT, client.recv()).await;
    let first = first.map_err(|_| format!("no packet came in {HELLO_LIMIT:?}"))?;
    let first = first.map_err(|error| error.to_string())?;
    let (kind, dc) = wanted(client)?;
    let address = center(centers, dc).ok_or_else(|| format!("there is no data center {dc}"))?;
    let obfuscation = Some(Obfuscation { secret: None, dc });
    let config = WireConfig { obfuscation, ..WireConfig::plain(kind.framing) };
    let dial = TcpDial::new(address.clone(), config);
    let mut center = dial.dial_link().await.map_err(|error| error.to_string())?;
    hand_on(first, &mut center).await.map_err(|error| error.to_string())?;
    Ok(center)
}

async fn hand_on(first: Inbound, center: &mut TcpLink) -> Result<(), LinkError> {
    center.send(as_sent(first)).await
}

/// What the client's first bytes say.
fn wanted(client: &TcpLink) -> Result<(StreamKind, i16), String> {
    match client.recognised() {
        Some(Recognised::Stream(kind)) => {
            let obfuscation = kind.obfuscation.ok_or("it does not know the secret")?;
            Ok((kind, obfuscation.dc))
        }
        _ => Err("it does not speak MTProto".to_owned()),
    }
}

/// Where a number leads that a client gave: media data centers are negative, those for tests are
/// 10000 more.
pub(crate) fn center(centers: &HashMap<u16, Address>, dc: i16) -> Option<&Address> {
    let number = dc.unsigned_abs();
    centers.get(&number).or_else(|| centers.get(&number.checked_sub(TEST_CENTERS)?))
}

/// What the numbers of test data centers have more.
const TEST_CENTERS: u16 = 10_000;
