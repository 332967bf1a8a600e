//! The golden set of a move, kept beside its record: what its service had to reproduce, for whoever wants to know or check it again.
//!
//! ```text
//! {"origin": "generated inputs, answered by the source", "cases": [{"request": {…}, "predictions": […]}, …]}
//! ```

use std::path::PathBuf;

use dede_api::moves::GoldenCase;
use dede_bundle::Digest;
use serde_json::json;

use super::Surroundings;
use super::golden::Origin;
use super::state::Move;
use crate::error::{Error, Result};
use crate::files::{read_text, remove_file, write_atomically};

/// Name of the file in the directory of a move.
const FILE: &str = "golden.json";
/// Largest set that is kept, bytes: it is read whole by whoever asks for it.
const LIMIT: u64 = 16 << 20;

/// Keeps the cases; gives the digest of the file, `None` for a set that is too large.
pub(super) fn keep(
    this: &Move,
    surroundings: &Surroundings,
    origin: Origin,
    cases: &[GoldenCase],
) -> Result<Option<Digest>> {
    let text = json!({"origin": origin.as_str(), "cases": cases}).to_string();
    if text.len() as u64 > LIMIT {
        tracing::info!(id = %this.id, bytes = text.len(), "the golden set is too large to be kept");
        return Ok(None);
    }
    write_atomically(&path(this, surroundings), text.as_bytes())?;
    Ok(Some(Digest::of(text.as_bytes())))
}

/// The set of a move as it was kept.
///
/// # Errors
/// [`Error::MoveNotFound`] where there is none.
pub(super) fn read(this: &Move, surroundings: &Surroundings) -> Result<String> {
    let text = read_text(&path(this, surroundings), LIMIT)?;
    text.ok_or_else(|| Error::MoveNotFound(format!("{} has no golden set", this.id)))
}

/// Removes the set of a move that came to nothing: it may be requests of clients.
pub(super) fn forget(this: &Move, surroundings: &Surroundings) -> Result<()> {
    remove_file(&path(this, surroundings))
}

fn path(this: &Move, surroundings: &Surroundings) -> PathBuf {
    surroundings.directory.join("moves").join(this.id.to_string()).join(FILE)
}
