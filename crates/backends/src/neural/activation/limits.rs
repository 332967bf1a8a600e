//! Between which numbers a value stays, whatever the network is asked.
//!
//! A sigmoid that is written out in other operators, or cut out of a line, leaves 0 to 1 as little as one that is not. It must not know
//! what follows from that.

use super::facts::{Fact, Held};
use super::interval::Limits;
use super::operators::{bounds, joined};
use super::producers::Producers;
use crate::neural::onnx_view::NodeView;
use dede_model::backend::OutputActivation::{Heads, Sigmoid, Softmax};

/// Constants of more numbers are not gone through.
const MOST: u64 = 256;

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
