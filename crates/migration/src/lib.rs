//! Moves: a running service comes from another server, is proved, and takes over under a stable name.
//!
//! A move is a job on the target. It pulls from a [`ModelSource`], so the switch and its record are local and one fsync
//! decides. None of this crate knows HTTP, nor the JSON of the wire.
//!
//! ```text
//! planned ─ copying ─ loading ─ warming ─ verifying ─ shadowing ─ switching ─ watching ─ draining ─ done
//!    └────────┴─────────┴─────────┴──────────┴───────────┴─ aborted    └──────────┴─ rolled back
//! ```
//!
//! # What to read first
//!
//! 1. `procedure`: the phases on one page; each has a file in `phases`, and what is between copied files and a switched alias is a `strategy`.
//! 2. `record`: what was asked for ([`MoveSpec`]), and what survives a crash.
//! 3. `undo`: the way back, which may be done any number of times.
//! 4. [`Moves`]: the list of moves and the commands of operators; [`Move`] is one as seen from outside.
//! 5. [`MoveContext`]: all that moves depend on. Time comes from a [`Clock`], content from [`Peers`], and what travels in the words of the API
//!    goes through [`ServiceApi`].
//!
//! # Invariants
//!
//! - Each phase is recorded before it begins, and may be done again from its start.
//! - The switch is one change of the catalogue, which looks at the alias, both versions and the verdict in that step. Where the record and the
//!   catalogue disagree, the catalogue decides.
//! - Before the switch a failure leaves everything as it was; after it, a failure points the alias back.
//! - A move touches only what is its own: services by identity and version, an alias by its generation, a directory by its inode and a marker
//!   (`standing`, `files`). What a person changed meanwhile stands.
//! - The source is never changed, and need not know the target.
//! - An end is recorded before it is seen.
//! - Moves that switch together switch, go back and end in one step each, and one that is undone takes all along (`handle::company`).
//!
//! # Who may know what
//!
//! `procedure` knows `phases` and `strategy`, which know what they need of `record`, `standing` and `files`; none of these knows the
//! procedure. `source` knows how to ask for content and nothing of phases. The server gives the implementations of [`Peers`] and [`ServiceApi`].

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
pub use clock::{Clock, SystemClock, Waiting};
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
pub use source::upload::IncomingFile;
pub use source::{HostDescription, ModelSource, Peers};
pub use status::{Companion, MoveStatus};

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
