//! By which scale and zero point whole numbers stand for others, and whether they are read by the same.
//!
//! It owns the places of scales among the inputs of quantised operators. It must not know what the numbers are.

use super::facts::Fact;
use super::producers::{Producers, Scale};
use crate::neural::onnx_view::NodeView;

/// That of what a node makes, where it makes such numbers.
pub(super) fn made<'a>(
    node: &NodeView<'a>,
    inputs: &[&Fact<'_, 'a>],
    producers: &Producers<'_, 'a>,
) -> Option<Scale<'a>> {
    match node.op {
        "QuantizeLinear" => Some(Scale::of(node, 1)),
        "DynamicQuantizeLinear" => Some(Scale::computed(node)),
        "QLinearMatMul" | "QLinearConv" | "QLinearAdd" | "QLinearMul" => Some(Scale::of(node, 6)),
        "QLinearConcat" => Some(Scale::of(node, 0)),
        "QLinearSoftmax"
        | "QLinearSigmoid"
        | "QLinearLeakyRelu"
        | "QLinearGlobalAveragePool"
        | "QLinearAveragePool"
        | "QLinearReduceMean" => Some(Scale::of(node, 3)),
        "QGemm" => Some(Scale::of(node, 7)),
        _ => {
            let mut scales = inputs.iter().filter(|fact| fact.is_coded).map(|fact| fact.scale);
            let first = scales.next()??;
            scales.all(|other| other.is_some_and(|other| producers.are_one_scale(first, other))).then_some(first)
        }
    }
}

/// Whether a node takes whole numbers by another scale than that by which they were made.
pub(super) fn is_other(node: &NodeView<'_>, inputs: &[&Fact<'_, '_>], producers: &Producers<'_, '_>) -> bool {
    let read: Vec<usize> = match node.op {
        "DequantizeLinear" | "QLinearGlobalAveragePool" | "QLinearAveragePool" | "QLinearReduceMean" => vec![0],
        "QLinearConcat" => (2..node.inputs.len()).step_by(3).collect(),
        _ => vec![],
    };
    read.into_iter().any(|place| {
        let coded = inputs.get(place).filter(|fact| fact.is_coded);
        let is_one = |scale| producers.are_one_scale(scale, Scale::of(node, place + 1));
        coded.is_some_and(|fact| !fact.scale.is_some_and(is_one))
    })
}
