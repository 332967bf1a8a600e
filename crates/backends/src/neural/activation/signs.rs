//! Which operators make numbers that are never negative: the shares of such numbers in their sum are probabilities.
//!
//! It must not know what else they say of them.

use dede_model::backend::OutputActivation;

use super::facts::{Fact, Held};
use super::producers::Producers;
use crate::neural::onnx_view::NodeView;

/// Whether no number that a node makes is below 0, with what is known of its inputs and of what it makes.
pub(super) fn never_negative(
    node: &NodeView<'_>,
    made: &Held<'_, '_>,
    inputs: &[&Fact<'_, '_>],
    producers: &Producers<'_, '_>,
) -> bool {
    use OutputActivation::{Heads, Sigmoid, Softmax};
    if matches!(made, Held::Label | Held::Found(Softmax | Sigmoid | Heads)) {
        return true;
    }
    let is_positive = |place: usize| {
        let known = inputs.get(place).is_some_and(|fact| fact.never_negative);
        known || node.inputs.get(place).and_then(|input| producers.number(input)).is_some_and(|number| number >= 0.0)
    };
    if !producers.is_standard(node) {
        return false;
    }
    match node.op {
        "Exp" | "Softplus" | "Relu" | "Abs" | "Sqrt" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" => true,
        "Add" | "Mul" | "Div" | "Sum" | "Min" | "Mean" | "Concat" => (0..inputs.len()).all(is_positive),
        "Max" => (0..inputs.len()).any(is_positive),
        "Identity" | "Cast" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Expand" | "Slice"
        | "Split" | "Gather" | "Dropout" | "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "MaxPool"
        | "AveragePool" | "GlobalMaxPool" | "GlobalAveragePool" | "Pow" | "Reciprocal" => is_positive(0),
        _ => false,
    }
}
