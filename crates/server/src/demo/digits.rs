//! The data of the demo: the UCI optical recognition of handwritten digits, 8×8 grey values, compiled in.

use std::fs;
use std::path::{Path, PathBuf};

use super::Failure;

const TRAINING: &str = include_str!("../../../testing/fixtures/data/digits_train.csv");
const TEST: &str = include_str!("../../../testing/fixtures/data/digits_test.csv");

/// Files for the servers, rows for the clients.
pub(super) struct Digits {
    pub(super) training_file: PathBuf,
    pub(super) test_file: PathBuf,
    pub(super) training_rows: usize,
    /// The 64 values of each test digit, as a client sends them.
    pub(super) rows: Vec<String>,
    /// What each test digit is.
    pub(super) truths: Vec<String>,
}

impl Digits {
    /// Writes the csv files below `directory`.
    pub(super) fn write(directory: &Path) -> Result<Self, Failure> {
        let training_file = directory.join("digits_train.csv");
        let test_file = directory.join("digits_test.csv");
        fs::write(&training_file, TRAINING)?;
        fs::write(&test_file, TEST)?;
        let (rows, truths) = TEST.lines().skip(1).filter_map(split).unzip();
        Ok(Self { training_file, test_file, training_rows: TRAINING.lines().count() - 1, rows, truths })
    }

    /// Share of test digits that were recognised.
    pub(super) fn accuracy(&self, found: &[String]) -> f64 {
        let right = found.iter().zip(&self.truths).filter(|(found, truth)| found == truth).count();
        right as f64 / self.truths.len() as f64
    }
}

/// `id,64 values,target` → values and target.
fn split(line: &str) -> Option<(String, String)> {
    let (_id, rest) = line.trim_end().split_once(',')?;
    let (values, target) = rest.rsplit_once(',')?;
    Some((values.to_owned(), target.to_owned()))
}
