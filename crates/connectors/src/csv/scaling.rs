//! `scale`: minmax and znorm (contract.md 3.3).
//!
//! Bounds come one per non-ignored column, id and labels included, after one-hot coding; which bound belongs to which
//! feature is the business of `layout`.

use dede_model::parameters::Section;
use serde::Deserialize;

/// `scale_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ScaleType {
    /// `(x - min) / (max - min)`.
    #[default]
    MinMax,
    /// `(x - mean) / sqrt(variance)`, with the variance of the population.
    ZNorm,
}

impl ScaleType {
    /// All of them.
    pub(super) const ALL: [Self; 2] = [Self::MinMax, Self::ZNorm];

    /// Its name on the wire.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MinMax => "minmax",
            Self::ZNorm => "znorm",
        }
    }

    /// The parameters that hold its bounds.
    pub(super) fn keys(self) -> [&'static str; 2] {
        match self {
            Self::MinMax => ["min_vals", "max_vals"],
            Self::ZNorm => ["mean_vals", "variance_vals"],
        }
    }
}

/// Bounds of all columns; both vectors have the same length.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bounds {
    /// What the two vectors are.
    pub(super) kind: ScaleType,
    /// `min_vals` or `mean_vals`.
    pub(super) first: Vec<f64>,
    /// `max_vals` or `variance_vals`.
    pub(super) second: Vec<f64>,
}

impl Bounds {
    /// Number of columns.
    pub(super) fn len(&self) -> usize {
        self.first.len()
    }

    /// Refuses bounds that values cannot be divided by.
    ///
    /// # Errors
    /// Which bounds, and why.
    pub(super) fn check(&self) -> Result<(), String> {
        let [low, high] = self.kind.keys();
        let is_wrong = |&index: &usize| !self.divisor(index).is_finite() || self.divisor(index) < 0.0;
        let Some(index) = (0..self.len()).find(is_wrong) else { return Ok(()) };
        let (first, second) = (self.first[index], self.second[index]);
        Err(match self.kind {
            ScaleType::MinMax if first > second && self.divisor(index).is_finite() => {
                format!("{low}[{index}] is above {high}[{index}]: found {first} and {second}")
            }
            ScaleType::MinMax => {
                format!("{high}[{index}] - {low}[{index}] is no finite number: found {second} - {first}")
            }
            ScaleType::ZNorm => format!("{high}[{index}]: expected a variance of at least 0, found {second}"),
        })
    }

    /// How column `index` is scaled. A column with one value only is left as it is.
    pub(super) fn scale(&self, index: usize) -> Scale {
        let divisor = self.divisor(index);
        if divisor == 0.0 { Scale::NONE } else { Scale { offset: self.first[index], divisor } }
    }

    fn divisor(&self, index: usize) -> f64 {
        match self.kind {
            ScaleType::MinMax => self.second[index] - self.first[index],
            ScaleType::ZNorm => self.second[index].sqrt(),
        }
    }

    /// The values that column `index` usually has.
    pub(super) fn range(&self, index: usize) -> (f64, f64) {
        let (first, second) = (self.first[index], self.second[index]);
        match self.kind {
            ScaleType::MinMax => (first, second),
            ScaleType::ZNorm => (first - 2.0 * second.sqrt(), first + 2.0 * second.sqrt()),
        }
    }

    /// The two parameters, as they are answered and stored.
    pub(super) fn write(&self, section: &mut Section) {
        let [first, second] = self.kind.keys();
        section.insert(first.to_owned(), self.first.clone().into());
        section.insert(second.to_owned(), self.second.clone().into());
    }
}

/// `(x - offset) / divisor`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    offset: f64,
    divisor: f64,
}

impl Scale {
    /// Leaves values as they are.
    pub(super) const NONE: Self = Self { offset: 0.0, divisor: 1.0 };

    /// Scales one value.
    pub(super) fn apply(self, value: f64) -> f64 {
        (value - self.offset) / self.divisor
    }
}

/// Collects bounds over the rows of a training file.
#[derive(Debug, Clone)]
pub(super) enum BoundsCollector {
    /// Smallest and largest value so far.
    MinMax(Vec<(f64, f64)>),
    /// Welford's running mean and sum of squared differences, and the number of rows.
    ZNorm(Vec<(f64, f64)>, u64),
}

impl BoundsCollector {
    /// For `columns` columns.
    pub(super) fn new(kind: ScaleType, columns: usize) -> Self {
        match kind {
            ScaleType::MinMax => Self::MinMax(vec![(f64::INFINITY, f64::NEG_INFINITY); columns]),
            ScaleType::ZNorm => Self::ZNorm(vec![(0.0, 0.0); columns], 0),
        }
    }

    /// Adds one row, one value per column.
    pub(super) fn add(&mut self, values: &[f64]) {
        match self {
            Self::MinMax(columns) => {
                for ((low, high), &value) in columns.iter_mut().zip(values) {
                    *low = low.min(value);
                    *high = high.max(value);
                }
            }
            Self::ZNorm(columns, rows) => {
                *rows += 1;
                for ((mean, squares), &value) in columns.iter_mut().zip(values) {
                    let before = value - *mean;
                    *mean += before / *rows as f64;
                    *squares += before * (value - *mean);
                }
            }
        }
    }

    /// The bounds of the rows added; there must have been one.
    pub(super) fn finish(self) -> Bounds {
        match self {
            Self::MinMax(columns) => {
                let (first, second) = columns.into_iter().unzip();
                Bounds { kind: ScaleType::MinMax, first, second }
            }
            Self::ZNorm(columns, rows) => {
                let (first, second) =
                    columns.into_iter().map(|(mean, squares)| (mean, squares / rows.max(1) as f64)).unzip();
                Bounds { kind: ScaleType::ZNorm, first, second }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The two rows of the original's znorm test: `1,2590,56,2` and `2,4000,25,10`.
    #[test]
    fn znorm_takes_mean_and_population_variance() {
        let mut collector = BoundsCollector::new(ScaleType::ZNorm, 4);
        collector.add(&[1.0, 2590.0, 56.0, 2.0]);
        collector.add(&[2.0, 4000.0, 25.0, 10.0]);
        let bounds = collector.finish();
        assert_eq!(bounds.first, [1.5, 3295.0, 40.5, 6.0]);
        assert_eq!(bounds.second, [0.25, 497_025.0, 240.25, 16.0]);
        assert_eq!(bounds.scale(1).apply(2590.0), -1.0);
        assert_eq!(bounds.scale(1).apply(4000.0), 1.0);
    }

    #[test]
    fn a_constant_column_is_left_alone() {
        for kind in [ScaleType::MinMax, ScaleType::ZNorm] {
            let mut collector = BoundsCollector::new(kind, 1);
            collector.add(&[7.0]);
            collector.add(&[7.0]);
            assert_eq!(collector.finish().scale(0), Scale::NONE, "{kind:?}");
        }
    }

    proptest! {
        #[test]
        fn minmax_stays_in_the_unit_interval_and_inverts(values in prop::collection::vec(-1e6f64..1e6, 2..20)) {
            let mut collector = BoundsCollector::new(ScaleType::MinMax, 1);
            values.iter().for_each(|&value| collector.add(&[value]));
            let bounds = collector.finish();
            prop_assume!(bounds.second[0] > bounds.first[0]);
            for &value in &values {
                let scaled = bounds.scale(0).apply(value);
                prop_assert!((0.0..=1.0).contains(&scaled));
                let back = scaled * (bounds.second[0] - bounds.first[0]) + bounds.first[0];
                prop_assert!((back - value).abs() <= 1e-6);
            }
        }

        #[test]
        fn znorm_has_mean_zero_and_variance_one(values in prop::collection::vec(-1e3f64..1e3, 2..20)) {
            let mut collector = BoundsCollector::new(ScaleType::ZNorm, 1);
            values.iter().for_each(|&value| collector.add(&[value]));
            let bounds = collector.finish();
            prop_assume!(bounds.second[0] > 1e-6);
            let scaled: Vec<f64> = values.iter().map(|&value| bounds.scale(0).apply(value)).collect();
            let count = scaled.len() as f64;
            let mean = scaled.iter().sum::<f64>() / count;
            let variance = scaled.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            prop_assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6);
        }
    }
}
