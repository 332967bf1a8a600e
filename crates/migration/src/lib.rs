//! Moves: a running service comes from another server, is proved, and takes over under a stable name.
//!
//! A move is a job on the target. It pulls from a [`ModelSource`], so the switch and its record are local and one fsync
//! decides. `procedure` is the procedure on one page; its phases are in `phases`, and what is between copied files and a switched
//! alias in `strategy`. `record` is what survives a crash, `handle` one move as seen from outside; `moves` owns the list of
//! moves and the commands of operators; `standing` and `files` tell whether the alias and the directory of a move are still
//! its own. Time comes from a [`Clock`], and what travels in the words of the API goes through [`ServiceApi`]: none of it knows
//! HTTP, nor the JSON of the wire.
//!
//! ```text
//! planned ─ copying ─ loading ─ warming ─ verifying ─ shadowing ─ switching ─ watching ─ draining ─ done
//!    └────────┴─────────┴─────────┴──────────┴───────────┴─ aborted    └──────────┴─ rolled back
//! ```

mod certificate;
mod clock;
mod execution;
mod fetch;
mod files;
mod golden;
mod golden_set;
mod handle;
mod live;
mod moves;
mod package;
mod phases;
mod planning;
mod procedure;
mod record;
mod relays;
mod served;
mod service_api;
mod source;
mod standing;
mod status;
mod strategy;
mod undo;
mod versions;

#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use dede_bundle::store::{BlobStore, StoreError};

pub use certificate::{Verified, verify};
pub use clock::{Clock, Signal, SystemClock};
pub use golden::{KeptSet, record_captured};
pub use golden_set::{GoldenSet, ModelCase};
pub use handle::Move;
pub use moves::{KEPT_MOVES, Moves};
pub use package::{PackageOptions, package, package_directory};
pub use planning::TransferRate;
pub use record::{
    CutRequest, ExchangeReport, Figures, FormerService, GoldenCase, GoldenReport, MovePhase, MovePlan, MoveProgress,
    MoveReport, MoveSpec, Object, PhaseTime, PlannedFile, PlannedTime, Replaced, RequestedName, ServedRequests,
    Warming, check_record,
};
pub use relays::{Content, Failure, FailureKind, NumberedQuestion, Question, Relays};
pub use service_api::{RecordedCase, ServiceApi};
pub use source::{HostDescription, ModelSource, Peers};
pub use status::MoveStatus;

use dede_engine::catalogue::Catalogue;
use dede_model::error::Error;

/// The dependencies of all moves.
pub struct MoveContext {
    /// The services of this server.
    pub catalogue: Arc<Catalogue>,
    /// The content that this server has.
    pub store: Arc<BlobStore>,
    /// Where it may fetch from.
    pub peers: Arc<dyn Peers>,
    /// Reads and writes what travels in the words of the API that servers speak.
    pub api: Arc<dyn ServiceApi>,
    /// Engine and processor of this server.
    pub host: HostDescription,
    /// The state directory.
    pub directory: PathBuf,
    /// How fast files come here, as far as that is known.
    pub rate: TransferRate,
    /// What time it is, wherever that decides.
    pub clock: Arc<dyn Clock>,
}

/// An error of the blob store as one of this crate.
fn stored(error: StoreError) -> Error {
    Error::Internal(error.to_string())
}
