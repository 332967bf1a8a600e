//! What each operator of ONNX says of the numbers it makes.
//!
//! It owns the names of operators, of the standard (<https://onnx.ai/onnx/operators/>), of classical models (`ai.onnx.ml`)
//! and of ONNX Runtime's own (`com.microsoft`). It must not know where in a graph they stand.

use dede_core::backend::OutputActivation;

use super::producers::Producers;
use super::trees::are_votes;
use crate::neural::onnx_view::{ElementType, NodeView};

/// The kinds that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// It is one itself.
    Activation(OutputActivation),
    /// It makes numbers of classes, or truth values.
    Label,
    /// The numbers of its first input, some of them or all, elsewhere or coarser.
    Passing,
    /// Some numbers of its first input, which the second chooses.
    Choosing,
    /// The numbers of its first input as whole numbers.
    Rounding,
    /// The numbers of its first input in the type of its second.
    Converting,
    /// Other names, or numbers, for the values of its first input, by a table.
    Renaming,
    /// The numbers of its first input, cut to a range that probabilities do not leave.
    Bounding,
    /// Sums of numbers times learnt weights.
    Weighting,
    /// Means of numbers, over places or inputs.
    Averaging,
    /// The largest of numbers, over places or inputs.
    Largest,
    /// Sum or difference, number by number.
    Affine,
    /// The numbers of its first input times and plus learnt constants, or negated.
    Scaled,
    /// Product or quotient, number by number.
    Quotient,
    /// Numbers over the sum of their absolute values.
    Normalizing,
    /// `exp`.
    Exponential,
    /// The natural logarithm.
    Logarithm,
    /// Values beside each other.
    Joining,
    /// Anything else.
    Other,
}

/// What output number `index` of a node is.
pub(super) fn operator(node: &NodeView<'_>, index: usize) -> Operator {
    match node.domain {
        "" | "ai.onnx" => standard(node, index),
        "ai.onnx.ml" => classical(node, index),
        "com.microsoft" => of_runtime(node),
        _ => Operator::Other,
    }
}

fn standard(node: &NodeView<'_>, index: usize) -> Operator {
    use OutputActivation::{LogSoftmax, Sigmoid, Softmax};
    match node.op {
        "Softmax" | "Hardmax" => Operator::Activation(Softmax),
        "LogSoftmax" => Operator::Activation(LogSoftmax),
        "Sigmoid" | "HardSigmoid" => Operator::Activation(Sigmoid),
        "ArgMax" | "ArgMin" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Equal" | "Not" | "And"
        | "Or" | "Xor" => Operator::Label,
        "TopK" if index == 1 => Operator::Label,
        "Cast" if !is_float(node) => Operator::Rounding,
        "Dropout" if index > 0 => Operator::Other,
        // The items would be elsewhere.
        "Transpose" if moves_items(node) => Operator::Other,
        "CastLike" => Operator::Converting,
        "Identity" | "Cast" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Expand" | "Dropout"
        | "QuantizeLinear" | "DequantizeLinear" | "Slice" | "Split" => Operator::Passing,
        "Gather" => Operator::Choosing,
        "Relu" | "Clip" | "Abs" => Operator::Bounding,
        // Of one input it moves or adds numbers.
        "Einsum" if node.inputs.len() < 2 => Operator::Other,
        "Gemm" | "MatMul" | "MatMulInteger" | "QLinearMatMul" | "Einsum" | "Conv" | "ConvTranspose" | "ConvInteger"
        | "QLinearConv" => Operator::Weighting,
        "GlobalAveragePool" | "AveragePool" | "ReduceMean" | "Mean" => Operator::Averaging,
        "GlobalMaxPool" | "MaxPool" | "ReduceMax" | "Max" if index == 0 => Operator::Largest,
        "Add" | "Sub" | "Sum" => Operator::Affine,
        "Neg"
        | "BatchNormalization"
        | "InstanceNormalization"
        | "LayerNormalization"
        | "GroupNormalization"
        | "ReduceSum" => Operator::Scaled,
        "Mul" | "Div" | "Reciprocal" => Operator::Quotient,
        "LpNormalization" if integer(node, "p") == Some(1) => Operator::Normalizing,
        "Exp" => Operator::Exponential,
        "Log" => Operator::Logarithm,
        "Concat" => Operator::Joining,
        _ => Operator::Other,
    }
}

/// Trees and lines of scikit-learn and its like: a classifier's first output is the class, its second the scores.
fn classical(node: &NodeView<'_>, index: usize) -> Operator {
    match (node.op, index) {
        ("LinearClassifier" | "TreeEnsembleClassifier" | "SVMClassifier", 0) | ("Binarizer", _) => Operator::Label,
        ("LinearClassifier" | "TreeEnsembleClassifier" | "SVMClassifier", _) => match text(node, "post_transform") {
            b"SOFTMAX" | b"SOFTMAX_ZERO" => Operator::Activation(OutputActivation::Softmax),
            // ONNX Runtime computes for PROBIT the scores of probabilities, and not the other way round.
            b"LOGISTIC" => Operator::Activation(OutputActivation::Sigmoid),
            _ if node.op == "TreeEnsembleClassifier" && are_votes(node) => {
                Operator::Activation(OutputActivation::Softmax)
            }
            _ => Operator::Other,
        },
        ("Normalizer", _) if text(node, "norm") == b"L1" => Operator::Normalizing,
        ("ZipMap", _) => Operator::Passing,
        ("LabelEncoder", _) => Operator::Renaming,
        ("ArrayFeatureExtractor", _) => Operator::Choosing,
        _ => Operator::Other,
    }
}

fn of_runtime(node: &NodeView<'_>) -> Operator {
    match node.op {
        "QLinearSoftmax" | "BiasSoftmax" => Operator::Activation(OutputActivation::Softmax),
        "QLinearSigmoid" => Operator::Activation(OutputActivation::Sigmoid),
        "QuantizeLinear" | "DequantizeLinear" => Operator::Passing,
        "FusedGemm" | "FusedConv" if !text(node, "activation").is_empty() => Operator::Other,
        "QGemm"
        | "FusedGemm"
        | "FusedConv"
        | "FusedMatMul"
        | "DynamicQuantizeMatMul"
        | "MatMulIntegerToFloat"
        | "MatMulNBits" => Operator::Weighting,
        "QLinearGlobalAveragePool" | "QLinearAveragePool" | "QLinearReduceMean" => Operator::Averaging,
        "QLinearAdd" => Operator::Affine,
        "QLinearMul" => Operator::Quotient,
        "QLinearConcat" => Operator::Joining,
        _ => Operator::Other,
    }
}

/// The values that a node of kind [`Operator::Joining`] puts beside each other.
pub(super) fn joined<'n>(node: &'n NodeView<'_>) -> impl Iterator<Item = &'n str> {
    // The quantised form has the scale and zero point of its output first, and those of each input after it.
    let (first, step) = if node.op == "QLinearConcat" { (2, 3) } else { (0, 1) };
    node.inputs.iter().copied().skip(first).step_by(step)
}

/// Whether a node lets scores above 0 through, and less of those below. What cuts them at 1 may mean probabilities.
pub(super) fn is_rectifier(node: &NodeView<'_>, producers: &Producers<'_, '_>) -> bool {
    match node.op {
        "Relu" | "LeakyRelu" | "PRelu" | "Elu" | "HardSwish" => true,
        "Clip" => {
            let (low, high) = bounds(node, producers);
            low.is_some_and(|low| low > f32::MIN) && high.is_some_and(|high| high > 1.0)
        }
        _ => false,
    }
}

/// The numbers that a Clip leaves others between; those of all numbers where it has none, `None` where they are computed.
fn bounds(node: &NodeView<'_>, producers: &Producers<'_, '_>) -> (Option<f32>, Option<f32>) {
    let bound = |name: &str, place: usize, default: f32| match node.attribute(name) {
        Some(attribute) => attribute.float,
        None => match node.inputs.get(place).filter(|input| !input.is_empty()) {
            Some(input) => producers.number(input),
            None => Some(default),
        },
    };
    (bound("min", 1, f32::MIN), bound("max", 2, f32::MAX))
}

/// Whether a node of kind [`Operator::Bounding`] lets probabilities through. Bounds next to 0 and 1 keep logarithms finite.
pub(super) fn keeps_probabilities(node: &NodeView<'_>, producers: &Producers<'_, '_>) -> bool {
    const NEAR: f32 = 1e-3;
    if node.op != "Clip" {
        return true;
    }
    let (low, high) = bounds(node, producers);
    low.is_some_and(|low| low <= NEAR) && high.is_some_and(|high| high >= 1.0 - NEAR)
}

/// Whether a node makes the whole numbers that stand for others.
pub(super) fn makes_integers(node: &NodeView<'_>, index: usize) -> bool {
    /// Of the scale of QGemm's output: without it, that is a float.
    const SCALE: usize = 7;
    match node.op {
        "QuantizeLinear" | "MatMulInteger" | "ConvInteger" => true,
        "DynamicQuantizeLinear" => index == 0,
        "QGemm" => node.inputs.get(SCALE).is_some_and(|scale| !scale.is_empty()),
        op => op.starts_with("QLinear"),
    }
}

/// The inputs of a node that its numbers are, perhaps elsewhere, in other company or as sums: they stand for others where those do.
pub(super) fn kept_inputs<'a>(node: &NodeView<'a>, index: usize) -> Vec<&'a str> {
    let kept = match operator(node, index) {
        _ if node.op == "DequantizeLinear" => 0,
        Operator::Passing
        | Operator::Choosing
        | Operator::Rounding
        | Operator::Converting
        | Operator::Bounding
        | Operator::Renaming
        | Operator::Scaled => 1,
        Operator::Joining | Operator::Averaging | Operator::Largest | Operator::Affine => usize::MAX,
        Operator::Activation(_)
        | Operator::Label
        | Operator::Weighting
        | Operator::Quotient
        | Operator::Normalizing
        | Operator::Exponential
        | Operator::Logarithm
        | Operator::Other => 0,
    };
    node.inputs.iter().copied().take(kept).collect()
}

/// Whether a Transpose puts another axis first; without `perm` it turns the order of all.
fn moves_items(node: &NodeView<'_>) -> bool {
    node.attribute("perm").and_then(|perm| perm.integers.first()).is_none_or(|&first| first != 0)
}

fn is_float(node: &NodeView<'_>) -> bool {
    let to = integer(node, "to").map(ElementType::from_code);
    matches!(to, Some(ElementType::F32 | ElementType::F64 | ElementType::F16 | ElementType::Bf16))
}

fn integer(node: &NodeView<'_>, name: &str) -> Option<i64> {
    node.attribute(name)?.integer
}

fn text<'n>(node: &'n NodeView<'_>, name: &str) -> &'n [u8] {
    node.attribute(name).and_then(|attribute| attribute.text).unwrap_or_default()
}
