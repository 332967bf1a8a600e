//! The inputs whose answers are farthest apart.

use super::describe::shortened;
use super::summary::Example;

/// Inputs remembered.
const MOST: usize = 10;

/// The ten most different ones, farthest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Examples(Vec<Example>);

impl Examples {
    /// Keeps an input if it is among them; words for its answers are made only then. An input is listed once.
    pub(super) fn offer(&mut self, input: &str, distance: f64, words: impl FnOnce() -> (String, String)) {
        if self.0.len() == MOST && self.0[MOST - 1].distance >= distance {
            return;
        }
        let input = shortened(input);
        if let Some(place) = self.0.iter().position(|example| example.input == input) {
            if self.0[place].distance >= distance {
                return;
            }
            self.0.remove(place);
        }
        let place = self.0.partition_point(|example| example.distance >= distance);
        let (old, new) = words();
        self.0.insert(place, Example { input, distance, old, new });
        self.0.truncate(MOST);
    }

    /// Farthest first.
    pub(super) fn list(&self) -> &[Example] {
        &self.0
    }
}
