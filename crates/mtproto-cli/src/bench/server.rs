//! The server under test.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use mtproto_kit::crypto::OsRandom;
use mtproto_kit::crypto::rsa::RsaPublicKey;
use mtproto_kit::frame::{
    Address, Framing, Host, Obfuscation, ProxyLink, Scheme, Secret, Wire, WireConfig,
};

use super::BenchArgs;
use super::exchange::Exchanger;
use super::net::Net;
use super::talk::explain_socket;
use crate::exit::Failure;
use crate::keys;

/// Where the server is, how to speak to it, and by what to know it.
pub(super) struct Server {
    address: SocketAddr,
    pub(super) wire: WireConfig,
    keys: Arc<[RsaPublicKey]>,
    dc: i16,
    /// How long anything may take that is not measured.
    pub(super) patience: Duration,
}

impl Server {
    pub(super) fn new(args: &BenchArgs) -> Result<Self, Failure> {
        let (address, link_secret) = address(args.address.text())?;
        let secret = args.secret.clone().or(link_secret);
        let keys = args.key.iter().map(|path| keys::read_public(path));
        Ok(Self {
            address: resolve(&address)?,
            wire: wire(args, secret)?,
            keys: keys.collect::<Result<_, _>>()?,
            dc: args.dc,
            patience: Duration::from_secs_f64(args.timeout),
        })
    }

    pub(super) fn net(&self) -> Result<Net, Failure> {
        Net::new(self.address, &self.wire).map_err(explain_socket)
    }

    pub(super) fn exchanger(&self) -> Exchanger {
        Exchanger::new(self.keys.clone(), self.dc.into())
    }
}

/// The address of a text, which was checked before, and the secret in it.
fn address(text: &str) -> Result<(Address, Option<Secret>), Failure> {
    if let Ok(link) = text.parse::<ProxyLink>() {
        return Ok((link.address(), Some(link.secret)));
    }
    let address: Address = text.parse().map_err(Failure::usage)?;
    if address.scheme == Scheme::Tcp {
        return Ok((address, None));
    }
    let reason = "bench speaks MTProto over TCP only; give tcp://HOST:PORT";
    Err(Failure::usage(format!("{address}: {reason}")))
}

fn resolve(address: &Address) -> Result<SocketAddr, Failure> {
    let host = match &address.host {
        Host::Ip(ip) => return Ok(SocketAddr::new(*ip, address.port)),
        Host::Name(name) => name.as_str(),
    };
    let found = (host, address.port).to_socket_addrs();
    let found = found.ok().and_then(|mut found| found.next());
    found
        .ok_or_else(|| Failure::network(format!("{host}: no host of that name; check the address")))
}

fn wire(args: &BenchArgs, secret: Option<Secret>) -> Result<WireConfig, Failure> {
    if secret.as_ref().is_some_and(Secret::is_fake_tls) {
        let fix = "give the same secret without its name, as dd and 32 hex digits";
        return Err(Failure::usage(format!("--secret: bench does not speak fake TLS; {fix}")));
    }
    let needs_padded = secret.as_ref().is_some_and(Secret::needs_padded);
    let default = if needs_padded { Framing::Padded } else { Framing::Intermediate };
    let mut wire = WireConfig::plain(args.framing.unwrap_or(default));
    if args.obfuscated || secret.is_some() {
        wire.obfuscation = Some(Obfuscation { secret, dc: args.dc });
    }
    // Layers that do not go together are told of before there is any connection.
    Wire::client(&wire, &mut OsRandom::new()).map_err(Failure::usage)?;
    Ok(wire)
}
