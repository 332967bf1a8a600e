//! Where the library of ONNX Runtime may be.
//!
//! It owns the search order; loading is in [`super::onnxruntime`], fetching in [`super::install`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Environment variable that names the library; nothing else is tried when it is set.
pub const LIBRARY_VARIABLE: &str = "DEDE_ONNXRUNTIME";

/// Version that `dede engine install` fetches, and that is known to work.
pub(super) const VERSION: &str = "1.31.1";

/// Directories of the system, after those of `LD_LIBRARY_PATH`.
const SYSTEM_DIRECTORIES: [&str; 7] = [
    "/usr/local/lib",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/opt/onnxruntime/lib",
    "/opt/homebrew/lib",
];

/// The parts of the environment that decide.
#[derive(Debug, Clone, Default)]
struct SearchPaths {
    variable: Option<OsString>,
    data_home: Option<OsString>,
    home: Option<OsString>,
    library_path: Option<OsString>,
}

impl SearchPaths {
    fn of_this_process() -> Self {
        let get = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            variable: get(LIBRARY_VARIABLE),
            data_home: get("XDG_DATA_HOME"),
            home: get("HOME"),
            library_path: get("LD_LIBRARY_PATH"),
        }
    }

    fn engine_directory(&self) -> Option<PathBuf> {
        let data = match (&self.data_home, &self.home) {
            (Some(data), _) => PathBuf::from(data),
            (None, Some(home)) => Path::new(home).join(".local/share"),
            (None, None) => return None,
        };
        Some(data.join("dede/engines").join(format!("onnxruntime-{VERSION}")))
    }

    fn candidates(&self) -> Vec<PathBuf> {
        if let Some(path) = &self.variable {
            return vec![std::path::absolute(path).unwrap_or_else(|_| path.into())];
        }
        let library_path = self.library_path.iter().flat_map(std::env::split_paths).collect::<Vec<_>>();
        let directories = self.engine_directory().into_iter().chain(library_path);
        let directories = directories.chain(SYSTEM_DIRECTORIES.iter().map(PathBuf::from));
        directories.flat_map(|directory| libraries_in(&directory)).collect()
    }
}

/// `$XDG_DATA_HOME/dede/engines/onnxruntime-<version>`: where `dede engine install` puts the library. `None` without a home
/// directory.
pub fn engine_directory() -> Option<PathBuf> {
    SearchPaths::of_this_process().engine_directory()
}

/// Paths of libraries to try, in this order. Existing files only, unless the variable names one.
pub(super) fn candidates() -> Vec<PathBuf> {
    SearchPaths::of_this_process().candidates()
}

/// File name of the library as ONNX Runtime's own packages call it.
pub(super) fn file_name() -> String {
    format!("libonnxruntime.so.{VERSION}")
}

/// Version in a name such as `libonnxruntime.so.1.31.1`, following a link.
pub(super) fn version_of(path: &Path) -> Option<String> {
    let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = resolved.file_name()?.to_str()?;
    let version = name
        .strip_prefix("libonnxruntime.so.")
        .or_else(|| name.strip_prefix("libonnxruntime.")?.strip_suffix(".dylib"))?;
    version.contains('.').then(|| version.to_owned())
}

/// Libraries of ONNX Runtime in a directory, highest version first.
fn libraries_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libonnxruntime.so") || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_library).collect();
    found.sort_by_cached_key(|path| std::cmp::Reverse(version_key(path)));
    found
}

fn version_key(path: &Path) -> Vec<u64> {
    let version = version_of(path).unwrap_or_default();
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_alone_counts_when_it_is_set() {
        let paths = SearchPaths { variable: Some("/nowhere/lib.so".into()), ..SearchPaths::default() };
        assert_eq!(paths.candidates(), [PathBuf::from("/nowhere/lib.so")]);
    }

    #[test]
    fn the_engine_directory_comes_before_the_library_path_and_high_versions_first() {
        let home = tempfile::tempdir().expect("a directory");
        let other = tempfile::tempdir().expect("a directory");
        let paths = SearchPaths {
            data_home: Some(home.path().into()),
            library_path: Some(other.path().into()),
            ..SearchPaths::default()
        };
        let engines = paths.engine_directory().expect("a directory");
        std::fs::create_dir_all(&engines).expect("created");
        for path in [
            engines.join("libonnxruntime.so.1.9.0"),
            engines.join("libonnxruntime.so.1.31.1"),
            engines.join("LICENSE"),
            other.path().join("libonnxruntime.so"),
        ] {
            std::fs::write(path, "").expect("written");
        }
        let candidates = paths.candidates();
        let names: Vec<_> = candidates.iter().take(3).filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["libonnxruntime.so.1.31.1", "libonnxruntime.so.1.9.0", "libonnxruntime.so"]);
    }

    #[test]
    fn without_any_home_there_is_no_engine_directory() {
        assert_eq!(SearchPaths::default().engine_directory(), None);
    }
}
