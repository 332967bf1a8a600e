//! What can be said of a move at one moment.

use dede_engine::move_id::MoveId;

use crate::record::{MovePhase, MoveProgress, MoveReport, MoveSpec};

/// All that is known of a move.
#[derive(Debug, Clone, PartialEq)]
pub struct MoveStatus {
    /// Which.
    pub id: MoveId,
    /// What was asked for.
    pub spec: MoveSpec,
    /// Where it is.
    pub phase: MovePhase,
    /// What it waits for an operator to do: `promote`, `resume` or `abort`.
    pub waits_for: Option<&'static str>,
    /// What it does now, for people.
    pub activity: String,
    /// How far the present phase is, where that can be said.
    pub progress: Option<MoveProgress>,
    /// Why it ended other than done, or is being undone.
    pub error: Option<String>,
    /// What it found out so far.
    pub report: MoveReport,
    /// The moves that switch together, this one among them; none where it switches alone.
    pub together: Vec<Companion>,
}

/// One of the moves that switch together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// Which.
    pub id: MoveId,
    /// The service on the source.
    pub service: String,
    /// The alias that it switches, as it was asked for.
    pub alias: String,
    /// Where it is.
    pub phase: MovePhase,
    /// What it waits for an operator to do.
    pub waits_for: Option<&'static str>,
    /// What it does now, for people.
    pub activity: String,
    /// Why it ended other than done, or is being undone.
    pub error: Option<String>,
}
