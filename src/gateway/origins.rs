//! Which pages may use the node: the allow-list of origins, one for CORS, for beacons and for WebSockets.
//!
//! An origin is compared as browsers write it (RFC 6454, section 6.2): scheme, host, and the port where it is not the scheme's own. There is no
//! wildcard: a list that somebody has to write down is a list that somebody has read.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use crate::limits::{ORIGIN_BYTES_MAX, ORIGINS_COUNT_MAX};

/// The origins whose pages may use the node. Cloning is cheap.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Origins {
    listed: Arc<BTreeSet<Box<str>>>,
}

/// Why a text is no origin.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// Not of the form that browsers send.
    #[error(
        "'{origin}' is not an origin as browsers send it, like https://app.example.net or http://localhost:3000, without path and wildcard"
    )]
    NotAnOrigin {
        /// The text.
        origin: String,
    },
    /// Too many of them.
    #[error("must be at most {ORIGINS_COUNT_MAX}, not {count}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

/// Where a request comes from, as far as its headers tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Provenance {
    /// From no page: programs send no `Origin`, and pages none with reads of their own origin.
    NoPage,
    /// From a page that this listener itself has served, by the name it was asked under.
    Own,
    /// From a page of an origin on the list.
    Listed,
    /// From any other page.
    Foreign,
}

impl Origins {
    /// Takes a list. Case does not count, nor does a port that is the scheme's own.
    ///
    /// # Errors
    ///
    /// The first entry that is no origin, or that there are too many.
    pub fn new<T: AsRef<str>>(texts: &[T]) -> Result<Self, OriginError> {
        if texts.len() > ORIGINS_COUNT_MAX {
            return Err(OriginError::TooMany { count: texts.len() });
        }
        let mut listed = BTreeSet::new();
        for text in texts.iter().map(AsRef::as_ref) {
            let origin = normal(text).ok_or_else(|| OriginError::NotAnOrigin { origin: text.to_owned() })?;
            listed.insert(origin.into_boxed_str());
        }
        Ok(Self { listed: Arc::new(listed) })
    }

    /// Whether nothing is on the list.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether the origin is on the list.
    pub fn allows(&self, origin: &str) -> bool {
        // What browsers send is normal already; anything else is compared in its normal form all the same.
        self.listed.contains(origin) || normal(origin).is_some_and(|origin| self.listed.contains(origin.as_str()))
    }

    /// Where a request comes from.
    pub(crate) fn provenance(&self, headers: &HeaderMap) -> Provenance {
        let mut values = headers.get_all(ORIGIN).iter();
        let Some(value) = values.next() else { return Provenance::NoPage };
        let Ok(origin) = value.to_str() else { return Provenance::Foreign };
        if values.next().is_some() {
            return Provenance::Foreign;
        }
        let own = headers.get(HOST).and_then(|value| value.to_str().ok());
        match origin.split_once("://") {
            Some((_, host)) if own.is_some_and(|own| own.eq_ignore_ascii_case(host)) => Provenance::Own,
            _ if self.allows(origin) => Provenance::Listed,
            _ => Provenance::Foreign,
        }
    }
}

/// The form that browsers send, if the text is an origin at all.
fn normal(text: &str) -> Option<String> {
    if text.len() > ORIGIN_BYTES_MAX {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.'));
    let (host, port) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (&rest[..address.len() + 2], port.strip_prefix(':').or(if port.is_empty() { Some("") } else { None })?)
        }
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    let is_host = host.starts_with('[')
        || (!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')));
    if !is_scheme || !is_host || rest.ends_with(':') {
        return None;
    }
    let default = match scheme {
        "https" => "443",
        "http" => "80",
        _ => "",
    };
    if port.is_empty() || port == default {
        return Some(format!("{scheme}://{host}"));
    }
    let number: u16 = port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(format!("{scheme}://{host}:{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origins: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        for origin in origins {
            headers.append(ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn an_origin_is_compared_in_its_normal_form() {
        let origins =
            Origins::new(&["https://App.example.net:443", "http://localhost:3000", "capacitor://localhost", "http://[::1]:80"]).unwrap();
        for listed in
            ["https://app.example.net", "https://app.example.net:443", "http://localhost:3000", "capacitor://localhost", "http://[::1]"]
        {
            assert!(origins.allows(listed), "{listed}");
        }
        for foreign in [
            "http://app.example.net",
            "https://app.example.net:444",
            "https://evil.app.example.net",
            "https://app.example.net.evil.example",
            "https://app.example.net@evil.example",
            "https://app.example.net/",
            "http://localhost",
            "http://localhost:30000",
            "null",
            "",
            "*",
        ] {
            assert!(!origins.allows(foreign), "{foreign}");
        }
    }

    #[test]
    fn what_is_no_origin_is_not_taken_into_the_list() {
        for bad in [
            "",
            "*",
            "null",
            "app.example.net",
            "https://",
            "https://*.example.net",
            "https://a/b",
            "https://a:b",
            "https://a:",
            "https://a:70000",
            "https://a b",
            "://a",
            "https://[::1",
            "https://[x]",
        ] {
            assert!(matches!(Origins::new(&[bad]), Err(OriginError::NotAnOrigin { .. })), "{bad}");
        }
        let many = |count: usize| Origins::new(&(0..count).map(|n| format!("https://a{n}.example")).collect::<Vec<_>>()).is_ok();
        assert!(many(ORIGINS_COUNT_MAX) && !many(ORIGINS_COUNT_MAX + 1));
    }

    #[test]
    fn a_request_is_from_no_page_from_its_own_from_a_listed_or_from_a_foreign_one() {
        let origins = Origins::new(&["https://app.example.net"]).unwrap();
        for (sent, expected) in [
            (&[][..], Provenance::NoPage),
            (&["https://node.example.net"], Provenance::Own),
            (&["https://app.example.net"], Provenance::Listed),
            (&["https://evil.example"], Provenance::Foreign),
            (&["null"], Provenance::Foreign),
            (&["https://node.example.net@evil.example"], Provenance::Foreign),
            (&["https://app.example.net", "https://evil.example"], Provenance::Foreign),
        ] {
            assert_eq!(origins.provenance(&headers("node.example.net", sent)), expected, "{sent:?}");
        }
    }
}
