//! Names of services and aliases, one namespace, and of peers; parsed once.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use dede_model::error::{Error, Fault};
use serde::{Deserialize, Serialize};

/// Longest name, bytes.
const LIMIT: usize = 200;
/// Longest name of a peer, bytes.
const PEER_LIMIT: usize = 64;

/// A name as it is stored and shown: ASCII lower-cased byte by byte, other UTF-8 kept (contract.md 1.0).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// Lower-cases and checks a name.
    ///
    /// # Errors
    /// [`Error::EmptyName`]; [`Error::InvalidName`] for `.`, `..`, a control character, a slash or backslash, or more than
    /// 200 bytes: names appear in URLs, logs and directories.
    pub fn parse(name: &str) -> Result<Self, Error> {
        if name.is_empty() {
            return Err(Error::EmptyName);
        }
        check(name).map_err(|reason| Error::InvalidName(Fault::at("service", reason)))?;
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// `<name>-<suffix>`, its end cut off where that would be too long.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        let room = LIMIT.saturating_sub(suffix.len() + 1);
        let cut = (0..=room.min(self.0.len())).rev().find(|end| self.0.is_char_boundary(*end)).unwrap_or(0);
        Self(format!("{}-{suffix}", &self.0[..cut]).into())
    }

    /// The lower-cased text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What no name may be.
fn check(name: &str) -> Result<(), String> {
    if name.len() > LIMIT {
        return Err(format!("a name has at most {LIMIT} bytes, found {}", name.len()));
    }
    if name == "." || name == ".." || name.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
        return Err("a name has no slash, backslash or control character and is not . or ..".to_owned());
    }
    Ok(())
}

/// The name of another server in the configuration of this one, as written there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerName(Arc<str>);

impl PeerName {
    /// Checks a name: letters, digits, `-`, `_` and `.`, so that it can stand before a slash and in a file of TOML.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for anything else, and for more than 64 bytes.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > PEER_LIMIT || !name.bytes().all(allowed) {
            let reason = format!("a peer's name of letters, digits, \"-\", \"_\" and \".\" expected, found {name:?}");
            return Err(Error::InvalidName(Fault::at("peer", reason)));
        }
        Ok(Self(name.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for PeerName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        Self::parse(&name)
    }
}

impl From<PeerName> for String {
    fn from(name: PeerName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl TryFrom<String> for ServiceName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        Self::parse(&name)
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_folds_ascii_only() {
        assert_eq!(ServiceName::parse("MyÉ😀Service").unwrap().as_str(), "myÉ😀service");
    }

    #[test]
    fn a_suffix_fits_whatever_the_name() {
        let long = ServiceName::parse(&"é".repeat(100)).unwrap();
        let cut = long.with_suffix("0a1b2c3d");
        assert_eq!(cut.as_str(), format!("{}-0a1b2c3d", "é".repeat(95)));
        assert!(ServiceName::parse(cut.as_str()).is_ok());
        assert_eq!(ServiceName::parse("iris").unwrap().with_suffix("2").as_str(), "iris-2");
    }

    #[test]
    fn names_that_could_be_paths_are_refused() {
        let long = "a".repeat(201);
        for name in ["", ".", "..", "../x", "/abs", "a/../../b", "a\\..\\b", "a\0b", "a\nb", &long] {
            assert!(ServiceName::parse(name).is_err(), "{name:?}");
        }
    }
}
