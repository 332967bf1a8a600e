//! Directories that repositories must lie in, where the operator names some.
//!
//! The kernel resolves the path beneath the root (openat2, `RESOLVE_BENEATH`), so neither `..` nor a symbolic link leads out of it.

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::place::{Place, Relation};

/// The roots; without any, every path will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roots(Vec<PathBuf>);

/// A directory where no repository may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// It is one of the roots.
    #[error("{} is a directory for the repositories of many", .0.display())]
    Root(PathBuf),
    /// It is beneath none of them.
    #[error("{} is outside of the directories this server keeps models in", .0.display())]
    Outside(PathBuf),
}

impl Roots {
    /// Takes directories that exist. A path may begin with one as it is written, or with what that leads to.
    ///
    /// # Errors
    /// [`Error`] for a directory that is not there.
    pub fn new(directories: &[PathBuf]) -> Result<Self> {
        let mut roots = Vec::new();
        for directory in directories {
            let context = || format!("open {}", directory.display());
            roots.push(directory.canonicalize().map_err(Error::at(context()))?);
            roots.push(std::path::absolute(directory).map_err(Error::at(context()))?);
        }
        roots.dedup();
        Ok(Self(roots))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(PathBuf::as_path)
    }

    fn contain(&self, path: &Path) -> bool {
        self.0.iter().any(|root| is_beneath(root, path))
    }

    /// Opens what lies beneath one of them.
    ///
    /// # Errors
    /// The system's; [`std::io::ErrorKind::NotFound`] for what lies elsewhere.
    pub fn open(&self, path: &Path, flags: OFlags) -> std::io::Result<OwnedFd> {
        let opened = self.0.iter().find_map(|root| {
            let relative = path.strip_prefix(root).ok().filter(|relative| is_plain(relative))?;
            let root = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
            Some(open_beneath(&root, relative, flags))
        });
        match opened {
            // A link that leads out of it.
            None | Some(Err(Errno::XDEV)) => Err(Errno::NOENT.into()),
            Some(opened) => Ok(opened?),
        }
    }

    /// Checks where a repository is, or would be made. A missing path is refused where the directory is opened.
    ///
    /// # Errors
    /// [`Misplaced`] when it is beneath none of the roots, or is a root itself.
    pub fn check(&self, repository: &Path) -> Result<(), Misplaced> {
        self.check_recorded(repository)?;
        let place = Place::of(repository);
        if self.iter().all(|root| Place::of(root).relation(&place) != Relation::Same) {
            return Ok(());
        }
        Err(Misplaced::Root(repository.to_owned()))
    }

    /// Checks where the repository of a service is that was there before a restart, perhaps with other roots: it may be a root itself.
    ///
    /// # Errors
    /// [`Misplaced`] when it is beneath none of the roots.
    pub fn check_recorded(&self, repository: &Path) -> Result<(), Misplaced> {
        if self.0.is_empty() || repository.as_os_str().is_empty() || self.contain(repository) {
            return Ok(());
        }
        Err(Misplaced::Outside(repository.to_owned()))
    }
}

/// Whether `path` leads to something beneath `root`; what is missing of it must be plain names.
fn is_beneath(root: &Path, path: &Path) -> bool {
    let Ok(relative) = path.strip_prefix(root) else { return false };
    if !is_plain(relative) {
        return false;
    }
    let Ok(root) = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    // The deepest part that is there decides: below it there are no links yet.
    for ancestor in relative.ancestors() {
        match open_beneath(&root, ancestor, OFlags::PATH | OFlags::CLOEXEC) {
            Ok(_) => return true,
            Err(Errno::NOENT) if !is_link(&root, ancestor) => {}
            Err(_) => return false,
        }
    }
    false
}

/// Whether a path consists of plain names.
fn is_plain(relative: &Path) -> bool {
    relative.components().all(|part| matches!(part, Component::Normal(_)))
}

fn open_beneath(root: &OwnedFd, relative: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(root, relative, flags, Mode::empty(), resolve)
}

/// A link whose target is missing is there, although it cannot be opened.
fn is_link(root: &OwnedFd, relative: &Path) -> bool {
    rustix::fs::readlinkat(root, relative, Vec::new()).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    /// A directory with `root/model`, links out of and within `root`, and a twin whose name begins alike.
    fn stage() -> (tempfile::TempDir, Roots, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let base = directory.path().canonicalize().expect("there");
        let root = base.join("root");
        for made in ["root/model", "root-twin/model", "outside"] {
            std::fs::create_dir_all(base.join(made)).expect("made");
        }
        symlink(base.join("outside"), root.join("out")).expect("linked");
        symlink("../outside", root.join("up")).expect("linked");
        symlink("../missing", root.join("dangling")).expect("linked");
        symlink("model", root.join("within")).expect("linked");
        symlink(".", root.join("itself")).expect("linked");
        let roots = Roots::new(std::slice::from_ref(&root)).expect("there");
        (directory, roots, root)
    }

    #[test]
    fn only_what_is_beneath_a_root_is_accepted() {
        let (_directory, roots, root) = stage();
        for (path, expected) in [
            ("", false),
            (".", false),
            ("itself", false),
            ("model", true),
            ("model/", true),
            ("./model", true),
            ("new/deep", true),
            ("within", true),
            ("within/new", true),
            ("model/../model", false),
            ("..", false),
            ("../root-twin/model", false),
            ("../../../../etc", false),
            ("out", false),
            ("out/new", false),
            ("up", false),
            ("up/new", false),
            ("dangling", false),
            ("dangling/new", false),
        ] {
            assert_eq!(roots.check(&root.join(path)).is_ok(), expected, "{path}");
        }
        let twin = root.with_file_name("root-twin").join("model");
        for path in [twin.as_path(), Path::new("/etc"), Path::new("model"), Path::new("/proc/self/root")] {
            let error = roots.check(path).expect_err("outside").to_string();
            assert!(error.contains("outside of the directories"), "{error}");
        }
        assert!(Roots::default().check(Path::new("/anywhere")).is_ok());
        let link = root.with_file_name("link");
        symlink(&root, &link).expect("linked");
        let roots = Roots::new(std::slice::from_ref(&link)).expect("there");
        assert!(roots.check(&link.join("model")).is_ok() && roots.check(&root.join("model")).is_ok());
        assert!(roots.check(&link.join("out")).is_err());
    }

    #[test]
    fn a_root_that_is_not_there_is_an_error() {
        assert!(Roots::new(&[PathBuf::from("/nonexistent/root")]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is accepted and then made lies in the root.
        #[test]
        fn what_is_accepted_stays_beneath(parts in proptest::collection::vec(
            prop_oneof!["[a-c]{1,2}", Just("..".to_owned()), Just(".".to_owned()), Just(String::new()),
                Just("out".to_owned()), Just("up".to_owned()), Just("within".to_owned()), Just("dangling".to_owned()),
                Just("root".to_owned()), Just("%2e%2e".to_owned()), Just("..\\..".to_owned())], 0..6)) {
            let (_directory, roots, root) = stage();
            let path = root.join(parts.join("/"));
            if roots.check(&path).is_ok() && std::fs::create_dir_all(&path).is_ok() {
                prop_assert!(path.canonicalize().expect("there").starts_with(&root));
            }
        }
    }
}
