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
}

impl Measure {
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
            ("map-50", None),
            ("", None),
        ] {
            assert_eq!(Measure::parse(name), expected, "{name}");
        }
    }
}
