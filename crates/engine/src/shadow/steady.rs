//! Whether the input of a copied request is still the same: one that names a file or a page can change from one moment
//! to the next.
//!
//! It must not know what connectors read. A string that is the name of a file may be one, and is looked at as such; a page shows only in
//! that the same service answers otherwise.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::SystemTime;

use dede_model::error::{Error, Result};

use super::queue::Copied;
use crate::rehearsal::rehearse;
use crate::service::{DryRun, PredictCall, Service};

/// Longer strings are no names of files.
const LONGEST_NAME: usize = 4096;

/// What the system says of a file whose content stays.
type Identity = (u64, u64, u64, Option<SystemTime>);

/// Whether the input has changed, where one service refused a request and the other did not. Both are asked again,
/// while no file changes: only what they say then is held against one of them. A service that fails by its own fault
/// says nothing about the input.
pub(super) fn input_changed(copied: &Copied, shadow: &Service, answer: &Result<DryRun>) -> bool {
    let Copied { call, primary, .. } = copied;
    let (was_answered, is_answered) = (primary.outputs.is_ok(), answer.is_ok());
    let by_fault = primary.outputs.as_ref().is_err_and(|refusal| refusal.is_fault)
        || answer.as_ref().is_err_and(|error| error.is_fault() || matches!(error, Error::NotLoaded(_)));
    if was_answered == is_answered || by_fault {
        return false;
    }
    let before = files(call);
    rehearse(&primary.service, call).is_ok() != was_answered
        || rehearse(shadow, call).is_ok() != is_answered
        || files(call) != before
}

/// The files among the inputs of a call.
fn files(call: &PredictCall) -> Vec<Option<Identity>> {
    let identity = |item: &String| {
        let scheme = item.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("file://")).unwrap_or_default();
        let name = &item[scheme.len()..];
        let found = fs::metadata(name).ok().filter(|_| name.len() <= LONGEST_NAME)?;
        Some((found.dev(), found.ino(), found.len(), found.modified().ok()))
    };
    call.data.iter().map(identity).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_made_again_is_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        let name = path.to_str().unwrap().to_owned();
        let call =
            PredictCall { data: vec![name.clone(), format!("file://{name}"), "1,2".into()], ..PredictCall::default() };
        assert_eq!(files(&call), [None; 3]);
        fs::write(&path, "x").unwrap();
        let first = files(&call);
        assert!(first[0].is_some() && first[0] == first[1] && first[2].is_none());
        assert_eq!(files(&call), first);
        fs::write(directory.path().join("other"), "x").unwrap();
        fs::rename(directory.path().join("other"), &path).unwrap();
        assert_ne!(files(&call), first);
    }
}
