//! Runs: a training writes into a directory of its own, and one rename of a pointer publishes it.

use std::fs;
use std::path::{Path, PathBuf};

use dede_storage::files::{read_text, sync_directory, write_atomically};

use super::record::ServiceRecord;
use super::{Repository, TEXT_LIMIT};
use crate::error::{Error, Result};

/// Name of the pointer.
pub(super) const POINTER: &str = "published";
/// Parent of all runs.
pub(super) const RUNS: &str = "runs";
/// Name of the record in a run's directory.
pub(super) const RECORD: &str = "service.json";

/// A directory that a training writes into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    number: u64,
    directory: PathBuf,
}

impl Run {
    /// Number in `runs/<number>`.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// The run that is served.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Where it is.
    pub run: Run,
    /// What it learnt.
    pub record: ServiceRecord,
}

impl Published {
    /// The network's file.
    pub fn network(&self) -> PathBuf {
        self.run.directory.join(&self.record.network)
    }

    /// The record's file.
    pub fn record_file(&self) -> PathBuf {
        self.run.directory.join(RECORD)
    }
}

impl Repository {
    /// The run that the pointer names; `None` in a repository without one.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when the pointer or the record is damaged.
    pub fn published(&self) -> Result<Option<Published>> {
        if let Some(number) = self.preview {
            return self.finished(number).map(Some);
        }
        let pointer = self.root().join(POINTER);
        let Some(text) = read_text(&pointer, 4096)? else {
            return Ok(None);
        };
        let number = text
            .trim_end()
            .strip_prefix("runs/")
            .and_then(|digits| digits.parse::<u64>().ok())
            .ok_or_else(|| Error::bad_parameter_at(pointer.display().to_string(), "\"runs/<number>\" expected"))?;
        self.finished(number).map(Some)
    }

    /// This repository as it will be once `run` is published.
    pub fn previewing(&self, run: &Run) -> Self {
        Self { preview: Some(run.number), ..self.clone() }
    }

    fn finished(&self, number: u64) -> Result<Published> {
        let run = self.run(number);
        let place = run.directory.join(RECORD);
        let shown = place.display().to_string();
        let text = read_text(&place, TEXT_LIMIT)?
            .ok_or_else(|| Error::bad_parameter_at(shown.clone(), "the published run has no such file"))?;
        let record = ServiceRecord::parse(&text, &shown)?;
        Ok(Published { run, record })
    }

    /// Makes the directory of a new run; its number is one more than the highest so far.
    ///
    /// # Errors
    /// [`Error::Io`] when the repository cannot be written.
    pub fn begin_run(&self) -> Result<Run> {
        let parent = self.root().join(RUNS);
        fs::create_dir_all(&parent).map_err(Error::io(format!("create {}", parent.display())))?;
        let mut number = self.runs()?.last().map_or(1, |run| run.number + 1);
        loop {
            let run = self.run(number);
            match fs::create_dir(&run.directory) {
                Ok(()) => {
                    sync_directory(&parent)?;
                    return Ok(run);
                }
                // Another service on the same repository was faster.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(Error::io(format!("create {}", run.directory.display()))(error)),
            }
        }
    }

    /// Writes the record: the run is complete, and not served yet.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn complete(&self, run: &Run, record: &ServiceRecord) -> Result<()> {
        write_atomically(&run.directory.join(RECORD), &record.to_json()?).map_err(Error::from)
    }

    /// Moves the pointer to a complete run: from here on it is served, and not a moment earlier.
    ///
    /// # Errors
    /// [`Error::Io`]; the former run is then still the published one.
    pub fn publish(&self, run: &Run) -> Result<()> {
        write_atomically(&self.root().join(POINTER), format!("{RUNS}/{}\n", run.number).as_bytes()).map_err(Error::from)
    }

    /// All runs, published or not, by ascending number.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be read.
    pub fn runs(&self) -> Result<Vec<Run>> {
        let parent = self.root().join(RUNS);
        let entries = match fs::read_dir(&parent) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(format!("list {}", parent.display()))(error)),
        };
        let mut numbers: Vec<u64> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers.into_iter().map(|number| self.run(number)).collect())
    }

    fn run(&self, number: u64) -> Run {
        Run { number, directory: self.root().join(RUNS).join(number.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::NewRecord;
    use super::*;
    use crate::data::SampleShape;
    use crate::labels::Labels;
    use crate::repository::StoredParameters;
    use crate::task::{ServiceType, Task};

    fn record(columns: usize) -> ServiceRecord {
        ServiceRecord::new(NewRecord {
            mllib: "caffe".into(),
            connector: "csv".into(),
            service_type: ServiceType::Supervised,
            parameters: StoredParameters::default(),
            task: Task::Classification { classes: 3 },
            shape: SampleShape::Row { columns },
            labels: Labels::from_names(["a", "b"]),
            network: "model.onnx".into(),
        })
    }

    #[test]
    fn an_unpublished_run_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::open(directory.path(), false).unwrap();
        assert_eq!(repository.published().unwrap(), None);
        let first = repository.begin_run().unwrap();
        repository.complete(&first, &record(4)).unwrap();
        repository.publish(&first).unwrap();
        let second = repository.begin_run().unwrap();
        assert_eq!((first.number(), second.number()), (1, 2));
        assert_eq!(repository.published().unwrap().unwrap().record, record(4));
        repository.complete(&second, &record(5)).unwrap();
        assert_eq!(repository.published().unwrap().unwrap().record, record(4), "complete is not published");
        let preview = repository.previewing(&second).published().unwrap().unwrap();
        assert_eq!(preview.record, record(5));
        repository.publish(&second).unwrap();
        let published = repository.published().unwrap().unwrap();
        assert_eq!((published.run.number(), published.record), (2, record(5)));
    }

    #[test]
    fn a_damaged_pointer_or_record_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::open(directory.path(), false).unwrap();
        for text in ["", "../elsewhere", "runs/../..", "runs/x", "/etc"] {
            fs::write(directory.path().join(POINTER), text).unwrap();
            assert!(repository.published().unwrap_err().to_string().contains("published"), "{text}");
        }
        let run = repository.begin_run().unwrap();
        repository.complete(&run, &record(4)).unwrap();
        repository.publish(&run).unwrap();
        fs::write(run.directory().join(RECORD), "{").unwrap();
        assert!(repository.published().unwrap_err().to_string().contains("service.json"));
    }
}
