//! Who may connect, and how often.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::{DefaultKeyedRateLimiter, RateLimiter};
use mtproto_frame::TransportError;

use crate::shard::Packet;

/// Connections that are kept just long enough to be told why they are not served.
const TURNED_AWAY_MAX: usize = 64;

/// Addresses remembered for their key exchanges before those that have none lately are forgotten.
const ADDRESSES_MAX: usize = 1 << 16;

/// Tells addresses that are not served.
pub(crate) type Forbidden = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// How many connections there may be, in all and from one address, and how many key exchanges one
/// address may begin.
pub(crate) struct Quota {
    is_forbidden: Forbidden,
    connections_max: usize,
    connections_per_ip_max: usize,
    counts: Mutex<Counts>,
    exchanges: DefaultKeyedRateLimiter<IpAddr>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    turned_away: usize,
    per_ip: HashMap<IpAddr, usize>,
}

impl Quota {
    pub(crate) fn new(
        is_forbidden: Forbidden,
        connections_max: usize,
        connections_per_ip_max: usize,
        exchanges_per_second: NonZeroU32,
    ) -> Self {
        let rate = governor::Quota::per_second(exchanges_per_second);
        let (counts, exchanges) = (Mutex::default(), RateLimiter::keyed(rate));
        Self { is_forbidden, connections_max, connections_per_ip_max, counts, exchanges }
    }

    /// Takes a place for one connection from `ip`, which its drop gives back. Beyond the limits it
    /// is a place to be turned away from, and beyond that there is none.
    pub(crate) fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let is_forbidden = (self.is_forbidden)(ip);
        let mut counts = self.lock();
        let from_ip = counts.per_ip.get(&ip).copied().unwrap_or(0);
        let has_room = counts.all < self.connections_max && from_ip < self.connections_per_ip_max;
        if has_room && !is_forbidden {
            counts.all += 1;
            *counts.per_ip.entry(ip).or_default() += 1;
            metrics::gauge!("mtproto_connections").increment(1);
            return Some(Place { quota: Arc::clone(self), ip, refusal: None });
        }
        if counts.turned_away >= TURNED_AWAY_MAX {
            return None;
        }
        counts.turned_away += 1;
        let refusal = if is_forbidden { Refusal::Forbidden } else { Refusal::Crowded };
        Some(Place { quota: Arc::clone(self), ip, refusal: Some(refusal) })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_begin_exchange(&self, ip: IpAddr) -> bool {
        if self.exchanges.len() > ADDRESSES_MAX {
            self.exchanges.retain_recent();
        }
        self.exchanges.check_key(&ip).is_ok()
    }
}

/// The right to one connection.
pub(crate) struct Place {
    quota: Arc<Quota>,
    ip: IpAddr,
    /// Why the peer is turned away.
    refusal: Option<Refusal>,
}

/// Why a peer is turned away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refusal {
    /// There are too many connections already.
    Crowded,
    /// Its address is not served.
    Forbidden,
}

impl Place {
    /// Whether the peer may send this now; else what it is told.
    // req: S114
    pub(crate) fn admit(&self, packet: &Packet) -> Result<(), TransportError> {
        match self.refusal {
            Some(Refusal::Crowded) => Err(TransportError::Flood),
            Some(Refusal::Forbidden) => Err(TransportError::Forbidden),
            None if packet.begins_exchange() && !self.quota.may_begin_exchange(self.ip) => {
                Err(TransportError::Flood)
            }
            None => Ok(()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.quota.lock();
        if self.refusal.is_some() {
            counts.turned_away -= 1;
            return;
        }
        counts.all -= 1;
        if let Some(from_ip) = counts.per_ip.get_mut(&self.ip) {
            *from_ip -= 1;
            if *from_ip == 0 {
                counts.per_ip.remove(&self.ip);
            }
        }
        metrics::gauge!("mtproto_connections").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    const FORBIDDEN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 3));

    fn quota(all: usize, per_ip: usize) -> Arc<Quota> {
        let is_forbidden = Box::new(|ip| ip == FORBIDDEN);
        Arc::new(Quota::new(is_forbidden, all, per_ip, NonZeroU32::new(2).expect("two")))
    }

    fn plain(constructor: u32) -> Packet {
        let mut payload = BytesMut::zeroed(20);
        payload.extend_from_slice(&constructor.to_le_bytes());
        Packet { payload, quick_ack: false, is_turn: false }
    }

    // req: S114
    #[test]
    fn beyond_either_limit_a_peer_is_turned_away_until_a_place_is_free() {
        let quota = quota(3, 2);
        let taken = [ONE, ONE, OTHER].map(|ip| quota.take(ip).expect("there is room"));
        assert!(taken.iter().all(|place| place.refusal.is_none()));
        for ip in [ONE, OTHER] {
            let refused = quota.take(ip).expect("it may be told");
            assert_eq!(refused.admit(&plain(0)), Err(TransportError::Flood), "{ip}");
        }
        drop(taken);
        let again = quota.take(ONE).expect("there is room again");
        assert_eq!(again.admit(&plain(0)), Ok(()));
        drop(again);
        assert!(quota.lock().per_ip.is_empty(), "nobody is remembered for nothing");
    }

    #[test]
    fn there_is_an_end_to_turning_away_politely() {
        let quota = quota(0, 1);
        let waiting: Vec<_> = (0..TURNED_AWAY_MAX).map_while(|_| quota.take(ONE)).collect();
        assert_eq!(waiting.len(), TURNED_AWAY_MAX);
        assert!(quota.take(ONE).is_none());
        drop(waiting);
        assert!(quota.take(ONE).is_some());
    }

    // req: S114
    #[test]
    fn one_address_begins_only_so_many_exchanges_and_others_are_not_affected() {
        let quota = quota(10, 10);
        let [one, other] = [ONE, OTHER].map(|ip| quota.take(ip).expect("there is room"));
        let req_pq_multi = plain(0xbe7e_8ef1);
        assert_eq!(one.admit(&req_pq_multi), Ok(()));
        assert_eq!(one.admit(&req_pq_multi), Ok(()));
        assert_eq!(one.admit(&req_pq_multi), Err(TransportError::Flood));
        assert_eq!(one.admit(&plain(0xd712_e4be)), Ok(()), "what goes on is not what begins");
        assert_eq!(other.admit(&req_pq_multi), Ok(()));
    }

    // req: S114
    #[test]
    fn a_forbidden_address_is_told_so_however_much_room_there_is() {
        let quota = quota(10, 10);
        let place = quota.take(FORBIDDEN).expect("it may be told");
        assert_eq!(place.admit(&plain(0)), Err(TransportError::Forbidden));
        drop(place);
        assert_eq!(quota.lock().turned_away, 0);
    }
}
