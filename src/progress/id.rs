//! Ids: who watched what, on which device. Opaque UTF-8, compared byte for byte.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::ID_BYTES_MAX;

/// Why a text is not an id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// No bytes.
    #[error("an id must have at least one byte")]
    Empty,
    /// Too many bytes.
    #[error("an id of {bytes} bytes is longer than {ID_BYTES_MAX}")]
    TooLong {
        /// Length of the offending text, in bytes.
        bytes: usize,
    },
    /// A control character, which logs, terminals and file names would trip over.
    #[error("an id must not contain control characters (found U+{code:04X})")]
    ControlCharacter {
        /// The character found.
        code: u32,
    },
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong { bytes: text.len() });
    }
    // Nearly all ids are ASCII, and bytes are compared many at a time.
    if text.bytes().fold(true, |plain, byte| plain & (0x20..0x7f).contains(&byte)) {
        return Ok(());
    }
    match text.chars().find(|c| c.is_control()) {
        Some(found) => Err(IdError::ControlCharacter { code: u32::from(found) }),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 128 bytes of UTF-8 without control characters, compared byte for byte. Cloning is cheap.
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text and takes it as an id.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// Whether a text is an id.
            pub fn check(text: &str) -> Result<(), IdError> {
                check(text)
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        // An id is hashed and compared as its text is.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.to_string()
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

id! {
    /// One viewer's profile, unique across the platform.
    ProfileId
}
id! {
    /// The playable thing: a film, an episode, a lesson, an audiobook. Another cut is another title.
    TitleId
}
id! {
    /// One player: a television, a phone, a browser.
    DeviceId
}
id! {
    /// A show that groups episodes in the continue-watching row.
    SeriesId
}
id! {
    /// One run of a player.
    SessionId
}
id! {
    /// Who pays: the account that a token was issued to. Streams are counted by it.
    AccountId
}
id! {
    /// One watch party.
    PartyId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_to_128_bytes_without_control_characters() {
        assert!(ProfileId::new("a").is_ok());
        assert!(ProfileId::new("account/profile ü").is_ok());
        assert_eq!(ProfileId::new(""), Err(IdError::Empty));
        assert!(TitleId::new("x".repeat(128)).is_ok());
        assert_eq!(TitleId::new("x".repeat(129)), Err(IdError::TooLong { bytes: 129 }));
        assert_eq!(DeviceId::new("tv\n"), Err(IdError::ControlCharacter { code: 10 }));
        assert_eq!(DeviceId::new("tv\u{85}"), Err(IdError::ControlCharacter { code: 0x85 }));
    }
}
