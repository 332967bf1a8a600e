//! `m1`, `m2`, …: the number of a move on its target.
//!
//! It stands by itself, since services and aliases say which move made or changed them. It must not know what a move is.

use std::str::FromStr;

use dede_model::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// `m1`, `m2`, …: number of a move on its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MoveId(pub u64);

impl MoveId {
    /// The number behind the `m`.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for MoveId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "m{}", self.0)
    }
}

impl FromStr for MoveId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix('m').filter(|digits| digits.len() <= 18 && !digits.starts_with('0'));
        let number = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        number.and_then(|digits| digits.parse().ok()).map(Self).ok_or_else(|| Error::MoveNotFound(text.to_owned()))
    }
}

impl TryFrom<String> for MoveId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<MoveId> for String {
    fn from(id: MoveId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_written_form_is_an_id() {
        assert_eq!("m7".parse::<MoveId>().unwrap(), MoveId(7));
        for text in ["", "m", "7", "m07", "m-1", "m+1", "m1/../m2", "M7", "m99999999999999999999"] {
            assert!(text.parse::<MoveId>().is_err(), "{text}");
        }
    }
}
