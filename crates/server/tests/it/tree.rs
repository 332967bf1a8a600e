//! What a directory holds, by digest: two trees are equal when every file is.

use std::collections::BTreeMap;
use std::path::Path;

/// What may differ in a state directory: the records of moves and jobs.
const IGNORED: [&str; 2] = ["moves", "jobs"];

/// Relative names with the digests of files; directories have none.
pub(crate) type Tree = BTreeMap<String, String>;

pub(crate) fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    if root.exists() {
        read(root, "", &mut found);
    }
    found
}

fn read(directory: &Path, prefix: &str, found: &mut Tree) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if IGNORED.contains(&name.as_str()) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            read(&entry.path(), &format!("{name}/"), found);
            found.insert(name, String::new());
        } else {
            let (_, digest) = dede_bundle::hash_file(&entry.path()).unwrap();
            found.insert(name, digest.to_string());
        }
    }
}

/// What is other, if anything is.
pub(crate) fn difference(before: &Tree, after: &Tree) -> Option<String> {
    let gone: Vec<_> = before.keys().filter(|name| !after.contains_key(*name)).collect();
    let new: Vec<_> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    let other: Vec<_> =
        before.iter().filter(|(name, digest)| after.get(*name).is_some_and(|now| now != *digest)).collect();
    (before != after).then(|| format!("gone {gone:?}, new {new:?}, changed {other:?}"))
}

/// Fails with what is other.
#[cfg(feature = "failpoints")]
pub(crate) fn assert_same(before: &Tree, after: &Tree, what: &str) {
    if let Some(difference) = difference(before, after) {
        panic!("{what} is not as it was: {difference}");
    }
}
