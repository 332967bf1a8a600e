//! What a repository looks like from outside: whether any of its files was written, replaced, added or removed since.
//!
//! It reads no file. It must not know which files a network is made of.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use dede_bundle::Digest;

use super::{CONFIG, Repository};

/// Deepest directory, and most entries, that are looked at.
const DEEPEST: usize = 8;
const MOST: usize = 10_000;

impl Repository {
    /// Names, sizes, identities and times of the last change of all that is in it, but for the record of the service, which this server
    /// writes itself. `None` where it cannot be listed, or there is too much of it.
    pub fn listing(&self) -> Option<Digest> {
        let mut lines = Vec::new();
        list(self.root(), DEEPEST, &mut lines)?;
        lines.sort_unstable();
        let own = self.root().join(CONFIG);
        lines.retain(|line| line.name != own);
        Some(Digest::of(format!("{lines:?}").as_bytes()))
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    name: PathBuf,
    size: u64,
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

fn list(directory: &Path, depth: usize, lines: &mut Vec<Line>) -> Option<()> {
    for entry in fs::read_dir(directory).ok()? {
        let name = entry.ok()?.path();
        // Through links: what is at their end is what is loaded.
        let found = fs::metadata(&name).ok()?;
        if found.is_dir() {
            list(&name, depth.checked_sub(1)?, lines)?;
            continue;
        }
        if lines.len() >= MOST {
            return None;
        }
        let changed = (found.ctime(), found.ctime_nsec());
        lines.push(Line { name, size: found.len(), device: found.dev(), inode: found.ino(), changed });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_a_file_changes_the_listing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let look =
            || Repository::open(directory.path(), false).expect("it is there").listing().expect("it can be listed");
        fs::create_dir(path("runs")).expect("made");
        fs::write(path("runs/network"), "1").expect("written");
        let before = look();
        assert_eq!(look(), before, "nothing happened");
        fs::write(path(CONFIG), "{}").expect("written");
        assert_eq!(look(), before, "the server's own record");
        let changes: [(&str, &dyn Fn()); 4] = [
            ("written", &|| fs::write(path("runs/network"), "22").expect("written")),
            ("replaced", &|| {
                fs::write(path("other"), "2").expect("written");
                fs::rename(path("other"), path("runs/network")).expect("renamed");
            }),
            ("added", &|| fs::write(path("network.onnx"), "").expect("written")),
            ("removed", &|| fs::remove_file(path("network.onnx")).expect("removed")),
        ];
        let mut last = before;
        for (what, change) in changes {
            change();
            let now = look();
            assert_ne!(now, last, "{what}");
            last = now;
        }
    }
}
