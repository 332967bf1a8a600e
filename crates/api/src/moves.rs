//! What /moves takes and answers: the request of a move, its plan, progress and report. An addition of ours.
//!
//! Both sides of the wire use these types: the server answers them, the command line reads them.

use serde::{Deserialize, Serialize};

use crate::Object;

/// Body of POST /moves and POST /moves/plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// The service on the source; it is never changed.
    pub service: String,
    /// The peer it comes from, by its name in the target's configuration or by its URL; or what an upload or a relay is called.
    pub source: String,
    /// The stable name that is switched to the service; without one the service is only brought here.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Its name on the target; the one it has on the source by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Directory for its files; below the state directory by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Checkpoints travel too, so that the training can be resumed on the target.
    #[serde(default)]
    pub with_training_state: bool,
    /// Recent requests of the source's service are its golden inputs.
    #[serde(default)]
    pub with_requests: bool,
    /// Inputs and the source's answers to them, which the target must reproduce.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<GoldenCase>,
    /// What counts as safe: members of the comparison's policy; its defaults where absent.
    #[serde(default, skip_serializing_if = "Object::is_empty")]
    pub policy: Object,
    /// Longest time that live requests are compared before the switch, seconds.
    #[serde(default = "shadow_for_s")]
    pub shadow_for_s: u64,
    /// Shares of the traffic that the new service answers before the switch, one after the other, percent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canary: Vec<u8>,
    /// Switch as soon as the verdict is safe, instead of waiting for a promotion.
    #[serde(default)]
    pub auto: bool,
    /// How long the former service shadows the new one after the switch, seconds.
    #[serde(default = "watch_for_s")]
    pub watch_for_s: u64,
    /// Longest wait for requests in flight on the former service, seconds.
    #[serde(default = "drain_for_s")]
    pub drain_for_s: u64,
    /// How long the former service stays loaded after the drain, seconds; then it is unloaded, and its files stay.
    /// Without it, the former service stays loaded until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_for_s: Option<u64>,
    /// The former service is unloaded before the new one is loaded, for two that do not fit side by side: requests wait
    /// meanwhile, and nothing is compared on live ones.
    #[serde(default)]
    pub replace_first: bool,
    /// Longest time that requests wait while the network is exchanged, seconds; beyond it they are refused.
    #[serde(default = "hold_for_s")]
    pub hold_for_s: u64,
    /// Digest of the plan that is carried out; refused if the source or the target has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The user that requested the move, for the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Services of the same source whose aliases switch together with this one's, all in one change or none; everything else that is said
    /// here holds for them too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<AlsoMoved>,
}

/// A service that moves together with that of the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlsoMoved {
    /// The service on the source.
    pub service: String,
    /// The stable name that is switched to it.
    #[serde(rename = "as")]
    pub alias: String,
    /// Its name on the target; the one it has on the source by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Directory for its files; below the state directory by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Inputs and the source's answers to them, which the target must reproduce.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<GoldenCase>,
    /// Digest of its plan, where a plan is carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

impl MoveRequest {
    /// A service of a source, with every default.
    pub fn of(service: String, source: String) -> Self {
        Self {
            service,
            source,
            alias: None,
            name: None,
            repository: None,
            with_training_state: false,
            with_requests: false,
            golden: Vec::new(),
            policy: Object::new(),
            shadow_for_s: shadow_for_s(),
            canary: Vec::new(),
            auto: false,
            watch_for_s: watch_for_s(),
            drain_for_s: drain_for_s(),
            keep_for_s: None,
            replace_first: false,
            hold_for_s: hold_for_s(),
            plan: None,
            who: None,
            also: Vec::new(),
        }
    }
}

fn shadow_for_s() -> u64 {
    60
}

fn watch_for_s() -> u64 {
    10
}

fn drain_for_s() -> u64 {
    30
}

fn hold_for_s() -> u64 {
    10
}

/// One golden input: a predict's body without its service, and the answer's `predictions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenCase {
    /// `parameters` and `data` of the predict.
    pub request: Object,
    /// `body.predictions` of the answer.
    pub predictions: Vec<serde_json::Value>,
}

/// The phase of a move. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MovePhase {
    /// Plan computed; no changes made.
    Planned,
    /// Files come over, each verified.
    Copying,
    /// The network is loaded beside the one that serves.
    Loading,
    /// Requests run on it until its latency is flat.
    Warming,
    /// It must answer as it does on the source.
    Verifying,
    /// Live requests go to old and new; clients get the old one's answers.
    Shadowing,
    /// The commit: the alias points to the new service.
    Switching,
    /// The former service answers copies; a new one that turns out worse is rolled back.
    Watching,
    /// Requests in flight on the former service finish.
    Draining,
    /// Over, and the new service serves.
    Done,
    /// Over before the switch; everything is as it was.
    Aborted,
    /// Over after the switch; the former service serves again, or what a person pointed the alias to.
    #[serde(rename = "rolled_back")]
    RolledBack,
    /// Its record cannot be read: nothing is known of it, and nothing is done.
    Damaged,
}

impl MovePhase {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Copying => "copying",
            Self::Loading => "loading",
            Self::Warming => "warming",
            Self::Verifying => "verifying",
            Self::Shadowing => "shadowing",
            Self::Switching => "switching",
            Self::Watching => "watching",
            Self::Draining => "draining",
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::RolledBack => "rolled_back",
            Self::Damaged => "damaged",
        }
    }

    /// Whether nothing follows.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Aborted | Self::RolledBack | Self::Damaged)
    }

    /// Whether the alias was switched in or before this phase.
    pub fn is_after_switch(self) -> bool {
        matches!(self, Self::Watching | Self::Draining | Self::Done | Self::RolledBack)
    }
}

/// What a move would do, and with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovePlan {
    /// sha256 over everything below that `apply` relies on.
    pub digest: String,
    /// The request it answers.
    pub request: MoveRequest,
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
    /// The plans of the services that move together with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<MovePlan>,
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

/// Body of GET /moves/{id}, and each event of its stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MoveInfo {
    /// Which move.
    pub id: String,
    /// What was asked for.
    pub request: MoveRequest,
    /// Where it is.
    pub phase: MovePhase,
    /// Whether it waits for a promotion, or for `resume` after a restart or a failure to undo.
    pub waits_for: Option<String>,
    /// What it does now, for people.
    pub activity: String,
    /// How far the present phase is, where that can be said: done and total, in the unit named.
    pub progress: Option<MoveProgress>,
    /// Why it ended other than done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it found out so far.
    pub report: MoveReport,
    /// All moves that switch together with this one, itself among them, in the order they were asked for; none where it switches alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<Companion>,
}

/// One of the moves that switch together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// Which move.
    pub id: String,
    /// The service on the source.
    pub service: String,
    /// The alias that it switches.
    #[serde(rename = "as")]
    pub alias: String,
    /// Where it is.
    pub phase: MovePhase,
    /// What it waits for an operator to do.
    pub waits_for: Option<String>,
    /// What it does now, for people.
    pub activity: String,
    /// Why it ended other than done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

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
    pub warming: Option<serde_json::Value>,
    /// How the golden set came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub golden: Option<serde_json::Value>,
    /// Old against new on live requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<serde_json::Value>,
    /// The verdict on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<serde_json::Value>,
    /// New against former after the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<serde_json::Value>,
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
    /// Path of the certificate: `/moves/{id}/certificate`.
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
