//! Places where a test holds a thread still, to kill this process or another exactly there. Nothing without the feature `failpoints`.

use std::path::Path;

/// Holds still here if a test says so.
///
/// `DEDE_FAILPOINTS` is a directory. The file `wanted` in it names the place, and after a colon how many times it is passed before:
/// `copying`, `chunk:7`. The file `reached` is made there, and the thread goes on when it is removed.
#[cfg(feature = "failpoints")]
pub fn failpoint(name: &str) {
    use std::sync::{Mutex, PoisonError};
    static PASSED: Mutex<(String, u64)> = Mutex::new((String::new(), 0));
    let Some(directory) = std::env::var_os("DEDE_FAILPOINTS") else { return };
    let directory = Path::new(&directory);
    let Ok(wanted) = std::fs::read_to_string(directory.join("wanted")) else { return };
    let (place, times) = wanted
        .split_once(':')
        .map_or((wanted.as_str(), 0), |(place, times)| (place, times.parse::<u64>().unwrap_or(0)));
    if place != name {
        return;
    }
    {
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.0 != wanted {
            *passed = (wanted.clone(), 0);
        }
        passed.1 += 1;
        if passed.1 != times + 1 {
            return;
        }
    }
    let reached = directory.join("reached");
    std::fs::write(&reached, name).expect("the file of a failpoint can be made");
    while reached.exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// As [`failpoint`], told apart by the name of a file: `written/state.json`.
#[cfg(feature = "failpoints")]
pub fn failpoint_at(place: &str, path: &Path) {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    failpoint(&format!("{place}/{file}"));
}

/// Nothing.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn failpoint(_name: &str) {}

/// Nothing.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn failpoint_at(_place: &str, _path: &Path) {}
