//! Operators that make the answer of one item depend on other items of the request, or on chance.
//!
//! It owns which operators draw at random, and which normalise over the items. Where items are, and along which axes an operator
//! computes, it is told.

use super::axes::{Along, Mixes, integer};
use super::forms::Form;
use super::producers::Producers;
use crate::neural::onnx_view::{GraphView, NodeView};

/// First version of the operator set whose Dropout and BatchNormalization are of a trained network unless they say otherwise.
const TRAINED: i64 = 7;
/// First version whose BatchNormalization says by an attribute that it is in training; until then, by making more than one value.
const SAYS_TRAINING: i64 = 14;

/// What an operator does to items by itself, whatever it is given.
pub(super) fn unsteady(node: &NodeView<'_>, opset: i64, producers: &Producers<'_, '_>) -> Option<&'static str> {
    const CHANCE: &str = "which draws at random";
    const TOGETHER: &str = "which normalises over all items of a request";
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
            training.filter(|input| !is_off(input)).map(|_| CHANCE)
        }
        "BatchNormalization" => {
            let made = node.outputs.iter().filter(|output| !output.is_empty()).count();
            let trains = match opset {
                ..TRAINED => !is_set("is_test"),
                TRAINED..SAYS_TRAINING => made > 1,
                SAYS_TRAINING.. => is_set("training_mode"),
            };
            trains.then_some(TOGETHER)
        }
        _ => None,
    }
}

/// Whether a graph has an operator that draws at random, or normalises over items, in it or in graphs inside it.
pub(super) fn has_unsteady(graph: &GraphView<'_>, opset: i64) -> bool {
    let mut found = false;
    graph.each_graph(&mut |graph| {
        let producers = Producers::of(graph, &[]);
        found |= graph.nodes.iter().any(|node| unsteady(node, opset, &producers).is_some());
    });
    found
}

/// How an operator that computes along these axes mixes the items of a value of that form; `None` where it does not, or that cannot be told.
pub(super) fn mixing(node: &NodeView<'_>, along: &Along, form: &Form) -> Option<String> {
    if along.mixes(form) != Mixes::Yes {
        return None;
    }
    Some(match node.op {
        "LSTM" | "GRU" | "RNN" => "which goes through the items of a request step by step".to_owned(),
        _ => format!("along {along}, the items of a request"),
    })
}
