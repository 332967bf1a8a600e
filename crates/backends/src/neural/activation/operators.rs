//! What each operator of ONNX says of the numbers it makes.
//!
//! It owns the names of operators, of the standard (<https://onnx.ai/onnx/operators/>), of classical models (`ai.onnx.ml`)
//! and of ONNX Runtime's own (`com.microsoft`). It must not know what other operators made of the numbers that they take.

use dede_model::backend::OutputActivation;

use super::attributes::integer;
use super::producers::Producers;
use super::trees::{are_votes, has_score_of_each, scores_pairs};
use crate::neural::onnx_view::NodeView;

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
pub(super) fn operator(node: &NodeView<'_>, index: usize, producers: &Producers<'_, '_>) -> Operator {
    match node.domain {
        _ if producers.is_foreign(node) => Operator::Other,
        "" | "ai.onnx" => standard(node, index, producers),
        "ai.onnx.ml" => classical(node, index),
        "com.microsoft" => of_runtime(node),
        _ => Operator::Other,
    }
}

fn standard(node: &NodeView<'_>, index: usize, producers: &Producers<'_, '_>) -> Operator {
    use OutputActivation::{LogSoftmax, Sigmoid, Softmax};
    match node.op {
        "Softmax" | "Hardmax" => Operator::Activation(Softmax),
        "LogSoftmax" => Operator::Activation(LogSoftmax),
        "Sigmoid" | "HardSigmoid" => Operator::Activation(Sigmoid),
        "ArgMax" | "ArgMin" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Equal" | "Not" | "And"
        | "Or" | "Xor" => Operator::Label,
        "TopK" if index == 1 => Operator::Label,
        "Cast" | "CastLike" if !producers.makes_floats(node) => Operator::Rounding,
        "Dropout" if index > 0 => Operator::Other,
        "Identity" | "Cast" | "CastLike" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Expand"
        | "Dropout" | "QuantizeLinear" | "DequantizeLinear" | "Slice" | "Split" => Operator::Passing,
        "DynamicQuantizeLinear" if index == 0 => Operator::Passing,
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
            // A score of each pair of classes.
            _ if node.op == "SVMClassifier" && scores_pairs(node) => Operator::Other,
            b"SOFTMAX" | b"SOFTMAX_ZERO" if !has_score_of_each(node) => Operator::Other,
            b"SOFTMAX" | b"SOFTMAX_ZERO" => Operator::Activation(OutputActivation::Softmax),
            b"LOGISTIC" => Operator::Activation(OutputActivation::Sigmoid),
            // The inverse of the normal distribution: what it makes is no probability.
            b"PROBIT" => Operator::Other,
            _ if node.op == "TreeEnsembleClassifier" && are_votes(node) => {
                Operator::Activation(OutputActivation::Softmax)
            }
            _ if node.op == "SVMClassifier" && has_floats(node, "prob_a") && has_floats(node, "prob_b") => {
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

/// Whether a node of kind [`Operator::Bounding`] lets probabilities through. Bounds next to 0 and 1 keep logarithms finite.
pub(super) fn keeps_probabilities(node: &NodeView<'_>, producers: &Producers<'_, '_>) -> bool {
    const NEAR: f32 = 1e-3;
    if node.op != "Clip" {
        return true;
    }
    let (low, high) = bounds(node, producers);
    low.is_some_and(|low| low <= NEAR) && high.is_some_and(|high| high >= 1.0 - NEAR)
}

/// Whether a node lets scores above 0 through, and less of those below. One that ends at 1 is a sigmoid with corners.
pub(super) fn is_rectifier(node: &NodeView<'_>, producers: &Producers<'_, '_>) -> bool {
    match node.op {
        "Relu" | "LeakyRelu" | "PRelu" | "Elu" | "HardSwish" => true,
        "Clip" => bounds(node, producers).1.is_some_and(|high| high > 1.0),
        _ => false,
    }
}

/// Least and largest number that a Clip makes, where they are known.
pub(super) fn bounds(node: &NodeView<'_>, producers: &Producers<'_, '_>) -> (Option<f32>, Option<f32>) {
    let bound = |name: &str, place: usize, default: f32| match node.attribute(name) {
        Some(attribute) => attribute.float,
        None => match node.inputs.get(place).filter(|input| !input.is_empty()) {
            Some(input) => producers.number(input),
            None => Some(default),
        },
    };
    (bound("min", 1, f32::MIN), bound("max", 2, f32::MAX))
}

/// What becomes of whole numbers that stand for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codes {
    /// Output numbers are such.
    Made,
    /// They are where the input's are.
    Kept,
    /// They are numbers themselves, whatever went in.
    Ended,
}

/// What output number `index` of a node of that kind makes of whole numbers that stand for others.
pub(super) fn codes(node: &NodeView<'_>, index: usize, kind: Operator, producers: &Producers<'_, '_>) -> Codes {
    match (node.op, kind) {
        _ if producers.is_foreign(node) => Codes::Kept,
        ("QuantizeLinear" | "MatMulInteger" | "ConvInteger", _) => Codes::Made,
        ("DynamicQuantizeLinear", _) if index == 0 => Codes::Made,
        ("QGemm", _) if node.inputs.get(7).is_some_and(|scale| !scale.is_empty()) => Codes::Made,
        (op, _) if op.starts_with("QLinear") => Codes::Made,
        // Windows of quantised images.
        ("NhwcMaxPool", _) => Codes::Kept,
        ("DequantizeLinear" | "BatchNormalization" | "InstanceNormalization" | "LayerNormalization", _) => Codes::Ended,
        (
            _,
            Operator::Activation(_)
            | Operator::Label
            | Operator::Weighting
            | Operator::Quotient
            | Operator::Normalizing
            | Operator::Exponential
            | Operator::Logarithm,
        ) => Codes::Ended,
        (_, Operator::Other) if node.domain == "com.microsoft" => Codes::Ended,
        (
            _,
            Operator::Passing
            | Operator::Choosing
            | Operator::Rounding
            | Operator::Renaming
            | Operator::Bounding
            | Operator::Averaging
            | Operator::Largest
            | Operator::Affine
            | Operator::Scaled
            | Operator::Joining
            | Operator::Other,
        ) => Codes::Kept,
    }
}

fn has_floats(node: &NodeView<'_>, name: &str) -> bool {
    node.attribute(name).is_some_and(|attribute| !attribute.floats.is_empty())
}

pub(super) fn text<'n>(node: &'n NodeView<'_>, name: &str) -> &'n [u8] {
    node.attribute(name).and_then(|attribute| attribute.text).unwrap_or_default()
}
