//! Names of services and aliases: one namespace, parsed once.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Fault};

/// Longest name, bytes.
const LIMIT: usize = 200;

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
        let refuse = |reason: &str| Err(Error::InvalidName(Fault::at("service", reason)));
        if name.is_empty() {
            return Err(Error::EmptyName);
        }
        if name.len() > LIMIT {
            return refuse(&format!("a name has at most {LIMIT} bytes, found {}", name.len()));
        }
        if name == "." || name == ".." || name.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
            return refuse("a name has no slash, backslash or control character and is not . or ..");
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// The lower-cased text.
    pub fn as_str(&self) -> &str {
        &self.0
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
    fn names_that_could_be_paths_are_refused() {
        let long = "a".repeat(201);
        for name in ["", ".", "..", "../x", "/abs", "a/../../b", "a\\..\\b", "a\0b", "a\nb", &long] {
            assert!(ServiceName::parse(name).is_err(), "{name:?}");
        }
    }
}
