//! What a move would do: the plan that is agreed on, kept in the record.

use serde::{Deserialize, Serialize};

use super::spec::MoveSpec;

/// What a move would do, and with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovePlan {
    /// sha256 over everything below that `apply` relies on.
    pub digest: String,
    /// What was asked for.
    #[serde(rename = "request")]
    pub spec: MoveSpec,
    /// Version of the service on the source.
    pub version: String,
    /// Digest of the bundle's manifest.
    pub manifest: String,
    /// Name the service will have here.
    pub name: String,
    /// Directory its files will be in.
    pub repository: String,
    /// The service that answers under the alias now, and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
    /// Files, largest first.
    pub files: Vec<PlannedFile>,
    /// Size of all files, bytes.
    pub total_bytes: u64,
    /// Of which have to travel, bytes.
    pub send_bytes: u64,
    /// Free on the target's disk, bytes.
    pub disk_free_bytes: u64,
    /// Free memory of the target, bytes; 0 when unknown.
    pub memory_free_bytes: u64,
    /// What the new network is estimated to need, bytes: beside the former one, or beyond its place with `replace_first`.
    pub memory_needed_bytes: u64,
    /// How long requests are expected to wait while the network is exchanged, milliseconds; only with `replace_first`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_ms: Option<u64>,
    /// How long it is estimated to take, without the time that it waits for people.
    #[serde(default)]
    pub time: PlannedTime,
    /// Differences of engines, processors and versions that may change the last bits of answers.
    pub differences: Vec<String>,
    /// What a person should know; nothing here stops the move.
    pub notes: Vec<String>,
    /// What stops it.
    pub obstacles: Vec<String>,
}

/// How long a move is estimated to take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTime {
    /// Until the new service is there, loaded, warm and verified, milliseconds.
    pub ready_ms: u64,
    /// Longest comparison on live requests, before and after the switch, milliseconds.
    pub compared_ms: u64,
}

/// The service that a move replaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replaced {
    /// Its name.
    pub service: String,
    /// Its version.
    pub version: String,
    /// Whether it is a plain service whose name the alias takes over.
    pub takeover: bool,
}

/// One file of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedFile {
    /// Relative name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Of which have to travel.
    pub send_bytes: u64,
}
