//! The noise floor: how often a model disagrees with itself, the part of a disagreement that no change of model
//! explains.
//!
//! The method is Diffy's (Twitter, 2015): each request also goes to a second instance of the *old* version, and what primary and
//! secondary disagree on is noise. Diffy compares two raw rates against fixed thresholds (20 % relative, 0.03 % absolute); here both have
//! confidence sequences, and the new model is judged by what it surely adds to the noise.

use dede_model::labels::Labels;

use super::accumulator::{Comparison, Observation};
use super::sequence::ConfidenceSequence;
use super::summary::Summary;
use super::tolerance::Tolerance;

/// Old against old.
#[derive(Debug, Clone)]
pub struct NoiseFloor(Comparison);

impl NoiseFloor {
    /// Nothing observed yet.
    pub fn new(tolerance: Tolerance, labels: &Labels) -> Self {
        Self(Comparison::new(tolerance, labels, labels))
    }

    /// Adds a request that the old model answered twice: `new` is its second answer.
    pub fn add(&mut self, observation: Observation<'_>) {
        self.0.add(observation);
    }

    /// The rate at which the model disagrees with itself: bounds that are wrong with a probability of at most `alpha` whenever asked.
    /// A model all of whose second answers equal the first bit by bit computes the same each time: its floor is 0, not just below
    /// what so many requests can show. (What changes answers from run to run, such as the order of sums, shows in the
    /// last bits long before it changes a decision.)
    pub(super) fn bounds(&self, sequence: ConfidenceSequence, alpha: f64) -> (f64, f64) {
        if self.0.requests() == 0 || self.0.is_bit_equal() {
            return (0.0, 0.0);
        }
        let bounds = sequence.bounds(self.0.disagreement(), self.0.requests(), alpha);
        (*bounds.start(), *bounds.end())
    }

    /// The figures so far.
    pub fn summary(&self) -> Summary {
        self.0.summary()
    }
}
