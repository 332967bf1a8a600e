//! Operators that make the answer of one item depend on other items of the request, or on chance.
//!
//! It owns which operators draw at random, and which normalise, or scale, over the items. Where items are, and along which axes an operator
//! computes, it is told.

use super::axes::{Along, Mixes, integer};
use super::forms::Form;
use super::producers::Producers;
use crate::neural::onnx_view::NodeView;

/// First version of the operator set whose Dropout and BatchNormalization are of a trained network unless they say otherwise.
const TRAINED: i64 = 7;
/// First version whose BatchNormalization says by an attribute that it is in training; until then, by making more than one value.
const SAYS_TRAINING: i64 = 14;

/// What an operator does to items by itself, wherever they are; `is_fixed` says that all it takes is the same for each of them.
pub(super) fn unsteady(
    node: &NodeView<'_>,
    opset: i64,
    producers: &Producers<'_, '_>,
    is_fixed: bool,
) -> Option<&'static str> {
    const CHANCE: &str = "which draws at random";
    const TOGETHER: &str = "which normalises over all items of a request";
    const SCALES: &str = "which finds one scale for all items of a request";
    let is_set = |name: &str| integer(node, name).is_some_and(|flag| flag != 0);
    match node.op {
        "RandomNormal" | "RandomUniform" | "RandomNormalLike" | "RandomUniformLike" | "Multinomial" | "Bernoulli" => {
            Some(CHANCE)
        }
        "Dropout" => {
            let training = node.inputs.get(2).filter(|input| !input.is_empty());
            let is_off = |input: &&str| {
                let flag = producers.constant(input).filter(|flag| flag.elements() == 1);
                flag.and_then(|flag| flag.is_zero()) == Some(true)
            };
            let ratio = node.inputs.get(1).and_then(|ratio| producers.number(ratio));
            training.filter(|input| !is_off(input) && ratio != Some(0.0)).map(|_| CHANCE)
        }
        "BatchNormalization" => {
            let made = node.outputs.iter().filter(|output| !output.is_empty()).count();
            let trains = match opset {
                ..TRAINED => !is_set("is_test"),
                TRAINED..SAYS_TRAINING => made > 1,
                SAYS_TRAINING.. => is_set("training_mode"),
            };
            (trains && !is_fixed).then_some(TOGETHER)
        }
        op if scales_by_request(op) && !is_fixed => Some(SCALES),
        _ => None,
    }
}

/// Whether an operator makes whole numbers with a scale that is that of all numbers it is given: what becomes of an item depends on the
/// others beside it.
pub(super) fn scales_by_request(op: &str) -> bool {
    op.starts_with("DynamicQuantize")
}

/// How an operator that computes along these axes mixes the items of a value of that form, or may; `None` where it does not.
pub(super) fn mixing(node: &NodeView<'_>, along: &Along, form: &Form) -> Option<String> {
    match (node.op, along.mixes(form)) {
        ("LSTM" | "GRU" | "RNN", Mixes::Yes) => {
            Some("which goes through the items of a request step by step".to_owned())
        }
        (_, Mixes::No | Mixes::Yes | Mixes::Unknown) => along.over_items(form),
    }
}
