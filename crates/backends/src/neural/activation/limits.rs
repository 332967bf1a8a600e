//! Between which numbers a value stays, whatever the network is asked.
//!
//! A sigmoid that is written out in other operators, or cut out of a line, leaves 0 to 1 as little as one that is not. It must not know
//! what follows from that.

use super::facts::{Fact, Held};
use super::operators::{bounds, joined};
use super::producers::Producers;
use crate::neural::onnx_view::NodeView;
use dede_model::backend::OutputActivation::{Heads, Sigmoid, Softmax};

/// What rounding puts beyond a limit; no more than the numbers of a file of 16 bits are off.
const ROUNDED: f64 = 1.0 / 256.0;
/// Constants of more numbers are not gone through.
const MOST: u64 = 256;

/// The least and the largest number that a value may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    low: f64,
    high: f64,
}

impl Limits {
    /// Any number.
    pub(super) const NONE: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };
    const PROBABILITIES: Self = Self { low: 0.0, high: 1.0 };
    const SIGNED: Self = Self { low: -1.0, high: 1.0 };
    const NEVER_NEGATIVE: Self = Self { low: 0.0, high: f64::INFINITY };

    /// Whether no number is below 0 or above 1.
    pub(super) fn are_of_probabilities(self) -> bool {
        self.low >= -ROUNDED && self.high <= 1.0 + ROUNDED
    }

    /// What is known where numbers came out that are none.
    fn new(low: f64, high: f64) -> Self {
        if low.is_nan() || high.is_nan() || low > high { Self::NONE } else { Self { low, high } }
    }

    /// Of numbers that are one or the other.
    pub(super) fn or(self, other: Self) -> Self {
        Self::new(self.low.min(other.low), self.high.max(other.high))
    }

    fn plus(self, other: Self) -> Self {
        Self::new(self.low + other.low, self.high + other.high)
    }

    fn negated(self) -> Self {
        Self::new(-self.high, -self.low)
    }

    fn times(self, other: Self) -> Self {
        // Nothing times without end is nothing here: the number itself has an end.
        let product = |one: f64, other: f64| if one == 0.0 || other == 0.0 { 0.0 } else { one * other };
        let ends = [(self.low, other.low), (self.low, other.high), (self.high, other.low), (self.high, other.high)];
        let ends = ends.map(|(one, other)| product(one, other));
        let [first, ..] = ends;
        Self::new(ends.into_iter().fold(first, f64::min), ends.into_iter().fold(first, f64::max))
    }

    /// Of 1 over these numbers.
    fn inverse(self) -> Self {
        if self.low > 0.0 { Self::new(self.high.recip(), self.low.recip()) } else { Self::NONE }
    }

    fn over(self, other: Self) -> Self {
        if other.high < 0.0 { self.negated().times(other.negated().inverse()) } else { self.times_inverse(other) }
    }

    fn times_inverse(self, other: Self) -> Self {
        if other.low > 0.0 { self.times(other.inverse()) } else { Self::NONE }
    }

    /// The smaller of numbers in pairs.
    fn smaller(self, other: Self) -> Self {
        Self::new(self.low.min(other.low), self.high.min(other.high))
    }

    fn larger(self, other: Self) -> Self {
        Self::new(self.low.max(other.low), self.high.max(other.high))
    }

    fn mapped(self, monotonous: impl Fn(f64) -> f64) -> Self {
        Self::new(monotonous(self.low), monotonous(self.high))
    }
}

/// Between which numbers an input of a node is.
fn of_input(place: usize, node: &NodeView<'_>, inputs: &[&Fact<'_, '_>], producers: &Producers<'_, '_>) -> Limits {
    let Some(&value) = node.inputs.get(place) else { return Limits::NONE };
    if let Some(number) = producers.number(value) {
        return Limits::new(number.into(), number.into());
    }
    match producers.constant(value).filter(|constant| constant.elements() <= MOST) {
        Some(constant) => {
            let limits = constant.numbers().into_iter().flatten().map(|number| Limits::new(number, number));
            limits.reduce(Limits::or).unwrap_or(Limits::NONE)
        }
        None => inputs.get(place).map_or(Limits::NONE, |fact| fact.limits),
    }
}

/// Between which numbers is what a node makes that holds `held`.
pub(super) fn made(
    node: &NodeView<'_>,
    held: &Held<'_, '_>,
    inputs: &[&Fact<'_, '_>],
    producers: &Producers<'_, '_>,
) -> Limits {
    if matches!(held, Held::Found(Softmax | Sigmoid | Heads)) {
        return Limits::PROBABILITIES;
    }
    if !producers.is_standard(node) {
        return Limits::NONE;
    }
    let of = |place: usize| of_input(place, node, inputs, producers);
    let all = |pair: fn(Limits, Limits) -> Limits| (0..inputs.len()).map(of).reduce(pair).unwrap_or(Limits::NONE);
    match node.op {
        "Softmax" | "Hardmax" | "Sigmoid" | "HardSigmoid" => Limits::PROBABILITIES,
        "Tanh" | "Softsign" | "Erf" | "Sin" | "Cos" => Limits::SIGNED,
        "Atan" => Limits::SIGNED.mapped(|number| number * std::f64::consts::FRAC_PI_2),
        "Exp" => of(0).mapped(f64::exp),
        "Relu" => of(0).larger(Limits::new(0.0, 0.0)),
        "Abs" => of(0).larger(of(0).negated()).larger(Limits::new(0.0, 0.0)),
        "Clip" => {
            let end = |bound: Option<f32>, endless: f64| bound.map_or(endless, f64::from);
            let (low, high) = bounds(node, producers);
            let (low, high) = (end(low, f64::NEG_INFINITY), end(high, f64::INFINITY));
            of(0).mapped(|number| number.max(low).min(high))
        }
        "Neg" => of(0).negated(),
        "Reciprocal" => of(0).inverse(),
        "Sub" => of(0).plus(of(1).negated()),
        "Div" => of(0).over(of(1)),
        "Sqrt" => Limits::NEVER_NEGATIVE,
        "Add" | "Sum" => all(Limits::plus),
        "Mul" => all(Limits::times),
        "Min" => all(Limits::smaller),
        "Max" => all(Limits::larger),
        "Mean" => all(Limits::or),
        "Concat" => joined(node).enumerate().map(|(place, _)| of(place)).reduce(Limits::or).unwrap_or(Limits::NONE),
        "Where" => of(1).or(of(2)),
        // Around its borders it may take zeros for numbers.
        "AveragePool" => of(0).or(Limits::new(0.0, 0.0)),
        "Identity" | "Cast" | "CastLike" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Expand"
        | "Slice" | "Split" | "Gather" | "GatherElements" | "GatherND" | "MaxPool" | "GlobalMaxPool"
        | "GlobalAveragePool" | "ReduceMean" | "ReduceMax" | "ReduceMin" => of(0),
        // Whole numbers have the limits of those for which they stand.
        "QuantizeLinear" | "DynamicQuantizeLinear" => of(0),
        "DequantizeLinear" if inputs.first().is_some_and(|fact| fact.is_coded) => of(0),
        // It divides by what it keeps, while it is trained.
        "Dropout" if inputs.len() < 3 => of(0),
        _ => Limits::NONE,
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
