//! What /aliases answers. An addition of ours: no DeepDetect client knows it.

use serde::{Deserialize, Serialize};

/// `body` of GET, PUT and rollback of /aliases/{name}.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AliasInfo {
    /// The alias.
    pub name: String,
    /// The service it points to.
    pub service: String,
    /// Digest of that service's model; left out while it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Number of times it was pointed anywhere, from 1.
    pub generation: u64,
    /// What it pointed to, oldest first, the present target last.
    pub history: Vec<AliasStep>,
}

/// One step of an alias's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasStep {
    /// Generation that this step began.
    pub generation: u64,
    /// The service's name at that time, or now if it was renamed since.
    pub service: String,
    /// When, as seconds since 1970.
    pub at_s: u64,
}
