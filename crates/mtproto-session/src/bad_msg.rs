//! The codes of `bad_msg_notification`.

use std::fmt;

/// Why one message was refused. The discriminant is the code on the wire.
// req: S14
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(i32)]
pub enum BadMsg {
    /// The id is too low: the sender's clock is behind, or the message waited long.
    IdTooLow = 16,
    /// The id is too high: the sender's clock is ahead.
    IdTooHigh = 17,
    /// The id's low two bits are not a client's.
    IdBits = 18,
    /// A container's id is that of an earlier message.
    ContainerIdUsed = 19,
    /// The message is too old to tell whether it was received.
    TooOld = 20,
    /// A message with a lower id had a higher seqno.
    SeqnoTooLow = 32,
    /// A message with a higher id had a lower seqno.
    SeqnoTooHigh = 33,
    /// The seqno is odd and should be even.
    SeqnoOdd = 34,
    /// The seqno is even and should be odd.
    SeqnoEven = 35,
    /// The salt is wrong; always as `bad_server_salt`.
    Salt = 48,
    /// The container, or what else was packed, is invalid.
    Container = 64,
}

impl BadMsg {
    /// All of them, lowest code first.
    pub const ALL: [Self; 11] = [
        Self::IdTooLow,
        Self::IdTooHigh,
        Self::IdBits,
        Self::ContainerIdUsed,
        Self::TooOld,
        Self::SeqnoTooLow,
        Self::SeqnoTooHigh,
        Self::SeqnoOdd,
        Self::SeqnoEven,
        Self::Salt,
        Self::Container,
    ];

    /// The code on the wire.
    #[must_use]
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The reason with this code. Those of the group 0x40 are all about containers.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        match code {
            0x41..=0x4f => Some(Self::Container),
            _ => Self::ALL.into_iter().find(|reason| reason.code() == code),
        }
    }
}

impl fmt::Display for BadMsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self {
            Self::IdTooLow => "message id too low",
            Self::IdTooHigh => "message id too high",
            Self::IdBits => "message id with wrong low bits",
            Self::ContainerIdUsed => "container id used before",
            Self::TooOld => "message too old",
            Self::SeqnoTooLow => "seqno too low",
            Self::SeqnoTooHigh => "seqno too high",
            Self::SeqnoOdd => "seqno odd",
            Self::SeqnoEven => "seqno even",
            Self::Salt => "wrong salt",
            Self::Container => "invalid container",
        };
        write!(f, "{reason} ({})", self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        for reason in BadMsg::ALL {
            assert_eq!(BadMsg::from_code(reason.code()), Some(reason));
        }
        assert_eq!(BadMsg::from_code(0x47), Some(BadMsg::Container));
        assert_eq!(BadMsg::from_code(21), None);
    }
}
