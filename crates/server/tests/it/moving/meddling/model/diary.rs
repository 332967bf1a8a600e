//! What was done, answered and seen in a schedule, line by line. It outlives a schedule that fails.

use std::sync::Mutex;

/// Lines that say what was done and answered, for people who read of a failure.
#[derive(Default)]
pub(super) struct Diary(Mutex<Vec<String>>);

impl Diary {
    pub(super) fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    pub(super) fn text(&self) -> String {
        self.0.lock().unwrap().join("\n    ")
    }
}
