//! Where a weight starts before training. It owns the distributions (Caffe's fillers); the random numbers are the caller's.

use serde::{Deserialize, Serialize};

/// A distribution the values of a new weight are drawn from. The fan-in of a weight `[outputs, …]` is the number of its
/// elements divided by `outputs`, as in Caffe's fillers (`include/caffe/filler.hpp`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "distribution", rename_all = "snake_case")]
pub enum Initializer {
    /// One value.
    Constant {
        /// The value.
        value: f32,
    },
    /// Uniform in `[min, max)`.
    Uniform {
        /// Lower end.
        min: f32,
        /// Upper end.
        max: f32,
    },
    /// Normal.
    Gaussian {
        /// Mean.
        mean: f32,
        /// Standard deviation.
        std: f32,
    },
    /// Uniform in ±sqrt(3 / fan-in) (Glorot and Bengio 2010, Caffe's variant).
    Xavier,
    /// Normal with standard deviation sqrt(2 / fan-in) (He et al. 2015).
    Msra,
}

impl Initializer {
    /// Zeros.
    pub const ZERO: Self = Self::Constant { value: 0.0 };
    /// Ones.
    pub const ONE: Self = Self::Constant { value: 1.0 };

    /// Values for a weight of `shape`, row major. `uniform` returns independent numbers uniform in `[0, 1)`: the same
    /// numbers give the same weights.
    pub(crate) fn values(self, shape: &[usize], uniform: &mut dyn FnMut() -> f64) -> Vec<f32> {
        let count: usize = shape.iter().product();
        let fan_in = (count / shape.first().copied().unwrap_or(1).max(1)).max(1) as f64;
        let fill = |draw: &mut dyn FnMut() -> f64| (0..count).map(|_| draw() as f32).collect();
        match self {
            Self::Constant { value } => vec![value; count],
            Self::Uniform { min, max } => fill(&mut || f64::from(min) + f64::from(max - min) * uniform()),
            Self::Gaussian { mean, std } => fill(&mut || f64::from(mean) + f64::from(std) * normal(uniform)),
            Self::Xavier => {
                let limit = (3.0 / fan_in).sqrt();
                fill(&mut || limit * (2.0 * uniform() - 1.0))
            }
            Self::Msra => {
                let std = (2.0 / fan_in).sqrt();
                fill(&mut || std * normal(uniform))
            }
        }
    }
}

/// One standard normal number from two uniform ones (Box and Muller 1958).
fn normal(uniform: &mut dyn FnMut() -> f64) -> f64 {
    let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::generator;

    fn moments(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        (mean, (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    #[test]
    fn draws_have_the_moments_of_their_distribution() {
        let cases = [
            (Initializer::ONE, 1.0, 0.0),
            (Initializer::Uniform { min: 1.0, max: 3.0 }, 2.0, 2.0 / 12f64.sqrt()),
            (Initializer::Gaussian { mean: -1.0, std: 0.5 }, -1.0, 0.5),
            (Initializer::Xavier, 0.0, (1.0f64 / 50.0).sqrt()),
            (Initializer::Msra, 0.0, (2.0f64 / 50.0).sqrt()),
        ];
        for (initializer, mean, std) in cases {
            let values = initializer.values(&[400, 2, 25], &mut generator(7));
            let found = moments(&values);
            assert!((found.0 - mean).abs() < 0.02 && (found.1 - std).abs() < 0.02, "{initializer:?}: {found:?}");
        }
    }

    #[test]
    fn the_same_numbers_give_the_same_weights() {
        let draw = |seed| Initializer::Msra.values(&[3, 4], &mut generator(seed));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
