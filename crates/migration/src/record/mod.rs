//! What is known of a move across restarts: one file, replaced whole and synced before each phase begins.
//!
//! The record says what was intended, the catalogue what happened; where they meet, the catalogue decides. So the switch is
//! committed by the catalogue's own fsync, and a crash beside it is read from there.

mod effects;
mod figures;
mod phase;
mod plan;
mod report;
mod spec;

use std::fs;
use std::path::Path;

use dede_engine::move_id::MoveId;
use dede_engine::service::ServiceId;
use dede_model::error::{Error, Result};
use dede_storage::files::{read_text, sync_directory, write_atomically};
use serde::{Deserialize, Serialize};

pub(crate) use self::effects::{Before, Effects, FileIdentity, Former};
pub use self::figures::{Figures, GoldenReport, Warming};
pub use self::phase::MovePhase;
pub use self::plan::{MovePlan, PlannedFile, PlannedTime, Replaced};
pub use self::report::{
    CutRequest, ExchangeReport, FormerService, MoveProgress, MoveReport, PhaseTime, ServedRequests,
};
pub(crate) use self::spec::bounded;
pub use self::spec::{GoldenCase, MoveSpec, Object, RequestedName};

/// The format written by this version.
const FORMAT: u32 = 1;
/// Name of the file in the directory of a move.
const FILE: &str = "move.json";
/// Name of the file there that stays when everything else of a move is forgotten.
pub(crate) const CERTIFICATE: &str = "certificate.json";
/// Largest file read back, bytes.
const LIMIT: u64 = 64 << 20;
/// No server makes so many moves; the numbers after it would soon be no ids any more.
const UNREACHABLE: u64 = 100_000_000_000_000_000;

/// Everything a restart needs to go on with a move, or to undo it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveRecord {
    format: u32,
    pub(crate) id: MoveId,
    /// Without the golden cases that it brought: they are in a file of their own.
    #[serde(rename = "request")]
    pub(crate) spec: MoveSpec,
    /// It brought golden cases.
    #[serde(default)]
    pub(crate) golden_given: bool,
    pub(crate) phase: MovePhase,
    /// An operator allowed the switch.
    pub(crate) promoted: bool,
    /// Why it is being undone; set before anything is.
    pub(crate) undoing: Option<String>,
    pub(crate) plan: Option<MovePlan>,
    /// What is replaced, as the plan found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) former: Option<Former>,
    /// All moves that switch together, this one among them, in the order they were asked for; none where it switches alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) together: Vec<MoveId>,
    pub(crate) effects: Effects,
    pub(crate) report: MoveReport,
}

impl MoveRecord {
    /// `nonce`: some random digits.
    pub(crate) fn new(id: MoveId, spec: MoveSpec, nonce: String) -> Self {
        Self {
            format: FORMAT,
            id,
            spec,
            golden_given: false,
            phase: MovePhase::Planned,
            promoted: false,
            undoing: None,
            plan: None,
            former: None,
            together: Vec::new(),
            effects: Effects { nonce: Some(nonce), ..Effects::default() },
            report: MoveReport::default(),
        }
    }

    /// What stands for a move whose record cannot be read.
    fn damaged(id: MoveId, reason: String) -> Self {
        let spec = MoveSpec::of(String::new(), String::new());
        Self { phase: MovePhase::Damaged, undoing: Some(reason), ..Self::new(id, spec, String::new()) }
    }

    /// The service that is replaced.
    pub(crate) fn former_id(&self) -> Option<ServiceId> {
        let before = match self.effects.before {
            Some(Before::Service(id) | Before::Alias { service: id }) => Some(id),
            Some(Before::Free) | None => None,
        };
        before.or(self.former.as_ref().map(|former| former.service))
    }

    /// Replaces the file of this move in `<moves>/<id>/`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn save(&self, moves: &Path) -> Result<()> {
        let directory = moves.join(self.id.to_string());
        if !directory.is_dir() {
            fs::create_dir_all(&directory).map_err(Error::io(format!("create {}", directory.display())))?;
            sync_directory(moves)?;
        }
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| Error::Internal(error.to_string()))?;
        write_atomically(&directory.join(FILE), &bytes).map_err(Error::from)
    }

    /// All moves that are recorded, oldest first, and the number of the next one, which no directory has. A damaged record stands as
    /// such and is never overwritten.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be listed.
    pub(crate) fn load_all(moves: &Path) -> Result<(Vec<Self>, u64)> {
        let context = || format!("list {}", moves.display());
        let (mut records, mut next) = (Vec::new(), 1);
        for entry in fs::read_dir(moves).map_err(Error::io(context()))? {
            let entry = entry.map_err(Error::io(context()))?;
            let Ok(id) = entry.file_name().to_string_lossy().parse::<MoveId>() else { continue };
            if id.0 >= UNREACHABLE {
                tracing::warn!(directory = %entry.path().display(), "is of no move of this server");
                continue;
            }
            next = next.max(id.0.saturating_add(1));
            let loaded = dede_storage::files::remove_leftovers(&entry.path())
                .map_err(Error::from)
                .and_then(|()| load(&entry.path().join(FILE), id));
            records.extend(loaded.unwrap_or_else(|error| {
                tracing::error!(%id, %error, "the record of a move is damaged");
                Some(Self::damaged(id, error.to_string()))
            }));
        }
        records.sort_by_key(|record| record.id);
        Ok((records, next))
    }

    /// Removes what is kept of a move that is over, except its certificate.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn forget(moves: &Path, id: MoveId) -> Result<()> {
        let directory = moves.join(id.to_string());
        for file in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if file.file_name() != CERTIFICATE {
                fs::remove_file(file.path()).map_err(Error::io(format!("remove {}", file.path().display())))?;
            }
        }
        // Its certificate keeps it.
        let _ = fs::remove_dir(&directory);
        Ok(())
    }
}

/// `None` for a directory that a crash left before its first record.
fn load(path: &Path, id: MoveId) -> Result<Option<MoveRecord>> {
    let Some(text) = read_text(path, LIMIT)? else { return Ok(None) };
    let damaged = |reason: String| Error::Internal(format!("{} is damaged: {reason}", path.display()));
    let record = parse(&text).map_err(damaged)?;
    if record.id != id {
        return Err(damaged(format!("the record of {id} expected, found that of {}", record.id)));
    }
    Ok(Some(record))
}

fn parse(text: &str) -> std::result::Result<MoveRecord, String> {
    let record: MoveRecord = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if record.format != FORMAT {
        return Err(format!("format {FORMAT} expected, found {}", record.format));
    }
    Ok(record)
}

/// Checks that a text is the record of a move, as this version writes and reads it.
///
/// # Errors
/// A sentence: what is wrong, and where.
pub fn check_record(text: &str) -> std::result::Result<(), String> {
    parse(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> MoveSpec {
        serde_json::from_value(serde_json::json!({"service": "s", "source": "dev", "as": "a"})).unwrap()
    }

    #[test]
    fn a_record_comes_back_and_a_damaged_one_hides_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let new = |id| MoveRecord::new(MoveId(id), request(), "ab".into());
        let mut record = new(10);
        record.save(directory.path()).unwrap();
        record.phase = MovePhase::Loading;
        record.effects.before = Some(Before::Service(ServiceId(3)));
        record.save(directory.path()).unwrap();
        new(2).save(directory.path()).unwrap();
        new(30).save(directory.path()).unwrap();
        fs::write(directory.path().join("m30").join(FILE), "{").unwrap();
        for other in ["m4", "m100000000000000000", "m999999999999999999"] {
            fs::create_dir(directory.path().join(other)).unwrap();
        }
        let (records, next) = MoveRecord::load_all(directory.path()).unwrap();
        assert_eq!(records.iter().map(|record| record.id).collect::<Vec<_>>(), [MoveId(2), MoveId(10), MoveId(30)]);
        assert_eq!(records[1].phase, MovePhase::Loading);
        assert_eq!(records[1].effects.before, Some(Before::Service(ServiceId(3))));
        assert_eq!((records[2].phase, next), (MovePhase::Damaged, 31));
    }

    /// Records that the first release with this format wrote: of a move that was just begun, of one that is done, and of one
    /// that holds everything a record can hold.
    const FIRST: [&str; 3] = [
        include_str!("fixtures/planned.json"),
        include_str!("fixtures/done.json"),
        include_str!("fixtures/rolled-back.json"),
    ];

    #[test]
    fn records_of_the_first_release_are_read_and_written_byte_for_byte() {
        for text in FIRST {
            assert_eq!(serde_json::to_string_pretty(&parse(text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn everything_that_was_under_the_name_of_an_alias_is_read() {
        let text = FIRST[2];
        let service = "\"before\": {\n      \"service\": 3\n    }";
        assert!(text.contains(service));
        for (written, expected) in [
            (service, Before::Service(ServiceId(3))),
            ("\"before\": \"free\"", Before::Free),
            ("\"before\": {\"alias\": {\"service\": 3}}", Before::Alias { service: ServiceId(3) }),
        ] {
            let read = parse(&text.replace(service, written)).unwrap();
            assert_eq!(read.effects.before, Some(expected), "{written}");
        }
    }

    #[test]
    fn another_format_is_refused_with_its_number() {
        let text = FIRST[0].replace("\"format\": 1", "\"format\": 2");
        assert_eq!(parse(&text).unwrap_err(), "format 1 expected, found 2");
    }

    #[test]
    fn what_is_forgotten_leaves_its_certificate_and_its_number() {
        let directory = tempfile::tempdir().unwrap();
        for id in [1, 2] {
            MoveRecord::new(MoveId(id), request(), "ab".into()).save(directory.path()).unwrap();
        }
        fs::write(directory.path().join("m2").join(CERTIFICATE), "{}").unwrap();
        MoveRecord::forget(directory.path(), MoveId(1)).unwrap();
        MoveRecord::forget(directory.path(), MoveId(2)).unwrap();
        assert!(!directory.path().join("m1").exists());
        let (records, next) = MoveRecord::load_all(directory.path()).unwrap();
        assert_eq!((records.len(), next), (0, 3));
    }
}
