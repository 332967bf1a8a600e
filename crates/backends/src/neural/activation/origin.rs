//! What the numbers of a value come from: shares of a whole, gates, or anything that is learnt.
//!
//! Weights over probabilities merge classes or average networks; weights over anything else make scores. A softmax inside a network, as
//! in attention, is neither: it weighs other values, or weights and a nonlinear operator follow. It must not know what an output is
//! answered as.

use super::operators::{Operator, text};
use super::producers::Producers;
use crate::neural::onnx_view::NodeView;

/// Operators between a gate and what it is made of.
const LONGEST: usize = 8;

/// Where numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// They are the same whatever the network is asked, or are extents.
    Constant,
    /// A sigmoid: probabilities, or a hidden layer.
    Gate,
    /// Whether something is so: weights over these are the leaves of trees.
    Choice,
    /// A softmax, a tree, a class: shares of a whole.
    Shares,
    /// Shares or choices under weights, with nothing nonlinear behind them.
    Merged,
    /// Anything else.
    Free,
}

/// The weights of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weights {
    /// Some are negative: they are learnt.
    Signed,
    /// None is negative, and some add up to more than 1.
    Sums,
    /// None is negative, and they add up to 1 at most for each number that is made.
    Means,
    /// None is negative; what adds up cannot be told.
    Positive,
    /// They cannot be read.
    Unread,
}

/// A node, and what decides where its numbers come from besides its inputs.
pub(super) struct Maker<'r, 'v, 'a> {
    /// The node.
    pub(super) node: &'v NodeView<'a>,
    /// Which of its outputs.
    pub(super) index: usize,
    /// Its kind.
    pub(super) kind: Operator,
    /// Its weights, where those of its inputs that it weighs are not free.
    pub(super) weights: Option<Weights>,
    /// Whether its first input has no number below 0: a rectifier changes none of these.
    pub(super) takes_no_negative: bool,
    /// Whether its first input is a constant of numbers from 0 to 1.
    pub(super) takes_shares: bool,
    /// Which operators are the file's own.
    pub(super) producers: &'r Producers<'v, 'a>,
}

impl Origin {
    /// Of numbers that are combined with each other: whatever is free among them makes all of them free.
    pub(super) fn combined(origins: impl Iterator<Item = Self>) -> Self {
        let rank = |origin: &Self| match origin {
            Self::Constant => 0,
            Self::Gate => 1,
            Self::Choice => 2,
            Self::Shares => 3,
            Self::Merged => 4,
            Self::Free => 5,
        };
        origins.max_by_key(rank).unwrap_or(Self::Constant)
    }

    /// Of numbers that are added up or put in each other's place: shares stay visible among others.
    fn blended(origins: &[Self]) -> Self {
        let shares = || origins.iter().copied().filter(|origin| matches!(origin, Self::Shares | Self::Merged));
        match shares().next() {
            Some(_) => Self::combined(shares()),
            None => Self::combined(origins.iter().copied()),
        }
    }

    /// Of numbers that are one or the other: what may be probabilities stays visible.
    pub(super) fn or(self, other: Self) -> Self {
        let rank = |origin: Self| match origin {
            Self::Constant => 0,
            Self::Free => 1,
            Self::Gate => 2,
            Self::Choice => 3,
            Self::Shares => 4,
            Self::Merged => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    /// Of what a node makes of numbers from `inputs`.
    pub(super) fn of(maker: &Maker<'_, '_, '_>, inputs: &[Self]) -> Self {
        let first = inputs.first().copied().unwrap_or(Self::Constant);
        let all = Self::combined(inputs.iter().copied());
        match (maker.node.op, maker.kind) {
            _ if maker.producers.is_foreign(maker.node) => all,
            // Extents of values are no values.
            ("Shape" | "Size" | "Constant", _) => Self::Constant,
            // Scale and zero point.
            ("DynamicQuantizeLinear", _) if maker.index > 0 => Self::Constant,
            ("LSTM" | "GRU" | "RNN" | "Attention" | "MultiHeadAttention" | "QAttention", _) => Self::Free,
            ("LinearClassifier" | "SVMClassifier" | "TreeEnsembleClassifier" | "ArgMax" | "ArgMin", _) => Self::Shares,
            // Leaves may be probabilities.
            ("TreeEnsembleRegressor" | "TreeEnsemble", _) => Self::Shares,
            ("LinearRegressor" | "SVMRegressor", _) => match text(maker.node, "post_transform") {
                b"SOFTMAX" | b"SOFTMAX_ZERO" => Self::Shares,
                b"LOGISTIC" | b"PROBIT" => Self::Gate,
                _ => all,
            },
            ("FusedGemm" | "FusedConv", _) if !text(maker.node, "activation").is_empty() => {
                match text(maker.node, "activation") {
                    b"Sigmoid" | b"HardSigmoid" => Self::Gate,
                    _ => Self::Free,
                }
            }
            // By which power is that of the operator that calls it.
            ("LpNormalization", _) if takes_power_of_caller(maker.node) && maker.takes_no_negative => Self::Shares,
            ("IsNaN" | "IsInf", _) | (_, Operator::Label) => match all {
                Self::Constant => Self::Constant,
                Self::Gate | Self::Choice | Self::Shares | Self::Merged | Self::Free => Self::Choice,
            },
            // What a condition chooses; the condition itself, where that is among constants.
            ("Where", _) => match (first, Self::blended(inputs.get(1..).unwrap_or_default())) {
                (Self::Constant, chosen) => chosen,
                (_, Self::Constant) => Self::Choice,
                (_, chosen) => chosen,
            },
            ("Gather" | "GatherElements" | "GatherND" | "ArrayFeatureExtractor", _) => match (first, all) {
                (Self::Constant, Self::Constant) => Self::Constant,
                // A row of a table for each index: learnt features, or distributions.
                (Self::Constant, _) if maker.takes_shares => Self::Shares,
                (Self::Constant, _) => Self::Free,
                (first, _) => first,
            },
            (op, _) if is_rectifier(op) && maker.takes_no_negative => all,
            (op, _) if is_rectifier(op) || is_nonlinear(op) => all.after_nonlinear(),
            (_, Operator::Passing | Operator::Bounding | Operator::Rounding | Operator::Renaming) => first,
            (_, Operator::Weighting) => Self::of_weighted(all, maker.weights),
            (_, Operator::Affine) | ("Mean" | "Max" | "Min", _) => Self::blended(inputs),
            // A gate that is made of what it lets through is an activation of a hidden layer.
            ("Mul" | "QLinearMul", _) if all == Self::Merged && inputs.contains(&Self::Gate) && is_own_gate(maker) => {
                Self::Free
            }
            ("Sigmoid" | "HardSigmoid" | "QLinearSigmoid", _) => match all {
                Self::Free | Self::Merged => Self::Gate,
                other @ (Self::Constant | Self::Gate | Self::Choice | Self::Shares) => other,
            },
            _ => all,
        }
    }

    fn of_weighted(all: Self, weights: Option<Weights>) -> Self {
        match (all, weights) {
            (Self::Constant, _) => Self::Constant,
            (Self::Choice | Self::Shares | Self::Merged, _) => Self::Merged,
            (Self::Gate, Some(Weights::Signed)) | (Self::Free, _) => Self::Free,
            (Self::Gate, Some(Weights::Sums | Weights::Means | Weights::Positive | Weights::Unread) | None) => {
                Self::Gate
            }
        }
    }

    /// Weights and a nonlinear operator are a hidden layer.
    fn after_nonlinear(self) -> Self {
        if self == Self::Merged { Self::Free } else { self }
    }
}

/// Whether one of two numbers that are multiplied is a gate made of the other, as in Swish, written out or not.
fn is_own_gate(maker: &Maker<'_, '_, '_>) -> bool {
    let producers = maker.producers;
    let step = if maker.node.op == "QLinearMul" { 3 } else { 1 };
    let operands: Vec<&str> = maker.node.inputs.iter().copied().step_by(step).take(2).collect();
    let &[one, other] = operands.as_slice() else { return false };
    let is_made_of = |gate: &str, taken: &str| {
        let mut value = gate;
        for _ in 0..LONGEST {
            let Some(node) = producers.maker(producers.held(value)) else { return false };
            let mut computed = node.inputs.iter().filter(|input| !producers.is_constant(input));
            let (Some(inner), None) = (computed.next(), computed.next()) else { return false };
            if producers.are_alike(inner, taken) {
                return true;
            }
            value = inner;
        }
        false
    };
    is_made_of(one, other) || is_made_of(other, one)
}

/// Whether the power of a norm is an attribute of the operator that calls this one.
fn takes_power_of_caller(node: &NodeView<'_>) -> bool {
    node.attribute("p").is_some_and(|power| power.integer.is_none())
}

/// Operators of hidden layers that bend at 0.
fn is_rectifier(op: &str) -> bool {
    matches!(op, "Relu" | "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Celu" | "QLinearLeakyRelu")
}

/// Operators of hidden layers that bend whatever weights make.
fn is_nonlinear(op: &str) -> bool {
    matches!(
        op,
        "ThresholdedRelu"
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
    )
}
