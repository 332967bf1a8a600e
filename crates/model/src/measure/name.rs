//! The names of measures as requests write them.

/// What can be measured here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Measure {
    /// `acc`, `acc-k`: the right class is among the k best.
    Accuracy(usize),
    /// `mcll`.
    CrossEntropy,
    /// `f1`, `f1full`.
    F1 {
        /// With `precisions`, `recalls`, `f1s`.
        per_class: bool,
    },
    /// `cmdiag`.
    Recalls,
    /// `cmfull`.
    Matrix,
    /// `mcc`.
    Matthews,
    /// `auc`.
    AreaUnderCurve,
    /// `gini`.
    Gini,
    /// `eucll`, `eucll-T`.
    Euclidean {
        /// Smaller differences do not count.
        threshold: Option<f64>,
    },
    /// `l1`.
    Absolute,
    /// `percent`.
    Percent,
    /// `raw`.
    Raw,
    /// `map`, `map-XX`: the average precision of boxes.
    MeanAveragePrecision {
        /// Least overlap of a box that is right, hundredths; the usual one without.
        threshold: Option<u8>,
    },
}

/// Measures that the original has, and this version has not: of detections, series, segments and soft labels (contract.md 4.3).
const PLANNED: [&str; 15] =
    ["kl", "js", "was", "ks", "dc", "r2", "deltas", "L1", "L2", "mape", "smape", "mase", "owa", "mae", "mse"];

impl Measure {
    /// All names, for messages.
    pub(super) const NAMES: &'static str = "acc, acc-<k>, f1, f1full, mcll, cmdiag, cmfull, auc, mcc, gini, eucll, eucll-<threshold>, l1, percent, map, map-<percent> or raw";

    /// Whether the original has a measure of this name that is not here yet.
    pub(super) fn is_planned(name: &str) -> bool {
        let stem = name.split_once('-').map_or(name, |(stem, _)| stem);
        PLANNED.contains(&stem.strip_suffix("_all").unwrap_or(stem))
    }

    /// Whether it compares classes.
    pub(super) fn is_of_classes(self) -> bool {
        match self {
            Self::Accuracy(_)
            | Self::CrossEntropy
            | Self::F1 { .. }
            | Self::Recalls
            | Self::Matrix
            | Self::Matthews
            | Self::AreaUnderCurve
            | Self::Gini
            | Self::Raw => true,
            Self::Euclidean { .. } | Self::Absolute | Self::Percent | Self::MeanAveragePrecision { .. } => false,
        }
    }

    /// Whether it compares boxes.
    pub(super) fn is_of_boxes(self) -> bool {
        matches!(self, Self::MeanAveragePrecision { .. })
    }

    /// The least overlap of a box that is right, where it says one, hundredths.
    pub(super) fn least_overlap_percent(self) -> Option<u8> {
        if let Self::MeanAveragePrecision { threshold } = self { threshold } else { None }
    }

    /// Whether it compares values.
    pub(super) fn is_of_values(self) -> bool {
        match self {
            Self::Euclidean { .. } | Self::Absolute | Self::Percent | Self::Gini | Self::Raw => true,
            Self::Accuracy(_)
            | Self::CrossEntropy
            | Self::F1 { .. }
            | Self::Recalls
            | Self::Matrix
            | Self::Matthews
            | Self::AreaUnderCurve
            | Self::MeanAveragePrecision { .. } => false,
        }
    }

    /// Reads one name. Whatever contains `acc` is an accuracy, as in the original (contract.md 4.3).
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (stem, suffix) = match name.split_once('-') {
            Some((stem, suffix)) => (stem, Some(suffix)),
            None => (name, None),
        };
        if stem.contains("acc") {
            return match suffix {
                None => Some(Self::Accuracy(1)),
                Some(best) => best.parse().ok().filter(|&best| best > 0).map(Self::Accuracy),
            };
        }
        match (stem, suffix) {
            ("mcll", None) => Some(Self::CrossEntropy),
            ("f1", None) => Some(Self::F1 { per_class: false }),
            ("f1full", None) => Some(Self::F1 { per_class: true }),
            ("cmdiag", None) => Some(Self::Recalls),
            ("cmfull", None) => Some(Self::Matrix),
            ("mcc", None) => Some(Self::Matthews),
            ("auc", None) => Some(Self::AreaUnderCurve),
            ("gini", None) => Some(Self::Gini),
            ("eucll", None) => Some(Self::Euclidean { threshold: None }),
            ("eucll", Some(threshold)) => {
                let threshold = threshold.parse().ok().filter(|value: &f64| value.is_finite())?;
                Some(Self::Euclidean { threshold: Some(threshold) })
            }
            ("l1", None) => Some(Self::Absolute),
            ("percent", None) => Some(Self::Percent),
            ("raw", None) => Some(Self::Raw),
            ("map", None) => Some(Self::MeanAveragePrecision { threshold: None }),
            ("map", Some(percent)) => {
                let threshold = percent.parse().ok().filter(|percent| (1..=100).contains(percent))?;
                Some(Self::MeanAveragePrecision { threshold: Some(threshold) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_original_reads_them() {
        for (name, expected) in [
            ("acc", Some(Measure::Accuracy(1))),
            ("acc-5", Some(Measure::Accuracy(5))),
            ("accuracy", Some(Measure::Accuracy(1))),
            ("acc-0", None),
            ("acc-x", None),
            ("f1", Some(Measure::F1 { per_class: false })),
            ("f1full", Some(Measure::F1 { per_class: true })),
            ("eucll-0.5", Some(Measure::Euclidean { threshold: Some(0.5) })),
            ("eucll-nan", None),
            ("mcll-2", None),
            ("map", Some(Measure::MeanAveragePrecision { threshold: None })),
            ("map-05", Some(Measure::MeanAveragePrecision { threshold: Some(5) })),
            ("map-0", None),
            ("map-101", None),
            ("map-90-extra", None),
            ("xmap-90", None),
            ("", None),
        ] {
            assert_eq!(Measure::parse(name), expected, "{name}");
        }
    }
}
