//! Recorded inputs and answers: whether another server gives the same ones.

use serde::{Deserialize, Serialize};

use super::describe::{reason, shortened};
use super::difference::{Difference, FARTHEST};

/// Answers named in a report that failed.
const NAMED: usize = 10;

/// How alike recorded and new answers must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exactness {
    /// Bit by bit: the same engine on a CPU with the same features.
    BitEqual,
    /// Within the tolerance of the task: anything else.
    WithinTolerance,
}

/// An answer that is not what was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Missed {
    /// Which input.
    pub input: String,
    /// From 0 to 2.
    pub distance: f64,
    /// What was found, in words.
    pub found: String,
}

/// The result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Golden {
    /// What was asked for.
    pub exactness: Exactness,
    /// Answers compared, those that never came included.
    pub answers: u64,
    /// Answers that are equal bit by bit.
    pub bit_equal: u64,
    /// Answers within the tolerance, equal ones included.
    pub within_tolerance: u64,
    /// Answers that are not as alike as asked for.
    pub missed: u64,
    /// Largest distance.
    pub max_distance: f64,
    /// The farthest of the missed ones.
    pub worst: Vec<Missed>,
}

impl Golden {
    /// Whether there was something to compare and all of it was as alike as asked for.
    pub fn passed(&self) -> bool {
        self.answers > 0 && self.missed == 0
    }
}

/// Gathers the differences of one input after the other.
#[derive(Debug, Clone)]
pub struct GoldenCheck(Golden);

impl GoldenCheck {
    /// Nothing compared yet.
    pub fn new(exactness: Exactness) -> Self {
        Self(Golden {
            exactness,
            answers: 0,
            bit_equal: 0,
            within_tolerance: 0,
            missed: 0,
            max_distance: 0.0,
            worst: Vec::new(),
        })
    }

    /// Adds the answers to one input.
    pub fn add(&mut self, input: &str, differences: &[Difference]) {
        for difference in differences {
            self.0.answers += 1;
            self.0.bit_equal += u64::from(difference.bit_equal);
            self.0.within_tolerance += u64::from(difference.agrees);
            let good = match self.0.exactness {
                Exactness::BitEqual => difference.bit_equal,
                Exactness::WithinTolerance => difference.agrees,
            };
            self.0.max_distance = self.0.max_distance.max(difference.distance());
            if !good {
                self.miss(input, difference.distance(), &difference.measured.to_string());
            }
        }
    }

    /// Adds an input that was not answered as recorded at all: an error, or another number of answers.
    pub fn failed(&mut self, input: &str, reason: &str) {
        self.0.answers += 1;
        self.0.max_distance = FARTHEST;
        self.miss(input, FARTHEST, reason);
    }

    fn miss(&mut self, input: &str, distance: f64, found: &str) {
        self.0.missed += 1;
        let worst = &mut self.0.worst;
        let place = worst.partition_point(|missed| missed.distance >= distance);
        if place < NAMED {
            worst.insert(place, Missed { input: shortened(input), distance, found: reason(found) });
            worst.truncate(NAMED);
        }
    }

    /// The result.
    pub fn finish(self) -> Golden {
        self.0
    }
}
