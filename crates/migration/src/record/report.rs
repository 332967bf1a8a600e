//! What a move found out, and how far it is.

use dede_comparison::{Summary, Verdict};
use serde::{Deserialize, Serialize};

use super::figures::{Figures, GoldenReport, Warming};
use super::phase::MovePhase;
use super::plan::Replaced;

/// How far a phase is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MoveProgress {
    /// Done so far.
    pub done: u64,
    /// Of how many; 0 when unknown.
    pub total: u64,
    /// `bytes`, `requests`, `seconds`.
    pub unit: String,
}

/// What a move found out. Grows phase by phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MoveReport {
    /// Name of the new service on this server.
    pub service: String,
    /// Its version.
    pub version: String,
    /// Digest of its bundle's manifest.
    pub manifest: String,
    /// Its directory.
    pub repository: String,
    /// The service that it replaces, and that service's name after the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former: Option<Replaced>,
    /// Size of its files, bytes.
    pub total_bytes: u64,
    /// Of which travelled, bytes.
    pub sent_bytes: u64,
    /// Time of each phase so far.
    pub phases: Vec<PhaseTime>,
    /// How it was warmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warming: Option<Figures<Warming>>,
    /// How the golden set came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub golden: Option<Figures<GoldenReport>>,
    /// Old against new on live requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Figures<Summary>>,
    /// The verdict on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Figures<Verdict>>,
    /// New against former after the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<Figures<Summary>>,
    /// From the last old answer begun to the first new one that could begin, milliseconds, the fsync included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switch_ms: Option<f64>,
    /// Generation of the alias that the switch began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// What clients noticed where the former network left memory first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<ExchangeReport>,
    /// Requests that were still running on the former service at the end of the drain.
    #[serde(default)]
    pub cut_requests: u64,
    /// Those of them that ran longest, at most a hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<CutRequest>,
    /// Requests to the former and the new service while the move went on, since the server's last start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<ServedRequests>,
    /// Why the move proves nothing on live requests, where none was compared before and after the switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unproved: Option<String>,
    /// How long the former service stays loaded, where that was limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<FormerService>,
    /// Where the certificate is served, as the record says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// A request that was still running on the former service when the drain ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutRequest {
    /// When it began, milliseconds since 1970.
    pub began_ms: u64,
    /// How long it had been running, milliseconds.
    pub ran_ms: u64,
}

/// What clients were answered while a move went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedRequests {
    /// Predicts, those with a wrong request included.
    pub requests: u64,
    /// Of which failed by the server's own fault, or were refused while a network was exchanged.
    pub failed: u64,
    /// Of which were refused for what they asked, or for a full queue.
    #[serde(default)]
    pub refused: u64,
}

/// What clients noticed of a network that was exchanged in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExchangeReport {
    /// From the first request that had to wait to the moment that all went on, milliseconds.
    pub pause_ms: f64,
    /// Requests that waited.
    pub held_requests: u64,
    /// Requests that were refused with 503: they came too late, waited too long, or too many waited.
    pub failed_requests: u64,
}

/// The former service after a move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerService {
    /// When it leaves memory, milliseconds since 1970.
    pub until_ms: u64,
    /// What became of it then, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// Time of one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// Which.
    pub phase: MovePhase,
    /// When it began, milliseconds since 1970.
    pub began_ms: u64,
    /// How long it took, milliseconds; of the present one, until now.
    pub took_ms: u64,
}
