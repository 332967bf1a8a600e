//! The golden set of a move, kept beside its record: what its service had to reproduce, to be inspected or checked
//! again later.
//!
//! ```text
//! {"origin": "generated inputs, answered by the source", "cases": [{"request": {…}, "predictions": […]}, …]}
//! ```
//!
//! This is format 1, of cases in the words of the API; those in the types of models are kept in format 2 ([`golden_set`](crate::golden_set)).

use std::path::PathBuf;

use dede_bundle::Digest;
use dede_model::error::{Error, Fault, Result};
use dede_storage::files::{read_text, remove_file, write_atomically};
use serde::{Deserialize, Serialize};

use crate::MoveContext;
use crate::golden::Origin;
use crate::golden_set::{GoldenSet, version_of, write_cases};
use crate::handle::Move;
use crate::record::GoldenCase;

/// A set as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSet {
    /// The file.
    pub text: String,
    /// Of its format.
    pub version: u32,
}

/// Name of the file in the directory of a move.
const FILE: &str = "golden.json";
/// Largest set that is kept, bytes: readers load it whole.
const LIMIT: u64 = 16 << 20;
/// Room for what the file holds besides the cases of a request.
const BESIDES: u64 = 1 << 10;

#[derive(Serialize, Deserialize)]
struct StoredCases {
    origin: String,
    cases: Vec<GoldenCase>,
}

/// Whether the cases that a request brings can be kept until they are compared.
///
/// # Errors
/// [`Error::Malformed`] with their size.
pub(crate) fn check_size(cases: &[GoldenCase]) -> Result<()> {
    let size = serde_json::to_vec(cases).map_or(u64::MAX, |text| text.len() as u64);
    if size + BESIDES <= LIMIT {
        return Ok(());
    }
    let text = format!("cases of {} MB at most expected, found {size} bytes", LIMIT >> 20);
    Err(Error::Malformed(Fault::at("golden", text)))
}

/// The cases that the request of a move brought.
///
/// # Errors
/// [`Error::Internal`] where they are not there any more, or damaged.
pub(crate) fn given(this: &Move, context: &MoveContext) -> Result<Vec<GoldenCase>> {
    let lost = |reason: &str| Error::Internal(format!("the golden cases of the request are lost: {reason}"));
    let text = read_text(&path(this, context), LIMIT)?.ok_or_else(|| lost("no file"))?;
    let kept: StoredCases = serde_json::from_str(&text).map_err(|error| lost(&error.to_string()))?;
    Ok(kept.cases)
}

/// Keeps the cases that a request brings until they are compared.
pub(crate) fn keep_given(this: &Move, context: &MoveContext, cases: Vec<GoldenCase>) -> Result<()> {
    if cases.is_empty() { Ok(()) } else { keep(this, context, Origin::Given, &GoldenSet::OfApi(cases)).map(drop) }
}

/// Keeps the cases; gives the digest of the file, `None` for a set that is too large.
pub(crate) fn keep(this: &Move, context: &MoveContext, origin: Origin, set: &GoldenSet) -> Result<Option<Digest>> {
    let text = match set {
        GoldenSet::OfApi(cases) => {
            let kept = StoredCases { origin: origin.as_str().to_owned(), cases: cases.clone() };
            serde_json::to_string(&kept).map_err(|error| Error::Internal(error.to_string()))?
        }
        GoldenSet::OfModel(cases) => write_cases(Some(origin.as_str()), cases)?,
    };
    if text.len() as u64 > LIMIT {
        tracing::info!(id = %this.id, bytes = text.len(), "the golden set is too large to be kept");
        return Ok(None);
    }
    write_atomically(&path(this, context), text.as_bytes())?;
    Ok(Some(Digest::of(text.as_bytes())))
}

/// The set of a move as it was kept.
///
/// # Errors
/// [`Error::MoveNotFound`] where there is none.
pub(crate) fn read(this: &Move, context: &MoveContext) -> Result<KeptSet> {
    let text = read_text(&path(this, context), LIMIT)?;
    let text = text.ok_or_else(|| Error::MoveNotFound(format!("{} has no golden set", this.id)))?;
    Ok(KeptSet { version: version_of(&text), text })
}

/// Removes the set of a move that came to nothing: it may be requests of clients.
pub(crate) fn forget(this: &Move, context: &MoveContext) -> Result<()> {
    remove_file(&path(this, context)).map_err(Error::from)
}

fn path(this: &Move, context: &MoveContext) -> PathBuf {
    context.directory.join("moves").join(this.id.to_string()).join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_of_the_first_release_are_read_and_written_byte_for_byte() {
        let text = include_str!("../record/fixtures/golden.json");
        let stored: StoredCases = serde_json::from_str(text).unwrap();
        assert_eq!((stored.origin.as_str(), stored.cases.len()), (Origin::Captured.as_str(), 1));
        assert_eq!(serde_json::to_string(&stored).unwrap(), text);
    }
}
