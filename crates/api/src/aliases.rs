//! What /aliases answers. An addition of ours: no DeepDetect client knows it.

use serde::{Deserialize, Serialize};

/// `body` of GET, PUT and rollback of /aliases/{name}.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasInfo {
    /// The alias.
    pub name: String,
    /// The service it points to.
    pub service: String,
    /// The peer that has the service; left out where it is this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Digest of that service's model; left out while it has none, and for a peer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Number of times its route changed, from 1.
    pub generation: u64,
    /// The service that answers a share of the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<AliasShare>,
    /// The service that gets copies of a share of the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<AliasShadow>,
    /// What it pointed to, oldest first, the present target last.
    pub history: Vec<AliasStep>,
}

/// A service and its share of the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasShare {
    /// The service.
    pub service: String,
    /// Of 100 requests.
    pub percent: u8,
}

/// The shadow of an alias, and what became of its copies since the server started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasShadow {
    /// The service and its share.
    #[serde(flatten)]
    pub share: AliasShare,
    /// Copies answered by the shadow.
    pub compared: u64,
    /// Copies given up, so that no client waits.
    pub dropped: u64,
    /// Copies the shadow failed on.
    pub failed: u64,
    /// Copies that say nothing, because their input changed meanwhile: a file or a page that came or went.
    #[serde(default)]
    pub changed: u64,
}

/// One step of an alias's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasStep {
    /// Generation that this step began.
    pub generation: u64,
    /// The service's name at that time, or now if it was renamed since.
    pub service: String,
    /// The peer that has the service; left out where it is this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// When, as seconds since 1970.
    pub at_s: u64,
    /// Where the move is described that pointed it there, if one did; its certificate is below it.
    #[serde(rename = "move", default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}
