//! Moves: a running service comes from another server, is proved, and takes over under a stable name.
//!
//! A move is a job on the target. It pulls from a [`Peer`], so the switch and its record are local and one fsync decides.
//! `mover` is the procedure, its phases are in `copying`, `loading`, `verifying`, `proving`, `switching` and `following`; `record` is what survives a crash; `moves` owns which moves there are and
//! what people tell them; `standing` and `ownership` say whose an alias and a directory are by now. None of it knows HTTP.
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
mod exchanging;
mod fetch;
mod following;
mod golden;
mod golden_file;
mod keeping;
mod loading;
mod mover;
mod moves;
mod ownership;
mod package;
mod patient;
mod peer;
mod pipe;
mod plan;
mod proving;
mod record;
mod recorded;
mod relay;
mod relayed;
mod served;
mod shadowing;
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
pub use peer::{HostDescription, Peer, Peers};
pub use record::MoveId;
pub use relay::{Content, Relays};
pub use state::Move;

use crate::catalogue::Catalogue;
use crate::error::Error;

/// What moves work with; shared by all of them.
pub struct Surroundings {
    /// The services of this server.
    pub catalogue: Arc<Catalogue>,
    /// The content it has.
    pub store: Arc<BlobStore>,
    /// Where it may fetch from.
    pub peers: Arc<dyn Peers>,
    /// What it runs on.
    pub host: HostDescription,
    /// The state directory.
    pub directory: PathBuf,
    /// How fast files come here, as far as that is known.
    pub rate: TransferRate,
}

/// What the blob store says, in the words of this crate.
fn stored(error: StoreError) -> Error {
    Error::Internal(error.to_string())
}
