//! The names that Telegram's data centres have on the web.

use std::fmt;
use std::str::FromStr;

use super::Host;

/// A data centre of Telegram that has a name.
///
/// ```
/// # use mtproto_frame::DataCenter;
/// let venus = DataCenter::from_number(2).unwrap();
/// assert_eq!(venus.host(true).to_string(), "venus-1.web.telegram.org");
/// assert_eq!(DataCenter::of(&venus.host(true)), Some((venus, true)));
/// ```
// req: S106
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DataCenter {
    /// DC 1.
    Pluto,
    /// DC 2.
    Venus,
    /// DC 3.
    Aurora,
    /// DC 4.
    Vesta,
    /// DC 5.
    Flora,
}

impl DataCenter {
    /// All of them, by number.
    pub const ALL: [Self; 5] = [Self::Pluto, Self::Venus, Self::Aurora, Self::Vesta, Self::Flora];

    /// The number, 1 to 5.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Pluto => 1,
            Self::Venus => 2,
            Self::Aurora => 3,
            Self::Vesta => 4,
            Self::Flora => 5,
        }
    }

    /// The one with this number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.number() == number)
    }

    /// Its host name. Browsers limit the requests to one name, so there is a `second`, with `-1`.
    // req: S107
    #[must_use]
    pub fn host(self, second: bool) -> Host {
        Host::Name(format!("{self}{}{DOMAIN}", if second { SECOND } else { "" }))
    }

    /// Whose name `host` is, and whether it is the second one.
    #[must_use]
    pub fn of(host: &Host) -> Option<(Self, bool)> {
        let Host::Name(name) = host else { return None };
        let name = name.to_ascii_lowercase();
        let label = name.strip_suffix(DOMAIN)?;
        let first = label.strip_suffix(SECOND);
        Some((first.unwrap_or(label).parse().ok()?, first.is_some()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pluto => "pluto",
            Self::Venus => "venus",
            Self::Aurora => "aurora",
            Self::Vesta => "vesta",
            Self::Flora => "flora",
        }
    }
}

impl fmt::Display for DataCenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DataCenter {
    type Err = UnknownDataCenter;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|known| known.name() == text);
        found.ok_or_else(|| UnknownDataCenter(text.to_owned()))
    }
}

/// A text that names no data centre.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownDataCenter(String);

impl fmt::Display for UnknownDataCenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        write!(f, "unknown data centre {text:?}: use pluto, venus, aurora, vesta or flora")
    }
}

impl std::error::Error for UnknownDataCenter {}

const DOMAIN: &str = ".web.telegram.org";
const SECOND: &str = "-1";
