//! Files of a repository that a request names, and the file with the names of the classes. It owns that a name never leads out of
//! the repository; it must not know what is in the files but for the classes.

use std::path::{Path, PathBuf};

use dede_storage::files::read_text;
use serde_json::Value;

use super::{Repository, TEXT_LIMIT};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::parameters::Section;

/// The names of the classes, under DeepDetect's name.
pub const LABELS: &str = "corresp.txt";
/// The member of `model` that names another file for them.
const KEY: &str = "corresp";

impl Repository {
    /// The file that `model` names under `key`: a name in the repository, or a path that leads there.
    ///
    /// # Errors
    /// [`Error::BadParameter`] where there is no such file in the repository, or it is no name.
    pub fn named(&self, model: &Section, key: &str) -> Result<Option<String>> {
        let at = format!("model.{key}");
        let text = match model.get(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text,
            Some(_) => return Err(Error::bad_parameter_at(at, "a file name expected")),
        };
        let path = Path::new(text);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let parent = path.parent().unwrap_or(Path::new(""));
        let inside = parent.as_os_str().is_empty()
            || matches!((parent.canonicalize(), self.root().canonicalize()), (Ok(parent), Ok(root)) if parent == root);
        if inside && self.root().join(name).is_file() && self.files()?.iter().any(|known| known == name) {
            return Ok(Some(name.to_owned()));
        }
        Err(Error::bad_parameter_at(at, format!("the repository has no file {text}")))
    }

    /// Names of the classes that `model` asks for by a file of its own; those of `corresp.txt` are the repository's in any case.
    ///
    /// # Errors
    /// As [`Repository::named`]; [`Error::BadParameter`] where the file names no class.
    pub fn asked_labels(&self, model: &Section) -> Result<Option<(PathBuf, Labels)>> {
        match self.named(model, KEY)? {
            Some(name) if name != LABELS => self.read_labels(&name).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// Class names of a repository that has no published run: `corresp.txt`, or the one file whose name contains "corresp".
    ///
    /// # Errors
    /// [`Error::BadParameter`] where several files could be meant, or the file names no class; [`Error::Io`] when it cannot be
    /// read.
    pub fn legacy_labels(&self) -> Result<Option<(PathBuf, Labels)>> {
        let mut names = self.files()?;
        // What editors, and replacements that a crash ended, leave beside a file is not that file.
        names.retain(|name| name.contains(KEY) && !name.starts_with('.') && !name.ends_with('~'));
        let usual = names.iter().find(|name| *name == LABELS);
        match (usual, names.as_slice()) {
            (Some(usual), _) => self.read_labels(usual).map(Some),
            (None, [first, second, ..]) => {
                let reason = format!("{first} and {second} are both there, name the one with the names of the classes");
                Err(Error::bad_parameter_at("model.corresp", reason))
            }
            (None, [one]) => self.read_labels(one).map(Some),
            (None, []) => Ok(None),
        }
    }

    fn read_labels(&self, name: &str) -> Result<(PathBuf, Labels)> {
        let path = self.root().join(name);
        // What is in a repository is its owner's, so that what is wrong with it is no fault of the server.
        let fail = |found: String| {
            let text = format!("expected lines of a number and a name in UTF-8: {found}");
            Error::bad_parameter_at(path.display().to_string(), text)
        };
        let text = read_text(&path, TEXT_LIMIT).map_err(|error| fail(error.to_string()))?;
        let text = text.ok_or_else(|| fail("the file is gone".to_owned()))?;
        // An empty file says that the numbers are the names.
        let labels = Labels::parse(&text).map_err(fail)?;
        Ok((path, labels))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn model(corresp: &Value) -> Section {
        json!({ KEY: corresp }).as_object().cloned().expect("an object")
    }

    fn repository(files: &[(&str, &str)]) -> (tempfile::TempDir, Repository) {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("repository");
        std::fs::create_dir(&root).expect("made");
        std::fs::create_dir(root.join("below")).expect("made");
        for (name, content) in files {
            std::fs::write(root.join(name), content).expect("written");
        }
        let repository = Repository::open(root, false).expect("opened");
        (directory, repository)
    }

    #[test]
    fn a_file_of_class_names_is_applied_or_refused() {
        let files = [
            ("corresp.txt", "0 a\n"),
            ("names.txt", "0 b\n"),
            ("marked.txt", "\u{feff}0 m\n1 n\n"),
            ("twice.txt", "0 a\n1 b\n0 c\n"),
            ("synsets.txt", "n01440764\n"),
            ("below/x", "0 x\n"),
        ];
        let (directory, repository) = repository(&files);
        std::fs::write(directory.path().join("outside.txt"), "0 c\n").expect("written");
        let asked = |corresp: Value| {
            let labels = repository.asked_labels(&model(&corresp)).map_err(|error| error.to_string())?;
            Ok::<_, String>(labels.map(|(_, labels)| labels.name(0)))
        };
        let inside = repository.root().join("names.txt");
        for (corresp, expected) in [
            (json!(null), None),
            (json!(""), None),
            (json!("corresp.txt"), None),
            (json!("names.txt"), Some("b")),
            (json!(inside), Some("b")),
            (json!("marked.txt"), Some("m")),
        ] {
            assert_eq!(asked(corresp.clone()), Ok(expected.map(str::to_owned)), "{corresp}");
        }
        for (corresp, expected) in [
            (json!("missing.txt"), "the repository has no file missing.txt"),
            (json!("../outside.txt"), "the repository has no file ../outside.txt"),
            (json!(directory.path().join("outside.txt")), "the repository has no file"),
            (json!("below/x"), "the repository has no file below/x"),
            (json!("below"), "the repository has no file below"),
            (json!(3), "a file name expected"),
            (json!(["names.txt"]), "a file name expected"),
            (json!("twice.txt"), "line 3 gives class 0 another name"),
            (json!("synsets.txt"), "line 1 has \"n01440764\""),
        ] {
            let error = asked(corresp.clone()).expect_err("refused");
            assert!(error.contains(expected), "{corresp}: {error}");
        }
    }

    #[test]
    fn without_a_word_the_usual_file_counts_or_the_only_one() {
        let found = |files: &[(&str, &str)]| {
            let (_directory, repository) = repository(files);
            let labels = repository.legacy_labels().map_err(|error| error.to_string())?;
            Ok::<_, String>(labels.map(|(_, labels)| labels.name(0)))
        };
        let (usual, other, third) = (("corresp.txt", "0 a"), ("a_corresp.txt", "0 b"), ("z_corresp.txt", "0 c"));
        let (left, edited) = ((".corresp.txt.1.0.tmp", "0 d"), ("corresp.txt~", "0 e"));
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);
        let cases: [Case<'_>; 5] = [
            (&[], None),
            (&[usual, other], Some("a")),
            (&[other], Some("b")),
            (&[left, usual, edited], Some("a")),
            (&[left, edited], None),
        ];
        for (files, expected) in cases {
            assert_eq!(found(files), Ok(expected.map(str::to_owned)), "{files:?}");
        }
        let error = found(&[other, third]).expect_err("refused");
        assert!(error.contains("a_corresp.txt and z_corresp.txt are both there"), "{error}");
    }
}
