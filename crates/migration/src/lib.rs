//! Moves: a running service comes from another server, is proved, and takes over under a stable name.
//!
//! A move is a job on the target. It pulls from a [`ModelSource`], so the switch and its record are local and one fsync
//! decides. `procedure` is the procedure; its phases are in `copying`, `loading`, `verifying`, `proving`, `switching` and
//! `following`. `record` is what survives a crash; `moves` owns the list of moves and the commands of operators;
//! `standing` and `ownership` tell whether the alias and the directory of a move are still its own. None of it knows
//! HTTP.
//!
//! ```text
//! planned ─ copying ─ loading ─ warming ─ verifying ─ shadowing ─ switching ─ watching ─ draining ─ done
//!    └────────┴─────────┴─────────┴──────────┴───────────┴─ aborted    └──────────┴─ rolled back
//! ```

mod certificate;
mod contents;
mod copying;
mod destination;
mod estimate;
mod fetch;
mod following;
mod former_services;
mod golden;
mod golden_store;
mod in_place;
mod loading;
mod moves;
mod ownership;
mod package;
mod patient;
mod pipe;
mod plan;
mod procedure;
mod proving;
mod record;
mod recorded;
mod relay;
mod relay_source;
mod served;
mod shadowing;
mod source;
mod sources;
mod standing;
mod state;
mod switching;
mod undo;
mod upload;
mod verifying;

use std::path::PathBuf;
use std::sync::Arc;

use dede_bundle::store::{BlobStore, StoreError};

pub use certificate::{Verified, verify};
pub use estimate::TransferRate;
pub use golden::captured_cases;
pub use moves::{KEPT_MOVES, Moves};
pub use package::{PackageOptions, package, package_directory};
pub use record::check_record;
pub use relay::{Content, Relays};
pub use source::{HostDescription, ModelSource, Peers};
pub use state::Move;

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
    /// Engine and processor of this server.
    pub host: HostDescription,
    /// The state directory.
    pub directory: PathBuf,
    /// How fast files come here, as far as that is known.
    pub rate: TransferRate,
}

/// An error of the blob store as one of this crate.
fn stored(error: StoreError) -> Error {
    Error::Internal(error.to_string())
}
