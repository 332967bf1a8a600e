//! What the numbers of a value come from: shares of a whole, gates, or anything that is learnt.
//!
//! Weights over probabilities merge classes or average networks; weights over anything else make scores. A softmax inside a network, as
//! in attention, is neither: it weighs other values, or weights and a nonlinear operator follow. It must not know what an output is
//! answered as.

use super::axes::integer;
use super::operators::Operator;
use super::producers::Producers;
use crate::neural::onnx_view::{NodeView, TensorView};

/// What weights over means of probabilities add up to at most.
const ALL: f32 = 1.001;
/// Weights of means that are looked at; more of them are learnt.
const MOST_WEIGHTS: usize = 1 << 14;

/// Where numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// They are the same whatever the network is asked, or are extents.
    Constant,
    /// A sigmoid: probabilities, or a hidden layer.
    Gate,
    /// A softmax, a tree, a class: shares of a whole.
    Shares,
    /// Shares under weights, with nothing nonlinear behind them.
    Merged,
    /// Anything else.
    Free,
}

impl Origin {
    /// Of numbers that are combined with each other: whatever is free among them makes all of them free.
    fn combined(origins: impl Iterator<Item = Self>) -> Self {
        let rank = |origin: &Self| match origin {
            Self::Constant => 0,
            Self::Gate => 1,
            Self::Shares => 2,
            Self::Merged => 3,
            Self::Free => 4,
        };
        origins.max_by_key(rank).unwrap_or(Self::Constant)
    }

    /// Of output number `index` of a node of that kind that is made of numbers from `inputs`.
    pub(super) fn of(
        (node, index): (&NodeView<'_>, usize),
        kind: Operator,
        inputs: &[Self],
        producers: &Producers<'_, '_>,
    ) -> Self {
        let first = inputs.first().copied().unwrap_or(Self::Constant);
        let all = Self::combined(inputs.iter().copied());
        match (node.op, kind) {
            _ if producers.is_foreign(node) => all,
            // Extents of values are no values.
            ("Shape" | "Size" | "Constant", _) => Self::Constant,
            // Scale and zero point.
            ("DynamicQuantizeLinear", _) if index > 0 => Self::Constant,
            ("LSTM" | "GRU" | "RNN" | "Attention" | "MultiHeadAttention" | "QAttention", _) => Self::Free,
            ("LinearClassifier" | "SVMClassifier" | "TreeEnsembleClassifier" | "ArgMax" | "ArgMin", _) => Self::Shares,
            // What a condition chooses, never the condition.
            ("Where", _) => Self::combined(inputs.iter().copied().skip(1)),
            ("Gather" | "GatherElements" | "GatherND" | "ArrayFeatureExtractor", _) => match (first, all) {
                (Self::Constant, Self::Constant) => Self::Constant,
                // A row of a table for each index.
                (Self::Constant, _) => Self::Free,
                (first, _) => first,
            },
            (op, _) if is_nonlinear(op) => all.after_nonlinear(),
            (_, Operator::Passing | Operator::Bounding | Operator::Rounding | Operator::Renaming) => first,
            (_, Operator::Weighting) => match all {
                Self::Shares | Self::Merged => Self::Merged,
                Self::Gate if is_mean(node, producers) => Self::Gate,
                Self::Constant => Self::Constant,
                Self::Gate | Self::Free => Self::Free,
            },
            ("Sigmoid" | "HardSigmoid" | "QLinearSigmoid", _) => match all {
                Self::Free => Self::Gate,
                other @ (Self::Constant | Self::Gate | Self::Shares | Self::Merged) => other.after_nonlinear(),
            },
            _ => all,
        }
    }

    /// Weights and a nonlinear operator are a hidden layer.
    fn after_nonlinear(self) -> Self {
        if self == Self::Merged { Self::Free } else { self }
    }
}

/// Operators of hidden layers that bend what weights make.
fn is_nonlinear(op: &str) -> bool {
    matches!(
        op,
        "Relu"
            | "LeakyRelu"
            | "PRelu"
            | "Elu"
            | "Selu"
            | "Celu"
            | "ThresholdedRelu"
            | "Gelu"
            | "FastGelu"
            | "QuickGelu"
            | "BiasGelu"
            | "Tanh"
            | "HardSwish"
            | "Swish"
            | "Mish"
            | "Softplus"
            | "Softsign"
            | "Erf"
            | "Sin"
            | "Cos"
            | "LayerNormalization"
            | "RMSNormalization"
            | "SimplifiedLayerNormalization"
            | "QLinearLeakyRelu"
    )
}

/// Whether a product of matrices takes means: weights that are never negative, and add up to 1 at most for each number it makes.
pub(super) fn is_mean(node: &NodeView<'_>, producers: &Producers<'_, '_>) -> bool {
    if !matches!(node.op, "MatMul" | "Gemm") {
        return false;
    }
    let weights = node.inputs.get(1).and_then(|weights| producers.constant(weights));
    let turned = integer(node, "transB").unwrap_or(0) != 0;
    weights.is_some_and(|weights| holds_means(weights, turned))
}

fn holds_means(weights: &TensorView<'_>, turned: bool) -> bool {
    let &[rows, columns] = weights.dims.as_slice() else { return false };
    let (Ok(rows), Ok(columns)) = (usize::try_from(rows), usize::try_from(columns)) else { return false };
    let Some(values) = weights.single_precision().filter(|values| (1..=MOST_WEIGHTS).contains(&values.len())) else {
        return false;
    };
    if values.len() != rows.saturating_mul(columns) {
        return false;
    }
    let outputs = if turned { rows } else { columns };
    let mut sums = vec![0.0f32; outputs];
    for (place, bytes) in values.iter().enumerate() {
        let value = f32::from_le_bytes(*bytes);
        let output = if turned { place / columns } else { place % columns };
        if value.is_nan() || value < 0.0 {
            return false;
        }
        sums[output] += value;
    }
    sums.into_iter().all(|sum| sum <= ALL)
}
