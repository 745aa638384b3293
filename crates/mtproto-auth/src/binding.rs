//! Tying a temporary key to a permanent one: `auth.bindTempAuthKey`.
//! <https://core.telegram.org/method/auth.bindTempAuthKey>
//!
//! The query travels under the temporary key and holds a message under the permanent one, so that
//! its sender proves to have both. That message names the outer one: when the query is sent again
//! with another message id, or in another session, it must be built again.

use std::fmt;

use bytes::Bytes;
use mtproto_crypto::envelope::v1;
use mtproto_crypto::{AuthKey, SecureRandom};
use mtproto_tl::functions::auth::BindTempAuthKey;
use mtproto_tl::types::BindAuthKeyInner;
use mtproto_tl::{AuthKeyId, Decode, Encode, MsgId, SessionId};

/// How much later than a temporary key itself its binding may expire, in seconds: the client counts
/// from a later moment, and by its own clock.
pub const EXPIRES_AT_SLACK: u32 = 60;

/// The encrypted message that carries the query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Carrier {
    /// The key it is encrypted with, which is the one to be bound.
    pub key_id: AuthKeyId,
    /// Its session.
    pub session_id: SessionId,
    /// Its own id, in a container too.
    pub msg_id: MsgId,
}

/// Builds the query that binds the carrier's key to `perm_key` until `expires_at`, which is Unix
/// time in seconds by the server's clock.
// req: S112, S113
pub fn build(
    perm_key: &AuthKey,
    carrier: Carrier,
    expires_at: u32,
    random: &mut dyn SecureRandom,
) -> BindTempAuthKey {
    let (nonce, perm_auth_key_id) = (random.u64().cast_signed(), AuthKeyId(perm_key.id()));
    let expires_at = expires_at.cast_signed();
    let inner = BindAuthKeyInner {
        nonce,
        temp_auth_key_id: carrier.key_id,
        perm_auth_key_id,
        temp_session_id: carrier.session_id,
        expires_at,
    };
    // Five fields of fixed length: the array is exactly full.
    let mut bytes = [0; v1::INNER_LEN];
    bytes.copy_from_slice(&inner.to_bytes());
    let sealed = v1::seal(perm_key, carrier.msg_id.0, &bytes, random);
    let encrypted_message = Bytes::copy_from_slice(&sealed);
    BindTempAuthKey { perm_auth_key_id, nonce, expires_at, encrypted_message }
}

/// What a server knows of the temporary key that a query came under.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TempKey {
    /// When it ends: Unix time in seconds.
    pub expires_at: u32,
    /// The permanent key it is bound to already.
    pub bound_to: Option<AuthKeyId>,
}

/// A binding that passed every check, to be stored. It replaces the permanent key's earlier one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Binding {
    /// The temporary key.
    pub temp_key_id: AuthKeyId,
    /// The permanent key.
    pub perm_key_id: AuthKeyId,
    /// When the binding ends: Unix time in seconds.
    pub expires_at: u32,
}

/// Checks a query. `temp` is `None` if the carrier's key is not a temporary one; `perm_key` is the
/// permanent key of the id in the query, if there is one; `now` is Unix time in seconds.
///
/// # Errors
/// The error to be answered; nothing is bound then. Binding again to the same key is no error,
/// since the first answer may have been lost.
// req: S112, S113
pub fn check(
    query: &BindTempAuthKey,
    carrier: Carrier,
    temp: Option<TempKey>,
    perm_key: Option<&AuthKey>,
    now: u32,
) -> Result<Binding, BindError> {
    let temp = temp.ok_or(BindError::TempAuthKeyEmpty)?;
    let perm_key = perm_key.ok_or(BindError::EncryptedMessageInvalid)?;
    let sealed = v1::open(perm_key, &query.encrypted_message)
        .map_err(|_| BindError::EncryptedMessageInvalid)?;
    let inner = BindAuthKeyInner::from_slice(&sealed.inner)
        .map_err(|_| BindError::EncryptedMessageInvalid)?;
    let expected = BindAuthKeyInner {
        nonce: query.nonce,
        temp_auth_key_id: carrier.key_id,
        perm_auth_key_id: query.perm_auth_key_id,
        temp_session_id: carrier.session_id,
        expires_at: query.expires_at,
    };
    let is_ours = query.perm_auth_key_id.0 == perm_key.id()
        && inner == expected
        && (sealed.msg_id, sealed.seqno) == (carrier.msg_id.0, 0);
    if !is_ours {
        return Err(BindError::EncryptedMessageInvalid);
    }
    let expires_at = query.expires_at.cast_unsigned();
    if expires_at <= now || expires_at > temp.expires_at.saturating_add(EXPIRES_AT_SLACK) {
        return Err(BindError::ExpiresAtInvalid);
    }
    let perm_key_id = query.perm_auth_key_id;
    if temp.bound_to.is_some_and(|bound_to| bound_to != perm_key_id) {
        return Err(BindError::TempAuthKeyAlreadyBound);
    }
    Ok(Binding { temp_key_id: carrier.key_id, perm_key_id, expires_at })
}

/// Why a key is not bound, as the `rpc_error` says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BindError {
    /// The permanent key is unknown, or the message under it does not match the query.
    EncryptedMessageInvalid,
    /// The time is over, or later than the temporary key's own end.
    ExpiresAtInvalid,
    /// The temporary key is bound to another permanent key.
    TempAuthKeyAlreadyBound,
    /// The query did not come under a temporary key.
    TempAuthKeyEmpty,
}

impl BindError {
    /// `error_code`.
    #[must_use]
    pub fn code(self) -> i32 {
        400
    }

    /// `error_message`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::EncryptedMessageInvalid => "ENCRYPTED_MESSAGE_INVALID",
            Self::ExpiresAtInvalid => "EXPIRES_AT_INVALID",
            Self::TempAuthKeyAlreadyBound => "TEMP_AUTH_KEY_ALREADY_BOUND",
            Self::TempAuthKeyEmpty => "TEMP_AUTH_KEY_EMPTY",
        }
    }

    /// The error of this text, as a client receives it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [
            Self::EncryptedMessageInvalid,
            Self::ExpiresAtInvalid,
            Self::TempAuthKeyAlreadyBound,
            Self::TempAuthKeyEmpty,
        ]
        .into_iter()
        .find(|error| error.text() == text)
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.text())
    }
}

impl std::error::Error for BindError {}
