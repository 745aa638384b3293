//! What either side of a stream is set to speak.

use crate::{FRAME_LEN_MAX_CLIENT, FRAME_LEN_MAX_SERVER, Framing, Secret};

/// What a client speaks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WireConfig {
    /// The framing; full cannot be obfuscated.
    pub framing: Framing,
    /// Whether and how the stream is obfuscated.
    pub obfuscation: Option<Obfuscation>,
    /// Longest payload taken, in bytes.
    pub frame_len_max: usize,
}

impl WireConfig {
    /// `framing` as it is, without obfuscation.
    #[must_use]
    pub fn plain(framing: Framing) -> Self {
        Self { framing, obfuscation: None, frame_len_max: FRAME_LEN_MAX_CLIENT }
    }

    /// `framing` obfuscated without a secret.
    #[must_use]
    pub fn obfuscated(framing: Framing) -> Self {
        let obfuscation = Some(Obfuscation { secret: None, dc: DC_DEFAULT });
        Self { framing, obfuscation, frame_len_max: FRAME_LEN_MAX_CLIENT }
    }

    /// `framing` obfuscated with a proxy's secret.
    #[must_use]
    pub fn with_secret(framing: Framing, secret: Secret) -> Self {
        let obfuscation = Some(Obfuscation { secret: Some(secret), dc: DC_DEFAULT });
        Self { framing, obfuscation, frame_len_max: FRAME_LEN_MAX_CLIENT }
    }
}

/// How a client hides its stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Obfuscation {
    /// A proxy's secret, if the server asks for one. One for fake TLS is used for what is inside
    /// the records; [`fake_tls`](crate::fake_tls) has the records themselves.
    pub secret: Option<Secret>,
    /// For proxies: the DC, plus 10000 for test DCs, negative for media DCs.
    pub dc: i16,
}

/// What a server answers to; shared by all its streams.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerWireConfig {
    /// Secrets that open obfuscated streams. Those for fake TLS open none outside of it: a
    /// [`Gate`](crate::fake_tls::Gate) finds their streams, and
    /// [`Wire::inside_fake_tls`](crate::Wire::inside_fake_tls) reads them.
    pub secrets: Vec<Secret>,
    /// Whether framings without obfuscation are taken.
    pub allow_plain: bool,
    /// Whether obfuscation without a secret is taken.
    pub allow_secretless: bool,
    /// Longest payload taken, in bytes.
    pub frame_len_max: usize,
}

impl ServerWireConfig {
    /// Takes every framing, obfuscated or not, without secrets.
    #[must_use]
    pub fn open() -> Self {
        Self {
            secrets: Vec::new(),
            allow_plain: true,
            allow_secretless: true,
            frame_len_max: FRAME_LEN_MAX_SERVER,
        }
    }

    /// Takes only what is obfuscated with one of `secrets`, as a proxy does.
    #[must_use]
    pub fn with_secrets(secrets: Vec<Secret>) -> Self {
        Self { secrets, allow_plain: false, allow_secretless: false, ..Self::open() }
    }
}

/// The DC a client names when it was given none.
const DC_DEFAULT: i16 = 2;
