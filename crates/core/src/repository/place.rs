//! Where a directory really is, so that two names of one directory are seen to be one.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A directory by its path without links, and by what the system calls it where it is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    identity: Option<DirectoryIdentity>,
}

/// Device and number of a directory: they stay when it is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryIdentity {
    device: u64,
    inode: u64,
}

impl DirectoryIdentity {
    /// Of the directory of this name; `None` where there is none, or where a link or something else has the name.
    pub fn of(path: &Path) -> Option<Self> {
        let found = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_dir)?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }
}

impl Place {
    /// Follows the links of the part that is there; what is missing of it is taken as written.
    pub fn of(path: &Path) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let resolved = absolute.ancestors().find_map(|ancestor| {
            let there = ancestor.canonicalize().ok()?;
            let missing = absolute.strip_prefix(ancestor).ok()?;
            Some(if missing.as_os_str().is_empty() { there } else { there.join(missing) })
        });
        let path = resolved.unwrap_or(absolute);
        Self { identity: DirectoryIdentity::of(&path), path }
    }

    /// Whether one is the other, or lies in it.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.path.starts_with(&other.path)
            || other.path.starts_with(&self.path)
            || (self.identity.is_some() && self.identity == other.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_directory_overlap_and_neighbours_do_not() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| Place::of(&root.path().join(name));
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink("a", root.path().join("link")).unwrap();
        for (one, other, expected) in [
            ("a", "a", true),
            ("a", "a/b", true),
            ("a/b/missing/deep", "a", true),
            ("link/missing", "a/missing", true),
            ("a/./b", "a/b", true),
            ("a", "ab", false),
            ("a/b", "a/c", false),
            ("missing", "missing2", false),
        ] {
            assert_eq!(at(one).overlaps(&at(other)), expected, "{one} {other}");
            assert_eq!(at(other).overlaps(&at(one)), expected, "{other} {one}");
        }
    }
}
