//! Rows of a predict, and files of a training.

use std::io::Write as _;

use dede_connectors::csv::CsvConnector;
use dede_model::parameters::Section;

/// Reads the bytes as an item of a predict, and as a file to train on.
pub fn run(bytes: &[u8]) {
    let item = String::from_utf8_lossy(bytes).into_owned();
    let _ = super::reader(&CsvConnector, &Section::new()).read(&[item]);
    let mut training = Section::new();
    training.insert("label".into(), "target".into());
    training.insert("scale".into(), true.into());
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("written");
    let fitted = super::reader(&CsvConnector, &training).fit(&[file.path().display().to_string()]);
    if let Ok(fitted) = fitted {
        let all: Vec<usize> = (0..fitted.train.len()).collect();
        let _ = fitted.train.batch(&all);
    }
}
