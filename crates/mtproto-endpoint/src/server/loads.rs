//! Auth keys that the store looks for, and the packets that wait for them.

use std::collections::HashMap;

use mtproto_session::LinkId;
use mtproto_tl::AuthKeyId;

use super::packets::Packet;

/// Keys that the store looks for at a time. A link that names one more gets -429.
pub const LOADS_MAX: usize = 1024;

/// Keys that the store looks for at a time because one link named them. One more costs it -429.
pub const LOADS_PER_LINK_MAX: usize = 4;

/// Packets that wait for one key. More cost their link -429.
pub const PACKETS_WAITING_MAX: usize = 1024;

/// Bytes of all packets that wait for keys. More cost their link -429.
pub const WAITING_BYTES_MAX: usize = 64 << 20;

/// Names one look into the store. The number tells it from an earlier one for the same key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LoadRef {
    pub(super) key: AuthKeyId,
    number: u64,
}

#[derive(Default)]
pub(super) struct Loads {
    by_key: HashMap<AuthKeyId, Load>,
    /// Of all packets that wait.
    bytes: usize,
    begun: u64,
}

struct Load {
    number: u64,
    /// Who named the key first.
    link: LinkId,
    packets: Vec<Packet>,
}

impl Loads {
    /// Lets `packet` wait for its key; returns what to ask the store, if it is not asked already.
    pub(super) fn wait(
        &mut self,
        key: AuthKeyId,
        packet: Packet,
    ) -> Result<Option<LoadRef>, TooMany> {
        let (link, len) = (packet.link, packet.payload.len());
        if self.bytes + len > WAITING_BYTES_MAX {
            return Err(TooMany);
        }
        if let Some(load) = self.by_key.get_mut(&key) {
            if load.packets.len() >= PACKETS_WAITING_MAX {
                return Err(TooMany);
            }
            load.packets.push(packet);
            self.bytes += len;
            return Ok(None);
        }
        let of_link = self.by_key.values().filter(|load| load.link == link).count();
        if self.by_key.len() >= LOADS_MAX || of_link >= LOADS_PER_LINK_MAX {
            return Err(TooMany);
        }
        let load = LoadRef { key, number: self.next_number() };
        let packets = vec![packet];
        self.by_key.insert(key, Load { number: load.number, link, packets });
        self.bytes += len;
        Ok(Some(load))
    }

    /// The key has changed in the store. If it is being looked for, it must be looked for again:
    /// the answer under way may be older than the change.
    pub(super) fn renew(&mut self, key: AuthKeyId) -> Option<LoadRef> {
        let number = self.next_number();
        let load = self.by_key.get_mut(&key)?;
        load.number = number;
        Some(LoadRef { key, number })
    }

    /// The store has answered: the packets that waited, or none if nobody waits for that answer.
    pub(super) fn finish(&mut self, load: LoadRef) -> Vec<Packet> {
        if self.by_key.get(&load.key).is_none_or(|current| current.number != load.number) {
            return Vec::new();
        }
        let Some(Load { packets, .. }) = self.by_key.remove(&load.key) else { return Vec::new() };
        self.bytes -= packets.iter().map(|packet| packet.payload.len()).sum::<usize>();
        packets
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    fn next_number(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }
}

#[cfg(test)]
impl Loads {
    /// Checks that the bytes are counted right.
    pub(super) fn assert_sound(&self) {
        let packets = self.by_key.values().flat_map(|load| &load.packets);
        assert_eq!(self.bytes, packets.map(|packet| packet.payload.len()).sum::<usize>());
    }
}

/// There is no room to let a packet wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TooMany;
