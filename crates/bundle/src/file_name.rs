//! Names of files inside a repository or a bundle: relative, plain, unable to leave the directory they are used in.

use crate::text::parsed_text;

/// Longest name, bytes; with the directory in front it stays below the system's limit for paths.
const LIMIT: usize = 1024;
/// Longest component, bytes: what file systems take.
const COMPONENT_LIMIT: usize = 255;

parsed_text! {
    /// `a/b/c`: components separated by `/`, none of them empty, `.` or `..`, no backslash, no control character, at most 1024
    /// bytes and 255 per component.
    FileName,
    "file name",
    "a plain relative name without .., empty components, backslashes or control characters",
    is_plain_relative
}

impl FileName {
    /// The components, the file's own name last.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.as_str().split('/')
    }

    /// The directories above the file, outermost first: `a` and `a/b` for `a/b/c`.
    pub fn directories(&self) -> impl Iterator<Item = &str> {
        self.as_str().match_indices('/').map(|(end, _)| &self.as_str()[..end])
    }
}

fn is_plain_relative(name: &str) -> bool {
    name.len() <= LIMIT
        && !name.chars().any(|c| c.is_control() || c == '\\')
        && name.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= COMPONENT_LIMIT)
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_escape_are_refused() {
        let long = "x/".repeat(600) + "x";
        let long_component = "x".repeat(256);
        let cases = [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/..",
            "a//b",
            ".",
            "..",
            "./a",
            "a\\b",
            "..\\x",
            "a\nb",
            "a/",
            "a\0b",
            "a\u{7f}",
            "a\u{85}b",
            &long,
            &long_component,
        ];
        for name in cases {
            assert!(name.parse::<FileName>().is_err(), "{name:?}");
        }
        for name in ["a", "runs/3/model.onnx", "..a", "a..", ".hidden", "größe.txt", "a b;$(id)`", &"x".repeat(255)] {
            assert_eq!(name.parse::<FileName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn directories_above_a_file() {
        let name: FileName = "a/b/c".parse().unwrap();
        assert_eq!(name.directories().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(name.components().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    proptest! {
        #[test]
        fn whatever_parses_stays_beneath_a_directory(text in "[./\\\\a\\x00 ~%:-]{0,12}") {
            if let Ok(name) = text.parse::<FileName>() {
                prop_assert!(Path::new(name.as_str()).components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(Path::new("/root").join(name.as_str()).components().count(), 2 + name.components().count());
            }
        }
    }
}
