//! What is known of a move across restarts: one file, replaced whole and synced before each phase begins.
//!
//! The record says what was intended, the catalogue what happened; where they meet, the catalogue decides. So the switch is
//! committed by the catalogue's own fsync, and a crash beside it is read from there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use dede_api::moves::{MovePhase, MovePlan, MoveReport, MoveRequest};
use dede_bundle::Digest;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::{read_text, sync_directory, write_atomically};
use crate::name::ServiceName;
use crate::service::ServiceId;

/// The format written by this version.
const FORMAT: u32 = 1;
/// Name of the file in the directory of a move.
const FILE: &str = "move.json";
/// Largest file read back, bytes.
const LIMIT: u64 = 64 << 20;

/// `m1`, `m2`, …: number of a move on its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MoveId(pub(super) u64);

impl std::fmt::Display for MoveId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "m{}", self.0)
    }
}

impl FromStr for MoveId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix('m').filter(|digits| digits.len() <= 18 && !digits.starts_with('0'));
        let number = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        number.and_then(|digits| digits.parse().ok()).map(Self).ok_or_else(|| Error::MoveNotFound(text.to_owned()))
    }
}

impl TryFrom<String> for MoveId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<MoveId> for String {
    fn from(id: MoveId) -> Self {
        id.to_string()
    }
}

/// Everything a restart needs to go on with a move, or to undo it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveRecord {
    format: u32,
    pub(super) id: MoveId,
    pub(super) request: MoveRequest,
    pub(super) phase: MovePhase,
    /// Somebody said that it may switch.
    pub(super) promoted: bool,
    /// Why it is being undone; set before anything is.
    pub(super) undoing: Option<String>,
    pub(super) plan: Option<MovePlan>,
    pub(super) effects: Effects,
    pub(super) report: MoveReport,
}

/// What this move brought about, each noted before it is done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Effects {
    /// The directory that it makes.
    pub(super) directory: Option<PathBuf>,
    /// Content that it brings into the store.
    #[serde(default)]
    pub(super) blobs: BTreeSet<Digest>,
    /// The service that it creates.
    pub(super) service: Option<ServiceName>,
    /// What was under the alias's name before it was touched.
    pub(super) before: Option<Before>,
}

/// What was under the alias's name before it was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Before {
    /// Nothing.
    Free,
    /// A service of that name, which the alias takes over.
    Service(ServiceId),
    /// An alias, and where it pointed.
    Alias {
        /// Where it pointed.
        service: ServiceId,
    },
}

impl MoveRecord {
    pub(super) fn new(id: MoveId, request: MoveRequest) -> Self {
        Self {
            format: FORMAT,
            id,
            request,
            phase: MovePhase::Planned,
            promoted: false,
            undoing: None,
            plan: None,
            effects: Effects::default(),
            report: MoveReport::default(),
        }
    }

    /// Replaces the file of this move in `<moves>/<id>/`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn save(&self, moves: &Path) -> Result<()> {
        let directory = moves.join(self.id.to_string());
        if !directory.is_dir() {
            fs::create_dir_all(&directory).map_err(Error::io(format!("create {}", directory.display())))?;
            sync_directory(moves)?;
        }
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| Error::Internal(error.to_string()))?;
        write_atomically(&directory.join(FILE), &bytes)
    }

    /// All moves that are recorded, oldest first. One that is damaged is left out, with an error in the log.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be listed.
    pub(super) fn load_all(moves: &Path) -> Result<Vec<Self>> {
        let context = || format!("list {}", moves.display());
        let mut records = Vec::new();
        for entry in fs::read_dir(moves).map_err(Error::io(context()))? {
            let entry = entry.map_err(Error::io(context()))?;
            let Ok(id) = entry.file_name().to_string_lossy().parse::<MoveId>() else { continue };
            crate::files::remove_leftovers(&entry.path())?;
            match load(&entry.path().join(FILE), id) {
                Ok(record) => records.extend(record),
                Err(error) => tracing::error!(%id, %error, "the record of a move is damaged"),
            }
        }
        records.sort_by_key(|record| record.id);
        Ok(records)
    }
}

/// `None` for a directory that a crash left before its first record.
fn load(path: &Path, id: MoveId) -> Result<Option<MoveRecord>> {
    let Some(text) = read_text(path, LIMIT)? else { return Ok(None) };
    let damaged = |reason: String| Error::Internal(format!("{} is damaged: {reason}", path.display()));
    let record: MoveRecord = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if record.format != FORMAT || record.id != id {
        return Err(damaged(format!("format {FORMAT} of {id} expected, found {} of {}", record.format, record.id)));
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> MoveRequest {
        serde_json::from_value(serde_json::json!({"service": "s", "source": "dev", "as": "a"})).unwrap()
    }

    #[test]
    fn a_record_comes_back_and_a_damaged_one_hides_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let mut record = MoveRecord::new(MoveId(10), request());
        record.save(directory.path()).unwrap();
        record.phase = MovePhase::Loading;
        record.effects.before = Some(Before::Service(ServiceId(3)));
        record.save(directory.path()).unwrap();
        MoveRecord::new(MoveId(2), request()).save(directory.path()).unwrap();
        MoveRecord::new(MoveId(3), request()).save(directory.path()).unwrap();
        fs::write(directory.path().join("m3").join(FILE), "{").unwrap();
        fs::create_dir(directory.path().join("m4")).unwrap();
        let records = MoveRecord::load_all(directory.path()).unwrap();
        assert_eq!(records.iter().map(|record| record.id).collect::<Vec<_>>(), [MoveId(2), MoveId(10)]);
        assert_eq!(records[1].phase, MovePhase::Loading);
        assert_eq!(records[1].effects.before, Some(Before::Service(ServiceId(3))));
    }

    #[test]
    fn only_the_written_form_is_an_id() {
        assert_eq!("m7".parse::<MoveId>().unwrap(), MoveId(7));
        for text in ["", "m", "7", "m07", "m-1", "m+1", "m1/../m2", "M7", "m99999999999999999999"] {
            assert!(text.parse::<MoveId>().is_err(), "{text}");
        }
    }
}
