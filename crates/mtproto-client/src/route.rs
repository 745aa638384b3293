//! The way to a server: from an address and what was said about it to a [`Dial`].

use std::sync::Arc;

use mtproto_crypto::OsRandom;
#[cfg(feature = "web")]
use mtproto_frame::Misuse;
use mtproto_frame::{Address, Framing, Obfuscation, ProxyLink, Scheme, Secret, Wire, WireConfig};
use mtproto_tcp::{Proxy, TcpConnect, TcpDial};
#[cfg(feature = "tls")]
use mtproto_tls::{TlsClient, TlsConnect, Trust};
#[cfg(feature = "web")]
use mtproto_transport::Connect;
use mtproto_transport::Dial;

use crate::ConnectError;

/// What a client was told about the way to its server.
#[derive(Default)]
pub(crate) struct Route {
    pub(crate) framing: Option<Framing>,
    pub(crate) obfuscated: bool,
    pub(crate) secret: Option<Secret>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) ipv6_first: bool,
    pub(crate) any_port: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsClient>,
}

impl Route {
    /// Reads an address, or a proxy link, whose secret is then ours.
    pub(crate) fn read(&mut self, text: &str) -> Result<Address, ConnectError> {
        if !ProxyLink::is_meant_by(text) {
            return Ok(text.parse()?);
        }
        let link: ProxyLink = text.parse()?;
        let address = link.address();
        self.secret = Some(link.secret);
        Ok(address)
    }

    /// The way to `address`. What can never work is said at once, not after many dials.
    pub(crate) fn dial(self, address: &Address, dc: i32) -> Result<Arc<dyn Dial>, ConnectError> {
        match address.scheme {
            Scheme::Tcp => {
                let dial = TcpDial::new(address.clone(), self.wire(false, dc)?);
                Ok(Arc::new(dial.connect(Arc::new(self.tcp()))))
            }
            #[cfg(feature = "web")]
            Scheme::Ws | Scheme::Wss => {
                let wire = self.wire(true, dc)?;
                if wire.obfuscation.as_ref().is_some_and(is_fake_tls) {
                    return Err(Misuse::FakeTlsElsewhere.into());
                }
                let connect = self.connect(address)?;
                Ok(Arc::new(mtproto_ws::WsDial::new(address.clone(), wire, connect)))
            }
            #[cfg(feature = "web")]
            Scheme::Http | Scheme::Https => {
                if self.framing.is_some() || self.obfuscated || self.secret.is_some() {
                    return Err(Misuse::HttpFraming.into());
                }
                let connect = self.connect(address)?;
                Ok(Arc::new(mtproto_http::HttpDial::new(address.clone(), connect)))
            }
            scheme => Err(ConnectError::Unsupported { scheme }),
        }
    }

    /// The layers of the stream. The kind of secret says which framing, if nothing else does.
    fn wire(&self, must_obfuscate: bool, dc: i32) -> Result<WireConfig, ConnectError> {
        let is_padded = self.secret.as_ref().is_some_and(Secret::needs_padded);
        let usual = if is_padded { Framing::Padded } else { Framing::Intermediate };
        let is_obfuscated = must_obfuscate || self.obfuscated || self.secret.is_some();
        let obfuscation = is_obfuscated.then(|| Obfuscation {
            secret: self.secret.clone(),
            // The header has 16 bits for it; numbers beyond mean nothing to a proxy.
            dc: i16::try_from(dc).unwrap_or_default(),
        });
        let wire = WireConfig { obfuscation, ..WireConfig::plain(self.framing.unwrap_or(usual)) };
        Wire::client(&wire, &mut OsRandom::new())?;
        Ok(wire)
    }

    fn tcp(self) -> TcpConnect {
        let connect = TcpConnect::new().ipv6_first(self.ipv6_first).any_port(self.any_port);
        match self.proxy {
            None => connect,
            Some(proxy) => connect.proxy(proxy),
        }
    }

    /// Opens streams to `address`, with TLS on them if it says so.
    #[cfg(feature = "web")]
    fn connect(mut self, address: &Address) -> Result<Arc<dyn Connect>, ConnectError> {
        if !address.scheme.is_tls() {
            return Ok(Arc::new(self.tcp()));
        }
        self.tls(address)
    }

    #[cfg(feature = "tls")]
    fn tls(&mut self, _: &Address) -> Result<Arc<dyn Connect>, ConnectError> {
        let tls = match self.tls.take() {
            Some(tls) => tls,
            None => TlsClient::new(&Trust::Platform)?,
        };
        let tcp = std::mem::take(self).tcp();
        Ok(Arc::new(TlsConnect::new(Arc::new(tcp), tls)))
    }

    #[cfg(all(feature = "web", not(feature = "tls")))]
    fn tls(&mut self, address: &Address) -> Result<Arc<dyn Connect>, ConnectError> {
        Err(ConnectError::Unsupported { scheme: address.scheme })
    }
}

#[cfg(feature = "web")]
fn is_fake_tls(obfuscation: &Obfuscation) -> bool {
    obfuscation.secret.as_ref().is_some_and(Secret::is_fake_tls)
}
