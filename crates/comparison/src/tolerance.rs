//! How far two answers may be apart and still count as the same.

use serde::{Deserialize, Serialize};

/// One bound per measure of [`super::Measured`]. The default is for models that should behave alike ("agrees" in shadowing);
/// [`Tolerance::numerical`] is for the same network computed elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tolerance {
    /// Classification: largest total variation distance, the share of probability that moved to other classes.
    pub total_variation: f64,
    /// Classification: two best classes whose probabilities are no further apart are in no order, so that either may come first.
    pub tie: f64,
    /// Regression: largest relative error of any target.
    pub relative_error: f64,
    /// Regression: values are never taken for smaller than this when errors are divided by them: near zero, rounding alone makes any
    /// relative error.
    pub absolute_floor: f64,
    /// Boxes: largest share of all scores that is not in both answers.
    pub moved_score: f64,
    /// Boxes: least overlap (Jaccard index) of two that are the same.
    pub least_overlap: f64,
    /// Masks: largest share of the pixels that are of another class.
    pub moved_pixels: f64,
    /// Masks: least mean overlap (Jaccard index) of the classes that either has.
    pub least_mean_overlap: f64,
    /// Features: largest cosine distance.
    pub cosine_distance: f64,
    /// Features: largest relative difference of the lengths of two vectors, which their cosine does not see.
    pub norm_gap: f64,
}

impl Tolerance {
    /// For one network on two engines or kinds of CPU: 32-bit sums in another order differ by about 1e-6 of their size, a hundred layers
    /// by some 1e-5; a wrong mean, channel order or interpolation moves answers by 1e-2 and more. The bounds lie between.
    pub const fn numerical() -> Self {
        Self {
            total_variation: 1e-3,
            tie: 1e-3,
            relative_error: 1e-3,
            absolute_floor: 1e-3,
            moved_score: 1e-3,
            // Half a pixel of a box of 100 pixels.
            least_overlap: 0.98,
            moved_pixels: 1e-3,
            // One pixel of a class that the other mask lacks may take away a third.
            least_mean_overlap: 0.5,
            cosine_distance: 1e-4,
            norm_gap: 1e-3,
        }
    }
}

impl Default for Tolerance {
    /// For two models that clients should not be able to tell apart by their decisions: the same best class with at most a tenth of
    /// the probability elsewhere (quantisation to 8 bits moves a few hundredths), the same boxes with at most a tenth of their scores
    /// elsewhere, masks with at most a twentieth of their pixels of another class, values within one percent, and features whose nearest
    /// neighbours stay the same (a cosine distance of 0.01 is an angle of 8 degrees).
    fn default() -> Self {
        Self {
            total_variation: 0.1,
            tie: 1e-3,
            relative_error: 1e-2,
            absolute_floor: 1e-3,
            moved_score: 0.1,
            least_overlap: 0.5,
            moved_pixels: 0.05,
            least_mean_overlap: 0.5,
            cosine_distance: 1e-2,
            norm_gap: 5e-2,
        }
    }
}
