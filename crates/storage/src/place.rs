//! Where a directory really is, so that two names of one directory are seen to be one.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A directory by its path without links, and by what the system calls it and those around it, as far as they are there already: a
/// mount can give one directory several paths without links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    /// Of the directory itself first, then of each around it.
    lineage: Vec<Option<DirectoryIdentity>>,
}

/// Where one directory is, seen from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Both are one.
    Same,
    /// It lies in the other.
    Inside,
    /// The other lies in it.
    Around,
    /// Neither.
    Apart,
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
        Self { lineage: path.ancestors().map(DirectoryIdentity::of).collect(), path }
    }

    /// Its path, without links as far as it is there.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is, seen from another one.
    pub fn relation(&self, other: &Self) -> Relation {
        match (self.is_in(other), other.is_in(self)) {
            (true, true) => Relation::Same,
            (true, false) => Relation::Inside,
            (false, true) => Relation::Around,
            (false, false) => Relation::Apart,
        }
    }

    /// Whether one is the other, or lies in it.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.relation(other) != Relation::Apart
    }

    fn is_in(&self, outer: &Self) -> bool {
        let identity = outer.lineage.first().copied().flatten();
        self.path.starts_with(&outer.path) || (identity.is_some() && self.lineage.contains(&identity))
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
        for (one, other, expected) in [
            ("a/b", "a", Relation::Inside),
            ("a", "link/b", Relation::Around),
            ("link", "a", Relation::Same),
            ("a/missing", "a/missing/deep", Relation::Around),
            ("missing", "a", Relation::Apart),
        ] {
            assert_eq!(at(one).relation(&at(other)), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_second_path_of_a_directory_hides_nothing() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        let (outer, inner) = (Place::of(&root.path().join("a")), Place::of(&root.path().join("a/b")));
        // As a mount of the outer one elsewhere would have it: another path, the same directories.
        let elsewhere = |place: &Place, path: &str| Place { path: path.into(), ..place.clone() };
        assert_eq!(elsewhere(&inner, "/mnt/b").relation(&outer), Relation::Inside);
        assert_eq!(elsewhere(&outer, "/mnt").relation(&inner), Relation::Around);
        assert_eq!(elsewhere(&outer, "/mnt").relation(&outer), Relation::Same);
    }
}
