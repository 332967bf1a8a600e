//! A part of 100.

use dede_model::error::Fault;
use serde::{Deserialize, Serialize};

/// 0 to 100 of 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Percent(u8);

impl Percent {
    /// All.
    pub const ALL: Self = Self(100);

    /// Checks a number.
    ///
    /// # Errors
    /// A complaint without a place.
    pub fn new(percent: u8) -> Result<Self, Fault> {
        if percent <= 100 {
            return Ok(Self(percent));
        }
        Err(Fault::new(format!("0 to 100 expected, found {percent}")))
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Percent {
    type Error = String;

    fn try_from(percent: u8) -> Result<Self, String> {
        Self::new(percent).map_err(|fault| fault.to_string())
    }
}

impl From<Percent> for u8 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}
