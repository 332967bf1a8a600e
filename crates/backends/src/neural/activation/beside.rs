//! What was put beside numbers of another origin, and may be taken out again: probabilities among features show then.
//!
//! It owns which operators put values beside each other, and which take parts of one. It must not know what weights make of these.

use super::facts::Fact;
use super::operators::Operator;
use super::origin::Origin;
use crate::neural::onnx_view::NodeView;

/// What some numbers of what a node makes come from: of all that were put beside each other, the origin that shows most.
pub(super) fn made(node: &NodeView<'_>, kind: Operator, inputs: &[&Fact<'_, '_>]) -> Origin {
    let strongest = |origins: &mut dyn Iterator<Item = Origin>| origins.fold(Origin::Constant, Origin::or);
    match (node.op, kind) {
        (op, Operator::Joining) if op.contains("Concat") => {
            strongest(&mut inputs.iter().map(|fact| fact.origin.or(fact.beside)))
        }
        (
            "ScatterElements" | "Scatter" | "ScatterND" | "TensorScatter" | "SequenceConstruct" | "SequenceInsert"
            | "ConcatFromSequence",
            _,
        ) => strongest(&mut inputs.iter().map(|fact| fact.origin.or(fact.beside))),
        // All of them are in each number that is made.
        (_, Operator::Weighting | Operator::Activation(_) | Operator::Normalizing | Operator::Label) => {
            Origin::Constant
        }
        ("LSTM" | "GRU" | "RNN" | "Attention" | "MultiHeadAttention" | "QAttention", _) => Origin::Constant,
        _ => strongest(&mut inputs.iter().map(|fact| fact.beside)),
    }
}

/// Whether a node takes some of the numbers of its first input.
pub(super) fn is_choice(node: &NodeView<'_>) -> bool {
    matches!(
        node.op,
        "Slice"
            | "Split"
            | "SplitToSequence"
            | "Gather"
            | "GatherElements"
            | "GatherND"
            | "ArrayFeatureExtractor"
            | "SequenceAt"
            | "Compress"
            | "TopK"
    )
}
