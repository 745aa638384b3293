//! What stands in a session file: one JSON object.
//!
//! JSON ends with its own last brace, so a file cut short cannot be taken for a whole one, and it
//! can be looked at. 64-bit numbers are hexadecimal text, as the bytes stand on the wire, because
//! many JSON readers round them. Beside each key stands its id, which its bytes must hash to.

use std::collections::BTreeMap;
use std::fmt;

use mtproto_crypto::AuthKey;
use mtproto_tl::Salt;
use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use zeroize::Zeroizing;

use super::SESSION_FILE_LEN_MAX;
use crate::{
    ClientKey, ClientRecord, DCS_MAX, DcRecord, SALTS_MAX, SaltPeriod, StoreError, TemporaryKey,
};

/// What is wrong with the contents of a file. Never quotes them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unreadable {
    /// Too many of something, or more bytes than are read.
    Long,
    /// The file ends too early.
    Short,
    /// It is JSON, but not what this version writes.
    Strange {
        /// The line, from 1; 0 if it is no single line.
        line: usize,
    },
    /// It is not JSON.
    Garbage {
        /// The line, from 1.
        line: usize,
    },
    /// It was written by another version.
    Version {
        /// Which.
        found: u32,
    },
    /// The bytes of a key do not hash to its id.
    WrongId,
}

impl Unreadable {
    /// What a person can do.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Version { .. } => "use the version that wrote it, or another file",
            Self::Long
            | Self::Short
            | Self::Strange { .. }
            | Self::Garbage { .. }
            | Self::WrongId => "restore a copy of it, or move it away to begin with a new key",
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => f.write_str("is longer than a session file can be"),
            Self::Short => f.write_str("is cut short"),
            Self::Strange { line } => {
                write!(f, "has a line {line} that does not belong in a session file")
            }
            Self::Garbage { line } => write!(f, "is not a session file: line {line} is not JSON"),
            Self::Version { found } => {
                write!(f, "is of version {found}, and this program knows {VERSION}")
            }
            Self::WrongId => f.write_str("holds a damaged key: its bytes do not match its id"),
        }
    }
}

/// Reads the text of a file.
///
/// # Errors
/// What is wrong with it, unless it is exactly what [`write`] writes.
pub(super) fn read(text: &[u8]) -> Result<ClientRecord, Unreadable> {
    if text.len() > SESSION_FILE_LEN_MAX {
        return Err(Unreadable::Long);
    }
    let mark: Mark = serde_json::from_slice(text).map_err(unreadable)?;
    if mark.mtproto_session != VERSION {
        return Err(Unreadable::Version { found: mark.mtproto_session });
    }
    let file: FileText = serde_json::from_slice(text).map_err(unreadable)?;
    if file.dcs.len() > DCS_MAX {
        return Err(Unreadable::Long);
    }
    let dcs = file.dcs.into_iter().map(|(number, dc)| Ok((number, dc.into_record()?)));
    Ok(ClientRecord { dcs: dcs.collect::<Result<_, _>>()? })
}

/// Writes the text of a file.
///
/// # Errors
/// `Full` above [`DCS_MAX`] or [`SALTS_MAX`], `TooLarge` above [`SESSION_FILE_LEN_MAX`].
pub(super) fn write(record: &ClientRecord) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    if record.dcs.len() > DCS_MAX {
        return Err(StoreError::Full { what: "data centres", max: DCS_MAX });
    }
    let dcs = record.dcs.iter().map(|(number, dc)| Ok((*number, DcText::of(dc)?)));
    let file = FileText { mtproto_session: VERSION, dcs: dcs.collect::<Result<_, _>>()? };
    // Room for all of it at once: a vector that grows leaves keys behind where it was.
    let mut text = Zeroizing::new(Vec::with_capacity(SESSION_FILE_LEN_MAX));
    serde_json::to_writer_pretty(&mut *text, &file)
        .map_err(|_| StoreError::Unavailable { reason: "the record has no text".to_owned() })?;
    text.push(b'\n');
    StoreError::check_len("session file", text.len(), SESSION_FILE_LEN_MAX)?;
    Ok(text)
}

// The message of the error is not used: it may quote a key.
#[allow(clippy::needless_pass_by_value, reason = "it is an argument of map_err")]
fn unreadable(error: serde_json::Error) -> Unreadable {
    match error.classify() {
        Category::Eof => Unreadable::Short,
        Category::Data => Unreadable::Strange { line: error.line() },
        Category::Io | Category::Syntax => Unreadable::Garbage { line: error.line() },
    }
}

/// The one field that every version has.
#[derive(Deserialize)]
struct Mark {
    mtproto_session: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    mtproto_session: u32,
    dcs: BTreeMap<i32, DcText>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DcText {
    address: String,
    time_offset_ms: i64,
    permanent: KeyText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    temporary: Option<TemporaryText>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TemporaryText {
    expires_at: u32,
    bound: bool,
    key: KeyText,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    id: Hex<8>,
    key: Hex<256>,
    created: u32,
    salts: Vec<SaltText>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SaltText {
    salt: Hex<8>,
    valid_since: u32,
    valid_until: u32,
}

impl DcText {
    fn of(dc: &DcRecord) -> Result<Self, StoreError> {
        let temporary = |temporary: &TemporaryKey| {
            let TemporaryKey { ref key, expires_at, bound } = *temporary;
            Ok(TemporaryText { expires_at, bound, key: KeyText::of(key)? })
        };
        Ok(Self {
            address: dc.address.clone(),
            time_offset_ms: dc.time_offset_ms,
            permanent: KeyText::of(&dc.permanent)?,
            temporary: dc.temporary.as_ref().map(temporary).transpose()?,
        })
    }

    fn into_record(self) -> Result<DcRecord, Unreadable> {
        let temporary = |TemporaryText { expires_at, bound, key }| {
            Ok(TemporaryKey { key: key.into_key()?, expires_at, bound })
        };
        Ok(DcRecord {
            address: self.address,
            time_offset_ms: self.time_offset_ms,
            permanent: self.permanent.into_key()?,
            temporary: self.temporary.map(temporary).transpose()?,
        })
    }
}

impl KeyText {
    fn of(key: &ClientKey) -> Result<Self, StoreError> {
        if key.salts.len() > SALTS_MAX {
            return Err(StoreError::Full { what: "salts of a key", max: SALTS_MAX });
        }
        let salt = |period: &SaltPeriod| SaltText {
            salt: Hex::new(period.salt.0.to_le_bytes()),
            valid_since: period.valid_since,
            valid_until: period.valid_until,
        };
        Ok(Self {
            id: Hex::new(key.key.id().to_le_bytes()),
            key: Hex::new(*key.key.as_bytes()),
            created: key.created,
            salts: key.salts.iter().map(salt).collect(),
        })
    }

    fn into_key(self) -> Result<ClientKey, Unreadable> {
        if self.salts.len() > SALTS_MAX {
            return Err(Unreadable::Long);
        }
        let key = AuthKey::new(*self.key.0);
        if key.id().to_le_bytes() != *self.id.0 {
            return Err(Unreadable::WrongId);
        }
        let salt = |text: SaltText| SaltPeriod {
            salt: Salt(u64::from_le_bytes(*text.salt.0)),
            valid_since: text.valid_since,
            valid_until: text.valid_until,
        };
        let salts = self.salts.into_iter().map(salt).collect();
        Ok(ClientKey { key, created: self.created, salts })
    }
}

/// Bytes as hexadecimal text, wiped when they are dropped.
struct Hex<const N: usize>(Zeroizing<[u8; N]>);

impl<const N: usize> Hex<N> {
    fn new(bytes: [u8; N]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes of exactly `2 * N` digits.
    fn parse(text: &str) -> Option<Self> {
        let mut hex = Self::new([0; N]);
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != N || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in hex.0.iter_mut().zip(pairs) {
            let [high, low] = [high, low].map(|digit| char::from(*digit).to_digit(16));
            *byte = u8::try_from(high? << 4 | low?).ok()?;
        }
        Some(hex)
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Zeroizing::new(String::with_capacity(2 * N));
        for byte in self.0.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        serializer.serialize_str(&text)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexVisitor)
    }
}

struct HexVisitor<const N: usize>;

impl<const N: usize> Visitor<'_> for HexVisitor<N> {
    type Value = Hex<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hexadecimal digits", 2 * N)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Hex<N>, E> {
        Hex::parse(text).ok_or_else(|| E::custom(format_args!("not {} digits", 2 * N)))
    }
}

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;
