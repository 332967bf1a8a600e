//! The numbers between two limits, and the arithmetic on such.
//!
//! It must not know operators.

/// What rounding puts beyond a limit; no more than the numbers of a file of 16 bits are off.
const ROUNDED: f64 = 1.0 / 256.0;
/// The least and the largest number that a value may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    low: f64,
    high: f64,
}

impl Limits {
    /// Any number.
    pub(super) const NONE: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };
    pub(super) const PROBABILITIES: Self = Self { low: 0.0, high: 1.0 };
    pub(super) const SIGNED: Self = Self { low: -1.0, high: 1.0 };
    pub(super) const NEVER_NEGATIVE: Self = Self { low: 0.0, high: f64::INFINITY };

    /// Whether no number is below 0 or above 1.
    pub(super) fn are_of_probabilities(self) -> bool {
        self.low >= -ROUNDED && self.high <= 1.0 + ROUNDED
    }

    /// What is known where numbers came out that are none.
    pub(super) fn new(low: f64, high: f64) -> Self {
        if low.is_nan() || high.is_nan() || low > high { Self::NONE } else { Self { low, high } }
    }

    /// Of numbers that are one or the other.
    pub(super) fn or(self, other: Self) -> Self {
        Self::new(self.low.min(other.low), self.high.max(other.high))
    }

    /// Of their sums.
    pub(super) fn plus(self, other: Self) -> Self {
        Self::new(self.low + other.low, self.high + other.high)
    }

    /// Of the numbers below and above 0 exchanged.
    pub(super) fn negated(self) -> Self {
        Self::new(-self.high, -self.low)
    }

    /// Of their products.
    pub(super) fn times(self, other: Self) -> Self {
        // Nothing times without end is nothing here: the number itself has an end.
        let product = |one: f64, other: f64| if one == 0.0 || other == 0.0 { 0.0 } else { one * other };
        let ends = [(self.low, other.low), (self.low, other.high), (self.high, other.low), (self.high, other.high)];
        let ends = ends.map(|(one, other)| product(one, other));
        let [first, ..] = ends;
        Self::new(ends.into_iter().fold(first, f64::min), ends.into_iter().fold(first, f64::max))
    }

    /// Of 1 over these numbers.
    pub(super) fn inverse(self) -> Self {
        if self.low > 0.0 { Self::new(self.high.recip(), self.low.recip()) } else { Self::NONE }
    }

    /// Of their quotients.
    pub(super) fn over(self, other: Self) -> Self {
        if other.high < 0.0 { self.negated().times(other.negated().inverse()) } else { self.times_inverse(other) }
    }

    fn times_inverse(self, other: Self) -> Self {
        if other.low > 0.0 { self.times(other.inverse()) } else { Self::NONE }
    }

    /// The smaller of numbers in pairs.
    pub(super) fn smaller(self, other: Self) -> Self {
        Self::new(self.low.min(other.low), self.high.min(other.high))
    }

    /// The larger of numbers in pairs.
    pub(super) fn larger(self, other: Self) -> Self {
        Self::new(self.low.max(other.low), self.high.max(other.high))
    }

    /// Of what a function that never falls makes of them.
    pub(super) fn mapped(self, monotonous: impl Fn(f64) -> f64) -> Self {
        Self::new(monotonous(self.low), monotonous(self.high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_the_arithmetic() {
        let limits = Limits::new;
        let (unit, twice) = (limits(0.0, 1.0), limits(2.0, 4.0));
        for (found, expected) in [
            (unit.plus(twice), limits(2.0, 5.0)),
            (unit.plus(twice.negated()), limits(-4.0, -1.0)),
            (unit.negated().times(twice), limits(-4.0, 0.0)),
            (unit.over(twice), limits(0.0, 0.5)),
            (unit.over(twice.negated()), limits(-0.5, 0.0)),
            (unit.over(unit), Limits::NONE),
            (Limits::NEVER_NEGATIVE.plus(limits(1.0, 1.0)).inverse(), unit),
            (Limits::NONE.times(limits(0.0, 0.0)), limits(0.0, 0.0)),
            (Limits::NONE.plus(Limits::NONE.negated()), Limits::NONE),
            (Limits::NONE.mapped(f64::exp), Limits::NEVER_NEGATIVE),
            (unit.or(twice), limits(0.0, 4.0)),
            (unit.smaller(twice), unit),
            (unit.larger(twice), twice),
            (limits(f64::NAN, 1.0), Limits::NONE),
        ] {
            assert_eq!(found, expected);
        }
        assert!(unit.are_of_probabilities() && !twice.are_of_probabilities());
        assert!(limits(0.0, 1.002).are_of_probabilities(), "as rounded to 16 bits");
        assert!(!Limits::NEVER_NEGATIVE.are_of_probabilities() && !Limits::NONE.are_of_probabilities());
    }
}
