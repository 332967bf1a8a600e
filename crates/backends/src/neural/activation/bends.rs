//! Which operators leave room for a sigmoid or a softmax in other clothes, and which ones never make anything of that kind.
//!
//! Weights, sums and rectifiers alone make scores: what they make has no ends. It owns the list of these operators; all others, and those
//! that nothing is known of, bend. It must not know what is concluded.

use super::facts::Fact;
use super::operators::{Operator, is_rectifier};
use super::origin::Origin;
use super::producers::Producers;
use crate::neural::onnx_view::NodeView;

/// Whether what a node makes may have ends that what it takes has not.
pub(super) fn bends(
    node: &NodeView<'_>,
    kind: Operator,
    inputs: &[&Fact<'_, '_>],
    producers: &Producers<'_, '_>,
) -> bool {
    let computed = inputs.iter().filter(|fact| fact.origin != Origin::Constant).count();
    let is_first_computed = inputs.first().is_some_and(|fact| fact.origin != Origin::Constant);
    match kind {
        _ if producers.is_foreign(node) => true,
        // Extents and what is made of them, scales and zero points.
        _ if computed == 0 => false,
        Operator::Weighting | Operator::Quotient => {
            computed > 1 || node.op == "Reciprocal" || node.op == "Div" && !is_first_computed
        }
        // A row of a table for each index.
        Operator::Choosing => !is_first_computed,
        Operator::Bounding => !matches!(node.op, "Relu" | "Abs") && !is_rectifier(node, producers),
        Operator::Passing
        | Operator::Averaging
        | Operator::Largest
        | Operator::Affine
        | Operator::Scaled
        | Operator::Joining => false,
        Operator::Activation(_)
        | Operator::Label
        | Operator::Rounding
        | Operator::Renaming
        | Operator::Normalizing
        | Operator::Exponential
        | Operator::Logarithm => true,
        Operator::Other => !is_rectifier(node, producers) && !is_straight(node.op),
    }
}

/// Operators that are told apart nowhere else: of hidden layers without ends, and that move numbers or their extents.
fn is_straight(op: &str) -> bool {
    matches!(
        op,
        "Selu"
            | "Celu"
            | "ThresholdedRelu"
            | "Gelu"
            | "FastGelu"
            | "QuickGelu"
            | "BiasGelu"
            | "Swish"
            | "Mish"
            | "Softplus"
            | "QLinearLeakyRelu"
            | "NhwcMaxPool"
            | "RMSNormalization"
            | "SimplifiedLayerNormalization"
            | "SkipLayerNormalization"
            | "MeanVarianceNormalization"
            | "LRN"
            | "Shape"
            | "Size"
            | "Constant"
            | "ConstantOfShape"
            | "Pad"
            | "Tile"
            | "Resize"
            | "Upsample"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "Scaler"
            | "Imputer"
            | "FeatureVectorizer"
            | "DynamicQuantizeLinear"
    )
}
