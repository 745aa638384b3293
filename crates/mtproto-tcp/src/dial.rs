//! The client's side.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mtproto_crypto::{OsRandom, SecureRandom};
use mtproto_frame::{Address, Host, WireConfig};
use mtproto_transport::{Dial, DialError, Link, Origin, StreamLink};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::TcpLink;
use crate::socket::set_up;

/// How long one address may keep the next from being tried.
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How long resolving and connecting may take together, unless set otherwise.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Connects to one address.
pub struct TcpDial {
    address: Address,
    config: WireConfig,
    connect_limit: Duration,
    random: Mutex<Box<dyn SecureRandom>>,
}

impl TcpDial {
    /// Connects to `address` and speaks what `config` says there.
    #[must_use]
    pub fn new(address: Address, config: WireConfig) -> Self {
        let random = Mutex::new(Box::new(OsRandom::new()) as Box<dyn SecureRandom>);
        Self { address, config, connect_limit: CONNECT_LIMIT, random }
    }

    /// Sets how long resolving and connecting may take together.
    #[must_use]
    pub fn connect_limit(mut self, limit: Duration) -> Self {
        self.connect_limit = limit;
        self
    }

    /// Sets where the keys of obfuscation come from; the system's generator otherwise.
    #[must_use]
    pub fn random(mut self, random: impl SecureRandom + 'static) -> Self {
        self.random = Mutex::new(Box::new(random));
        self
    }

    /// Where this connects to.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// As [`Dial::dial`], with the stream still known. Cancel-safe.
    ///
    /// # Errors
    /// Why there is no connection, naming the address.
    pub async fn connect(&self) -> Result<TcpLink, DialError> {
        let target = || self.address.to_string();
        let stream = match timeout(self.connect_limit, self.connect_stream()).await {
            Ok(stream) => stream?,
            Err(_) => {
                return Err(DialError::Timeout { target: target(), limit: self.connect_limit });
            }
        };
        set_up(&stream);
        let origin = stream
            .peer_addr()
            .map(Origin::tcp)
            .map_err(|source| DialError::Connect { target: target(), source })?;
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        StreamLink::client(stream, origin, &self.config, &mut **random)
            .map_err(|misuse| DialError::Config { target: target(), misuse })
    }

    async fn connect_stream(&self) -> Result<TcpStream, DialError> {
        let target = || self.address.to_string();
        let addresses = self
            .resolve()
            .await
            .map_err(|source| DialError::Resolve { target: target(), source })?;
        race(alternate(addresses), TcpStream::connect)
            .await
            .map_err(|source| DialError::Connect { target: target(), source })
    }

    async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let port = self.address.port;
        match &self.address.host {
            Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, port)]),
            Host::Name(name) => {
                let addresses: Vec<_> = lookup_host((name.as_str(), port)).await?.collect();
                if addresses.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "no address of it"));
                }
                Ok(addresses)
            }
        }
    }
}

#[async_trait]
impl Dial for TcpDial {
    async fn dial(&self) -> Result<Box<dyn Link>, DialError> {
        Ok(Box::new(self.connect().await?))
    }
}

impl fmt::Debug for TcpDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpDial")
            .field("address", &self.address)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Puts addresses of both families in turns, beginning with the family that the resolver prefers,
/// so that one broken family costs one delay.
fn alternate(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == preferred);
    let mut second = second.into_iter();
    let mut turns = VecDeque::new();
    for address in first {
        turns.push_back(address);
        turns.extend(second.next());
    }
    turns.extend(second);
    turns
}

/// Gives the connection to whichever address answers first. The next is tried when one fails, or
/// is silent for [`ATTEMPT_DELAY`]; those that lose are dropped.
async fn race<C, F>(
    mut addresses: VecDeque<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<C>
where
    C: Send + 'static,
    F: Future<Output = io::Result<C>> + Send + 'static,
{
    let mut attempts = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address to try");
    loop {
        if let Some(address) = addresses.pop_front() {
            attempts.spawn(connect(address));
        }
        let attempt = tokio::select! {
            attempt = attempts.join_next() => attempt,
            () = sleep(ATTEMPT_DELAY), if !addresses.is_empty() => continue,
        };
        match attempt {
            None => return Err(last),
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => {
                debug!(%error, "an address does not answer");
                last = error;
            }
            Some(Err(error)) => last = io::Error::other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn parse(list: &str) -> VecDeque<SocketAddr> {
        list.split(' ').map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        let check = |given, expected| assert_eq!(alternate(parse(given).into()), parse(expected));
        check("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1", "[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1");
        check("1.1.1.1:1 [::1]:1 [::2]:1", "1.1.1.1:1 [::1]:1 [::2]:1");
        check("1.1.1.1:1", "1.1.1.1:1");
    }

    /// An address whose port is even answers after so many milliseconds, others refuse.
    async fn connect(address: SocketAddr) -> io::Result<SocketAddr> {
        sleep(Duration::from_millis(address.port().into())).await;
        let refused = io::ErrorKind::ConnectionRefused.into();
        if address.port().is_multiple_of(2) { Ok(address) } else { Err(refused) }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "time is virtual here")]
    async fn the_first_to_answer_wins() {
        let check = async |list: &str, winner: usize, after: u64| {
            let (addresses, begin) = (parse(list), Instant::now());
            let address = race(addresses.clone(), connect).await.unwrap();
            assert_eq!(address, addresses[winner], "{list}");
            assert_eq!(begin.elapsed(), Duration::from_millis(after), "{list}");
        };
        check("1.1.1.1:10", 0, 10).await;
        check("1.1.1.1:240 1.1.1.2:2", 0, 240).await;
        // The first is silent, so the second starts after the delay.
        check("1.1.1.1:60000 1.1.1.2:10", 1, 260).await;
        check("1.1.1.1:60000 1.1.1.2:60000 1.1.1.3:10", 2, 510).await;
        check("1.1.1.1:300 1.1.1.2:100", 0, 300).await;
        // The first refuses, so the second starts at once.
        check("1.1.1.1:1 1.1.1.2:10", 1, 11).await;
        check("1.1.1.1:1 1.1.1.2:1 1.1.1.3:10", 2, 12).await;
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_answers() {
        let error = race(parse("1.1.1.1:1 1.1.1.2:301"), connect).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(race(VecDeque::new(), connect).await.is_err());
    }
}
