//! Files being made, in the open directory they will be in. It knows temporary names; the content is the caller's.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, renameat, unlinkat};

/// How the names of drafts begin, and nothing else's.
const PREFIX: &str = ".dede-draft-";

/// A file being made in a directory under a temporary name; gone again unless it is published.
pub struct Draft<'a> {
    parent: &'a OwnedFd,
    temporary: String,
    published: bool,
}

impl<'a> Draft<'a> {
    /// Nothing is made yet.
    pub fn new(parent: &'a OwnedFd) -> Self {
        Self { parent, temporary: format!("{PREFIX}{}", unique()), published: false }
    }

    /// Whether a file is a draft that a process left behind.
    pub fn is_one(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    /// An empty file, for writing and reading back.
    pub fn create(&self, mode: u32) -> rustix::io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.parent, &self.temporary, flags, Mode::from_raw_mode(mode)).map(File::from)
    }

    /// A further name of an existing file.
    pub fn link(&self, existing: &Path) -> rustix::io::Result<()> {
        linkat(CWD, existing, self.parent, &self.temporary, AtFlags::empty())
    }

    /// What it is now.
    pub fn open(&self) -> rustix::io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.parent, &self.temporary, flags, Mode::empty()).map(File::from)
    }

    /// Gives it its name, durably.
    pub fn publish(mut self, name: &str) -> rustix::io::Result<()> {
        renameat(self.parent, &self.temporary, self.parent, name)?;
        self.published = true;
        rustix::fs::fsync(self.parent)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.published {
            // There may be none: what failed first is what the caller reports.
            let _ = unlinkat(self.parent, &self.temporary, AtFlags::empty());
        }
    }
}

/// Different for each call and each process, so that temporary names never meet. A process number would not do: in a container it is
/// the same each time.
pub fn unique() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}-{}", *PROCESS, COUNTER.fetch_add(1, Ordering::Relaxed))
}
