//! From an address to a stream: names, families, ports, proxies.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mtproto_frame::{Address, Host};
use mtproto_transport::{Connect, Connected, DialError, Origin};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::Proxy;
use crate::race::race;
use crate::socket::set_up;

/// How long resolving and connecting may take together, unless set otherwise.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The ports that a data centre answers on, in the order in which they are tried.
// req: S68
pub const PORTS: [u16; 3] = [443, 80, 5222];

/// How long an address that did not answer is tried after the others.
pub const FAILURE_MEMORY: Duration = Duration::from_secs(600);

/// How many addresses that did not answer are remembered.
pub const FAILURES_MAX: usize = 64;

/// Opens TCP connections, directly or through a proxy.
///
/// All addresses of a name are tried, both families in turns, the next one when one fails or is
/// silent for [`ATTEMPT_DELAY`](crate::ATTEMPT_DELAY); whichever answers first wins. Those that did
/// not answer come last the next time.
pub struct TcpConnect {
    limit: Duration,
    ipv6_first: bool,
    any_port: bool,
    proxy: Option<Proxy>,
    failures: Mutex<VecDeque<(SocketAddr, Instant)>>,
}

impl Default for TcpConnect {
    fn default() -> Self {
        Self {
            limit: CONNECT_LIMIT,
            ipv6_first: false,
            any_port: false,
            proxy: None,
            failures: Mutex::default(),
        }
    }
}

impl TcpConnect {
    /// Connects directly, to the named port only, in the order that the resolver gives.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long resolving and connecting may take together.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Whether IPv6 comes before IPv4 whatever the resolver prefers; `force_try_ipv6` of a
    /// server's configuration asks for it. IPv4 is still tried.
    // req: S70
    #[must_use]
    pub fn ipv6_first(mut self, ipv6_first: bool) -> Self {
        self.ipv6_first = ipv6_first;
        self
    }

    /// Whether the other [`PORTS`] are tried when the one of the address does not answer. Leave it
    /// off for an address with `this_port_only`.
    // req: S69
    #[must_use]
    pub fn any_port(mut self, any_port: bool) -> Self {
        self.any_port = any_port;
        self
    }

    /// Goes through `proxy`, which also resolves names.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// As [`Connect::connect`], with the stream still known. Cancel-safe.
    ///
    /// # Errors
    /// Why there is no connection, naming the address.
    pub async fn open(&self, address: &Address) -> Result<TcpStream, DialError> {
        let stream = timeout(self.limit, async {
            match &self.proxy {
                None => self.open_direct(&address.host, &self.ports(address.port), address).await,
                Some(proxy) => self.open_through(proxy, address).await,
            }
        });
        let late = |_| DialError::Timeout { target: address.to_string(), limit: self.limit };
        let stream = stream.await.map_err(late)??;
        set_up(&stream);
        Ok(stream)
    }

    /// The ports to try, the named one first.
    fn ports(&self, named: u16) -> Vec<u16> {
        let others = PORTS.into_iter().filter(|port| self.any_port && *port != named);
        [named].into_iter().chain(others).collect()
    }

    /// Errors name `target`, which may be reached through this host.
    async fn open_direct(
        &self,
        host: &Host,
        ports: &[u16],
        target: &Address,
    ) -> Result<TcpStream, DialError> {
        let target = || target.to_string();
        let ips = resolve(host)
            .await
            .map_err(|source| DialError::Resolve { target: target(), source })?;
        let ips = in_turns(ips, self.ipv6_first);
        let all =
            ports.iter().flat_map(|port| ips.iter().map(|ip| SocketAddr::new(ip.ip(), *port)));
        let candidates = self.doubtful_last(all.collect());
        race(candidates, TcpStream::connect, |failed| self.remember(failed))
            .await
            .map_err(|source| DialError::Connect { target: target(), source })
    }

    /// A proxy says itself whether an address answers, so ports are tried one after the other.
    async fn open_through(&self, proxy: &Proxy, address: &Address) -> Result<TcpStream, DialError> {
        let mut last = None;
        for port in self.ports(address.port) {
            let stream = self.open_direct(&proxy.host, &[proxy.port], address).await?;
            match proxy.pass_on(stream, &address.host, port).await {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    debug!(%proxy, %address, port, %error, "not through the proxy");
                    last = Some(io::Error::other(format!("the proxy {proxy} says: {error}")));
                }
            }
        }
        let source = last.unwrap_or_else(|| io::ErrorKind::NotFound.into());
        Err(DialError::Connect { target: address.to_string(), source })
    }

    /// Puts those that did not answer lately behind the others.
    fn doubtful_last(&self, candidates: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
        let mut failures = self.failures();
        failures.retain(|(_, when)| when.elapsed() < FAILURE_MEMORY);
        let is_doubtful = |address: &SocketAddr| failures.iter().any(|(known, _)| known == address);
        let (doubtful, fine): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_doubtful);
        fine.into_iter().chain(doubtful).collect()
    }

    fn remember(&self, failed: SocketAddr) {
        let mut failures = self.failures();
        failures.retain(|(known, _)| *known != failed);
        if failures.len() >= FAILURES_MAX {
            failures.pop_front();
        }
        #[allow(clippy::disallowed_methods, reason = "a driver is where the time comes from")]
        failures.push_back((failed, Instant::now()));
    }

    fn failures(&self) -> MutexGuard<'_, VecDeque<(SocketAddr, Instant)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Connect for TcpConnect {
    async fn connect(&self, address: &Address) -> Result<Connected, DialError> {
        let stream = self.open(address).await?;
        let origin = origin(&stream, address)?;
        Ok(Connected { stream: Box::new(stream), origin })
    }
}

impl fmt::Debug for TcpConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpConnect")
            .field("ipv6_first", &self.ipv6_first)
            .field("any_port", &self.any_port)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

/// Where a stream that was opened to `address` leads: to the proxy, if it goes through one.
pub(crate) fn origin(stream: &TcpStream, address: &Address) -> Result<Origin, DialError> {
    let no_peer = |source| DialError::Connect { target: address.to_string(), source };
    stream.peer_addr().map(Origin::tcp).map_err(no_peer)
}

/// Ports of what is given are 0.
async fn resolve(host: &Host) -> io::Result<Vec<SocketAddr>> {
    match host {
        Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, 0)]),
        Host::Name(name) => {
            let addresses: Vec<_> = lookup_host((name.as_str(), 0)).await?.collect();
            if addresses.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "no address of it"));
            }
            Ok(addresses)
        }
    }
}

/// Puts addresses of both families in turns, so that one broken family costs one delay. The first
/// is IPv6 if that is asked for, else of the family that the resolver prefers.
fn in_turns(addresses: Vec<SocketAddr>, ipv6_first: bool) -> Vec<SocketAddr> {
    let preferred = ipv6_first || addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == preferred);
    let mut second = second.into_iter();
    let mut turns = Vec::new();
    for address in first {
        turns.push(address);
        turns.extend(second.next());
    }
    turns.extend(second);
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str) -> Vec<SocketAddr> {
        list.split(' ').map(|address| address.parse().unwrap()).collect()
    }

    // req: S70
    #[test]
    fn families_take_turns() {
        let check = |given, ipv6_first, expected| {
            assert_eq!(in_turns(parse(given), ipv6_first), parse(expected), "{given}");
        };
        let mixed = "[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1";
        check(mixed, false, "[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1");
        check("1.1.1.1:1 [::1]:1 [::2]:1", false, "1.1.1.1:1 [::1]:1 [::2]:1");
        check("1.1.1.1:1 [::1]:1 [::2]:1", true, "[::1]:1 1.1.1.1:1 [::2]:1");
        check("1.1.1.1:1", true, "1.1.1.1:1");
    }

    // req: S68, S69
    #[test]
    fn other_ports_are_tried_only_if_they_may_be() {
        let ports = |any_port, named| TcpConnect::new().any_port(any_port).ports(named);
        assert_eq!(ports(false, 443), [443]);
        assert_eq!(ports(true, 443), [443, 80, 5222]);
        assert_eq!(ports(true, 5222), [5222, 443, 80]);
        assert_eq!(ports(true, 8888), [8888, 443, 80, 5222]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_did_not_answer_comes_last_for_a_while() {
        let connect = TcpConnect::new();
        let all = parse("1.1.1.1:1 1.1.1.2:1 1.1.1.3:1");
        connect.remember(all[0]);
        let order = |of: &[SocketAddr]| connect.doubtful_last(of.to_vec());
        assert_eq!(order(&all), parse("1.1.1.2:1 1.1.1.3:1 1.1.1.1:1"));
        connect.remember(all[1]);
        connect.remember(all[2]);
        assert_eq!(order(&all), all, "in doubt about all, the order is as it was");
        tokio::time::advance(FAILURE_MEMORY).await;
        assert_eq!(order(&all), all);
        assert!(connect.failures().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_bounded_number_of_failures_is_remembered() {
        let connect = TcpConnect::new();
        let addresses = (1..).map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        for address in addresses.take(FAILURES_MAX + 3) {
            connect.remember(address);
            connect.remember(address);
        }
        assert_eq!(connect.failures().len(), FAILURES_MAX);
        assert_eq!(connect.failures().front().unwrap().0.port(), 4);
    }
}
