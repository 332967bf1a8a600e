//! `dede engine install`: fetches the library of ONNX Runtime.
//!
//! It runs the ordinary Python package client, which knows the indexes, proxies and mirrors of this machine, and trusts nothing that it
//! brings but a file whose sha256 stands below. Without Python it says what to do by hand. It owns the engine directory;
//! it must not know how the library is loaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dede_model::error::{Error, Result};
use dede_storage::files::sync_directory;
use sha2::{Digest, Sha256};

use super::library;

/// One published wheel. Wheels differ for each version of Python although the library inside is the same, so one is named.
struct Wheel {
    architecture: &'static str,
    platform: &'static str,
    sha256: &'static str,
}

/// Python version of the wheels below; the library does not depend on it.
const PYTHON: &str = "311";

/// The wheels of `onnxruntime` 1.31.1 that are known.
const WHEELS: [Wheel; 2] = [
    Wheel {
        architecture: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
    },
    Wheel {
        architecture: "aarch64",
        platform: "manylinux_2_28_aarch64",
        sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
    },
];

/// What is kept of a wheel besides the library.
const NOTICES: [&str; 2] = ["onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"];

/// What installing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installed {
    /// The library was there already.
    Already(PathBuf),
    /// It was fetched.
    Fetched(PathBuf),
}

/// Fetches the library into the engine directory, unless it is there. `say` is told each step.
///
/// # Errors
/// [`Error::BadParameter`] when this platform or its Python cannot do it, with what to do by hand; [`Error::Io`] when the
/// directory cannot be written.
pub fn install(say: &mut dyn FnMut(&str)) -> Result<Installed> {
    let directory = library::engine_directory()
        .ok_or_else(|| Error::bad_parameter("neither XDG_DATA_HOME nor HOME says where the engine should be"))?;
    let installed = directory.join(library::file_name());
    if installed.is_file() {
        return Ok(Installed::Already(installed));
    }
    let wheel = wheel_for(std::env::consts::OS, std::env::consts::ARCH)
        .ok_or_else(|| by_hand(&directory, "there is no package known for this platform"))?;
    let python = python().ok_or_else(|| by_hand(&directory, "no Python with pip was found"))?;
    let parent = directory.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(Error::io(format!("create {}", parent.display())))?;
    let scratch = Scratch::create(parent)?;
    say(&format!("fetching onnxruntime {} with {python} -m pip download", library::VERSION));
    let file = download(&python, wheel, &scratch.0).map_err(|reason| by_hand(&directory, &reason))?;
    say("checking its sha256");
    verify(&file, wheel.sha256)?;
    say(&format!("installing it into {}", directory.display()));
    unpack(&python, &file, &scratch.0)?;
    place(&scratch.0, &directory)?;
    Ok(Installed::Fetched(installed))
}

fn wheel_for(os: &str, architecture: &str) -> Option<&'static Wheel> {
    WHEELS.iter().find(|wheel| os == "linux" && wheel.architecture == architecture)
}

/// What to do without this command.
fn by_hand(directory: &Path, reason: &str) -> Error {
    let (version, name, variable) = (library::VERSION, library::file_name(), library::LIBRARY_VARIABLE);
    Error::bad_parameter(format!(
        "{reason}; by hand: fetch the package onnxruntime {version} for this platform (a wheel is a zip file), \
         take onnxruntime/capi/{name} out of it and put it into {}, or set {variable} to where it is",
        directory.display()
    ))
}

/// The first interpreter that has pip.
fn python() -> Option<String> {
    let has_pip = |name: &&str| {
        Command::new(name).args(["-m", "pip", "--version"]).output().is_ok_and(|output| output.status.success())
    };
    ["python3", "python"].iter().find(|name| has_pip(name)).map(|name| (*name).to_owned())
}

fn download(python: &str, wheel: &Wheel, into: &Path) -> Result<PathBuf, String> {
    let requirement = format!("onnxruntime=={}", library::VERSION);
    let output = Command::new(python)
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"])
        .args(["--implementation", "cp", "--python-version", PYTHON, "--abi", &format!("cp{PYTHON}")])
        .args(["--platform", wheel.platform, "--dest"])
        .arg(into)
        .arg(&requirement)
        .output()
        .map_err(|error| format!("{python} cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("pip download {requirement} failed: {}", last_line(&output)));
    }
    let wheels = fs::read_dir(into).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
    let mut wheels = wheels.filter(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheels.next().ok_or_else(|| format!("pip download {requirement} left no wheel"))
}

fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message").trim().to_owned()
}

fn verify(file: &Path, expected: &str) -> Result<()> {
    let shown = file.display();
    let bytes = fs::read(file).map_err(Error::io(format!("read {shown}")))?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found == expected {
        return Ok(());
    }
    Err(Error::bad_parameter_at(shown.to_string(), format!("sha256 {expected} expected, found {found}; not installed")))
}

/// Unpacks the whole wheel below `into`; its content is known by its digest.
fn unpack(python: &str, wheel: &Path, into: &Path) -> Result<()> {
    let context = || format!("unpack {}", wheel.display());
    let output = Command::new(python)
        .args(["-m", "zipfile", "-e"])
        .args([wheel, into])
        .output()
        .map_err(Error::io(context()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::io(context())(std::io::Error::other(last_line(&output))))
}

/// Moves what is kept into a fresh directory, and that one into place by a rename.
fn place(unpacked: &Path, directory: &Path) -> Result<()> {
    let context = || format!("install into {}", directory.display());
    let fresh = unpacked.join("engine");
    fs::create_dir(&fresh).map_err(Error::io(context()))?;
    let library = format!("onnxruntime/capi/{}", library::file_name());
    for name in NOTICES.into_iter().chain([library.as_str()]) {
        let from = unpacked.join(name);
        let to = fresh.join(from.file_name().unwrap_or_default());
        fs::rename(&from, &to).and_then(|()| fs::File::open(&to)?.sync_all()).map_err(Error::io(context()))?;
    }
    sync_directory(&fresh)?;
    if directory.exists() {
        // What an interrupted copy by hand left: it has no library, or this would not run.
        fs::remove_dir_all(directory).map_err(Error::io(context()))?;
    }
    fs::rename(&fresh, directory).map_err(Error::io(context()))?;
    sync_directory(directory.parent().unwrap_or(Path::new("."))).map_err(Error::from)
}

/// A directory beside the engines that goes away again.
struct Scratch(PathBuf);

impl Scratch {
    fn create(parent: &Path) -> Result<Self> {
        let path = parent.join(format!(".install-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).map_err(Error::io(format!("create {}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_with_another_digest_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.whl");
        fs::write(&file, b"abc").expect("written");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(verify(&file, abc).is_ok());
        let error = verify(&file, WHEELS[0].sha256).expect_err("another digest").to_string();
        assert!(error.contains("a.whl") && error.contains(abc), "{error}");
    }

    #[test]
    fn only_the_library_and_its_notices_are_placed() {
        let scratch = tempfile::tempdir().expect("a directory");
        let capi = scratch.path().join("onnxruntime/capi");
        fs::create_dir_all(&capi).expect("created");
        for name in ["onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt", "onnxruntime/capi/other.so"] {
            fs::write(scratch.path().join(name), name).expect("written");
        }
        fs::write(capi.join(library::file_name()), "library").expect("written");
        let target = tempfile::tempdir().expect("a directory");
        let directory = target.path().join("onnxruntime");
        fs::create_dir(&directory).expect("an empty directory of an earlier attempt");
        place(scratch.path(), &directory).expect("placed");
        let mut names: Vec<_> =
            fs::read_dir(&directory).expect("there").flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        assert_eq!(names, ["LICENSE", "ThirdPartyNotices.txt", &library::file_name()]);
    }

    #[test]
    fn unknown_platforms_are_told_what_to_do() {
        assert!(wheel_for("macos", "aarch64").is_none());
        assert!(wheel_for("linux", "x86_64").is_some());
        let text = by_hand(Path::new("/data/engines"), "no Python with pip was found").to_string();
        for part in ["no Python", "libonnxruntime.so.1.31.1", "/data/engines", "DEDE_ONNXRUNTIME"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
