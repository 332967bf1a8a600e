//! Which measure decides that a model is the best so far (contract.md 4.4).

use super::MeasureValues;

/// Deciding measures, the first one present decides; true: larger is better.
const DECIDING: [(&str, bool); 10] = [
    ("map", true),
    ("meaniou", true),
    ("mlacc", true),
    ("delta_score_0.1", false),
    ("bacc", true),
    ("f1", true),
    ("net_meas", true),
    ("acc", true),
    ("L1_mean_error", false),
    ("eucll", false),
];

/// The measure that decides, its value, and whether larger is better. `None` when none of them was measured.
pub fn deciding(values: &MeasureValues) -> Option<(&'static str, f64, bool)> {
    DECIDING.iter().find_map(|&(name, larger_is_better)| Some((name, values.number(name)?, larger_is_better)))
}

/// Whether `value` is strictly better than `best`; a value that is no number never is.
pub fn is_better(value: f64, best: f64, larger_is_better: bool) -> bool {
    if larger_is_better { value > best } else { value < best }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_deciding_measure_present_decides() {
        let mut values = MeasureValues::default();
        assert_eq!(deciding(&values), None);
        values.set("mcll", 0.1);
        values.set("eucll", 2.0);
        assert_eq!(deciding(&values), Some(("eucll", 2.0, false)));
        values.set("acc", 0.5);
        assert_eq!(deciding(&values), Some(("acc", 0.5, true)));
        values.set("f1", 0.4);
        assert_eq!(deciding(&values), Some(("f1", 0.4, true)));
    }

    #[test]
    fn better_is_strict() {
        for (value, best, larger, expected) in [
            (0.6, 0.5, true, true),
            (0.5, 0.5, true, false),
            (0.4, 0.5, false, true),
            (0.5, 0.5, false, false),
            (f64::NAN, 0.5, true, false),
            (f64::NAN, 0.5, false, false),
        ] {
            assert_eq!(is_better(value, best, larger), expected, "{value} {best} {larger}");
        }
    }
}
