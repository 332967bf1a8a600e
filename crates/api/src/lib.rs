//! Wire types of the REST API: requests parsed tolerantly, answers as serde structures, and the error table.
//!
//! It owns spellings, member names and codes (contract.md part 1). It has no behaviour: it must not know services, models or
//! how a request travels.

pub mod aliases;
pub mod answer;
pub mod chain;
pub mod defaults;
pub mod errors;
pub mod json;
pub mod malformed;
pub mod moves;
pub mod predictions;
pub mod query;
pub mod relays;
pub mod requests;
pub mod services;
pub mod training;

/// A JSON object.
pub type Object = serde_json::Map<String, serde_json::Value>;
