//! The phases of a move, as records and people name them.

use serde::{Deserialize, Serialize};

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
    /// The word for it, in records and for people.
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
