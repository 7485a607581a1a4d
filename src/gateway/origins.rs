//! Which pages may speak to the gateway: the list of origins, and whether one is on it.
//!
//! A browser lets any page open a WebSocket anywhere, and only says in `Origin` whose page it is (RFC 6455, section 10.2). Programs that are
//! no browsers send none.

use std::sync::Arc;

use crate::limits::{ORIGIN_BYTES_MAX, ORIGINS_COUNT_MAX};

/// Origins of pages that are let in, `scheme://host[:port]` each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Origins(Arc<[Box<str>]>);

/// Why a text is no origin.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// Too many of them.
    #[error("must be at most {ORIGINS_COUNT_MAX}, not {count}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// Not as browsers write them.
    #[error(
        "'{origin}' is not an origin: scheme, host and, where it is not the scheme's own, port, in lower case, like https://app.example"
    )]
    NotAnOrigin {
        /// The text.
        origin: String,
    },
}

impl Origins {
    /// Checks a list.
    pub fn new<T: AsRef<str>>(texts: &[T]) -> Result<Self, OriginError> {
        if texts.len() > ORIGINS_COUNT_MAX {
            return Err(OriginError::TooMany { count: texts.len() });
        }
        let checked = texts.iter().map(AsRef::as_ref).map(|text| match is_origin(text) {
            true => Ok(Box::from(text)),
            false => Err(OriginError::NotAnOrigin { origin: text.to_owned() }),
        });
        Ok(Self(checked.collect::<Result<Vec<_>, _>>()?.into()))
    }

    /// Whether an `Origin` header's text is on the list. Compared byte for byte: browsers write origins in one way only (RFC 6454, section 6).
    pub fn allows(&self, origin: &str) -> bool {
        self.0.iter().any(|known| **known == *origin)
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+');
    let in_host = |byte: u8| plain(byte) || matches!(byte, b':' | b'[' | b']' | b'_');
    text.len() <= ORIGIN_BYTES_MAX && !scheme.is_empty() && !host.is_empty() && scheme.bytes().all(plain) && host.bytes().all(in_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_more() {
        for good in ["https://app.example", "http://localhost:3000", "http://[::1]:8080", "capacitor://localhost"] {
            assert!(Origins::new(&[good]).unwrap().allows(good), "{good}");
        }
        for bad in
            ["", "*", "null", "app.example", "https://", "https://app.example/", "https://App.example", "https://a b", "https://user@host"]
        {
            assert!(Origins::new(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_allowed_whole_or_not_at_all() {
        let origins = Origins::new(&["https://app.example"]).unwrap();
        for other in
            ["https://app.example:444", "http://app.example", "https://app.example.evil.example", "https://evil.example", "null", ""]
        {
            assert!(!origins.allows(other), "{other}");
        }
    }
}
