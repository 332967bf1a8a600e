//! What of a directory is of a service: the names that this server and DeepDetect write into repositories (contract.md 3.8), and, where
//! a name is common elsewhere too, what must be in the file. It must not know who asks, and removes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _};
use std::path::Path;

use dede_storage::files::TEMPORARY;
use serde::de::IgnoredAny;

use super::Repository;
use super::run::{POINTER, RECORD, RUNS};
use crate::error::{Error, Result};

/// The record of the request that created a service.
pub const CONFIG: &str = "config.json";
/// JSON records, with members that each has.
const RECORDS: [(&str, &[&str]); 3] =
    [(CONFIG, &["mllib", "parameters"]), ("model.json", &["service"]), ("metrics.json", &["head", "body"])];
/// Files of one name.
const FILES: [&str; 12] = [
    "corresp.txt",
    "best_model.txt",
    "vocab.dat",
    "bounds.dat",
    "mean.binaryproto",
    "class_weights.binaryproto",
    "net_tensorRT.proto",
    "calibration_table",
    "index.ann",
    "index.faiss",
    "model.fmap",
    "test.h5",
];
/// Files whose names end like those of no other program.
const ENDINGS: [&str; 5] = [".caffemodel", ".solverstate", ".prototxt", ".npt", ".ptw"];
/// Names with a number in the middle.
const NUMBERED: [(&str, &str); 6] = [
    ("best_model_test_", ".txt"),
    ("checkpoint-", ".pt"),
    ("solver-", ".pt"),
    ("checkpoint-", ".safetensors"),
    ("train_", ".h5"),
    ("", ".model"),
];
/// Files of a run.
const OF_RUN: [&str; 4] = [RECORD, "model.onnx", "input.json", "best_model.txt"];
/// Files of a database.
const OF_DATABASE: [&str; 2] = ["data.mdb", "lock.mdb"];
/// Largest record that is read as a whole, bytes.
const RECORD_LIMIT: u64 = 16 << 20;

/// What a service says of its own files.
pub trait OwnFiles {
    /// Whether `clear=lib` removes a file of this name.
    fn is_library_file(&self, name: &str) -> bool;

    /// Whether the service answers with what is in a file, or in one below a directory, given relative to the repository.
    fn is_served(&self, relative: &Path) -> bool;
}

/// Whether a file at the top of a repository is one that is written there, told by its name.
pub(super) fn is_file(name: &str) -> bool {
    FILES.contains(&name)
        || name.starts_with("TRTengine")
        || ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending))
        || is_numbered(name)
        || is_leftover(name, |inner| is_file(inner) || inner == POINTER || members(inner).is_some())
}

/// The members that a record of this name has.
pub(super) fn members(name: &str) -> Option<&'static [&'static str]> {
    RECORDS.iter().find(|(record, _)| *record == name).map(|(_, members)| *members)
}

/// Whether a directory at the top of a repository is a database of one.
pub(super) fn is_database(name: &str) -> bool {
    let stem = name.strip_suffix(".lmdb").unwrap_or_default();
    name == "names.bin" || stem == "train" || stem == "test" || stem.strip_prefix("test_").is_some_and(is_number)
}

/// Whether a file is one of a database.
pub(super) fn is_in_database(name: &str) -> bool {
    OF_DATABASE.contains(&name)
}

/// Whether a directory in `runs` is a run.
pub(super) fn is_run(name: &str) -> bool {
    is_number(name)
}

/// Whether a file says that the directory it is in is a run: its record, or what its reader learnt, which is written first.
pub(super) fn is_record_of_run(name: &str) -> bool {
    [RECORD, "input.json"].contains(&name)
}

/// Whether what is in a file names a run.
pub(super) fn is_pointer(file: File) -> bool {
    let mut text = String::new();
    let start = file.take(RUNS.len() as u64 + 1).read_to_string(&mut text);
    start.is_ok() && text.strip_prefix(RUNS) == Some("/")
}

/// Whether a file is one of a run.
pub(super) fn is_in_run(name: &str) -> bool {
    OF_RUN.contains(&name) || is_numbered(name) || is_leftover(name, is_in_run)
}

fn is_numbered(name: &str) -> bool {
    let middle = |(start, end): &(&str, &str)| name.strip_prefix(start)?.strip_suffix(end);
    NUMBERED.iter().filter_map(middle).any(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a name is that of what a crash left of a replacement of such a file.
fn is_leftover(name: &str, is_own: impl Fn(&str) -> bool) -> bool {
    let inner = || {
        let (rest, count) = name.strip_prefix('.')?.strip_suffix(TEMPORARY)?.rsplit_once('.')?;
        let (inner, process) = rest.rsplit_once('.')?;
        (is_number(count) && is_number(process)).then_some(inner)
    };
    inner().is_some_and(|inner| !inner.starts_with('.') && is_own(inner))
}

/// Whether what is in a file is a record with these members. DeepDetect writes `NaN` and `Infinity` into its records.
pub(super) fn is_record(mut file: File, members: &[&str]) -> bool {
    let has_all = |has: &dyn Fn(&str) -> bool| members.iter().all(|member| has(member));
    if let Ok(found) = serde_json::from_reader::<_, BTreeMap<String, IgnoredAny>>(BufReader::new(&file)) {
        return has_all(&|member| found.contains_key(member));
    }
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(RECORD_LIMIT).read_to_string(&mut text));
    let plain = read.map(|_| without_special_numbers(&text)).unwrap_or_default();
    serde_json::from_str::<BTreeMap<String, IgnoredAny>>(&plain)
        .is_ok_and(|found| has_all(&|member| found.contains_key(member)))
}

/// A text with `null` for each number outside of strings that JSON has not.
fn without_special_numbers(text: &str) -> String {
    let (mut plain, mut rest, mut in_string) = (String::with_capacity(text.len()), text, false);
    while let Some(first) = rest.chars().next() {
        let word = SPECIAL_NUMBERS.iter().find(|word| !in_string && rest.starts_with(**word));
        let length = match word {
            Some(word) => word.len(),
            None if in_string && first == '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            None => first.len_utf8(),
        };
        in_string ^= first == '"';
        plain.push_str(if word.is_some() { "null" } else { &rest[..length] });
        rest = &rest[length..];
    }
    plain
}

/// Longer ones first.
const SPECIAL_NUMBERS: [&str; 6] = ["-Infinity", "Infinity", "-Inf", "Inf", "-NaN", "NaN"];

impl Repository {
    /// Whether a record may be written: nothing has its name, or an earlier record has.
    ///
    /// # Errors
    /// [`Error::BadParameter`] saying what has it.
    pub(super) fn check_own(&self, name: &str) -> Result<()> {
        use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
        let path = self.root().join(name);
        let refuse = |found: &str| {
            let reason = format!("{name} in {} is {found}, which is not overwritten", self.root().display());
            Err(Error::bad_parameter_at("model.repository", reason))
        };
        // Without NONBLOCK, opening a pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(CWD, &path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(rustix::io::Errno::LOOP) => return refuse("a link"),
            Err(error) => return Err(Error::io(format!("open {}", path.display()))(error.into())),
        };
        let status = fstat(&file).map_err(|error| Error::io(format!("look at {}", path.display()))(error.into()))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return refuse("no regular file");
        }
        match members(name) {
            Some(members) if !is_record(file.into(), members) => {
                let expected = members.join(" and ");
                refuse(&format!("no record of a service (an object of JSON with {expected} expected)"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_whole() {
        for (name, expected) in [
            ("corresp.txt", true),
            ("my_corresp.txt", false),
            ("model_iter_300.caffemodel", true),
            (".caffemodel", false),
            ("mlp_solver.prototxt", true),
            ("0050.model", true),
            ("my.model", false),
            ("checkpoint-12.pt", true),
            ("checkpoint-best.pt", false),
            ("best_model_test_2.txt", true),
            ("best_model_of_mine.txt", false),
            ("TRTengine_arch86_fp16_bs1", true),
            (".corresp.txt.12.0.tmp", true),
            (".config.json.12.0.tmp", true),
            (".bashrc.12.0.tmp", false),
            (".tmp", false),
            ("config.json", false),
            ("package.json", false),
            ("notes.dat", false),
            ("model.onnx", false),
            ("", false),
        ] {
            assert_eq!(is_file(name), expected, "{name}");
        }
        for (name, expected) in
            [("train.lmdb", true), ("test_0.lmdb", true), ("names.bin", true), ("mine.lmdb", false), (".lmdb", false)]
        {
            assert_eq!(is_database(name), expected, "{name}");
        }
        for (name, expected) in
            [("model.onnx", true), ("checkpoint-3.safetensors", true), (".input.json.1.2.tmp", true), ("x.txt", false)]
        {
            assert_eq!(is_in_run(name), expected, "{name}");
        }
    }

    #[test]
    fn records_are_told_by_their_members() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for (name, content, expected) in [
            (CONFIG, r#"{"mllib":"caffe","parameters":{"input":{"connector":"csv"}},"model":{}}"#, true),
            (CONFIG, r#"{"mllib":"caffe","parameters":{"input":[{"x":NaN}]}}"#, true),
            (CONFIG, r#"{"mllib":"a\"NaN","x":[-Infinity,Inf],"parameters":{}}"#, true),
            (CONFIG, r#"{"auths":{}}"#, false),
            (CONFIG, r#"{"mllib":"caffe"}"#, false),
            (CONFIG, r#"["mllib","parameters"]"#, false),
            (CONFIG, "mllib: caffe", false),
            (CONFIG, "", false),
            ("model.json", r#"{"service":"a"}"#, true),
            ("model.json", r#"{"name":"a"}"#, false),
            ("metrics.json", r#"{"status":{},"head":{},"body":{}}"#, true),
            ("metrics.json", "{}", false),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(is_record(File::open(&path).unwrap(), members(name).unwrap()), expected, "{name} {content}");
        }
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(!is_record(File::open(&path).unwrap(), &[]));
    }
}
