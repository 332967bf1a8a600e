//! Along which axes an operator computes, and whether these are the items of a request.
//!
//! A softmax over the items makes no probabilities of classes, and its numbers depend on what else was sent. It owns the names and
//! defaults of the attributes and inputs that say axes, by version of the operator set. It must not know what operators compute.

use super::attributes::{integer, integers};
use super::forms::{Form, Items};
use super::producers::{MOST_AXES, Producers};
use crate::neural::onnx_view::{NodeView, SOFTMAX_OF_ONE_AXIS};

/// The axes of an operator, negative ones counted from the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Along {
    /// None: each number, or each item, is computed for itself.
    Nothing,
    /// All of them.
    All,
    /// These.
    Axes(Vec<i64>),
    /// This one and all behind it.
    From(i64),
    /// Those that the network computes, or that are kept in another file.
    Unread,
}

/// Whether an operator computes along the items of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mixes {
    /// Certainly not.
    No,
    /// Certainly.
    Yes,
    /// The file does not say where the items are, or what an axis counts.
    Unknown,
}

impl Along {
    /// What a node computes along; `opset` is the version of its operator set.
    pub(super) fn of(node: &NodeView<'_>, opset: i64, producers: &Producers<'_, '_>) -> Self {
        let axis = |default: i64| integer(node, "axis").unwrap_or(default);
        match node.op {
            _ if producers.is_foreign(node) => Self::Nothing,
            "Softmax" | "LogSoftmax" | "Hardmax" | "QLinearSoftmax" | "BiasSoftmax" => {
                match integer(node, "opset").unwrap_or(opset) {
                    _ if node.op == "BiasSoftmax" => Self::From(axis(1)),
                    ..SOFTMAX_OF_ONE_AXIS => Self::From(axis(1)),
                    SOFTMAX_OF_ONE_AXIS.. => Self::Axes(vec![axis(-1)]),
                }
            }
            "LpNormalization" | "TopK" => Self::Axes(vec![axis(-1)]),
            "ArgMax" | "ArgMin" => Self::Axes(vec![axis(0)]),
            "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => Self::From(axis(-1)),
            "MeanVarianceNormalization" => Self::Axes(integers(node, "axes").unwrap_or(vec![0, 2, 3])),
            "CumSum" => node.inputs.get(1).map_or(Self::Unread, |axis| Self::read(producers.integers(axis))),
            // Steps come first by default, items after them.
            "LSTM" | "GRU" | "RNN" | "DynamicQuantizeLSTM" => Self::Axes(vec![integer(node, "layout").unwrap_or(0), 2]),
            "Normalizer" | "Scaler" | "Imputer" => Self::Axes(vec![-1]),
            // Each channel has numbers of its own.
            "BatchNormalization" | "LRN" => Self::Axes(vec![1]),
            "InstanceNormalization"
            | "GroupNormalization"
            | "Conv"
            | "ConvTranspose"
            | "ConvInteger"
            | "QLinearConv"
            | "FusedConv"
            | "DepthToSpace"
            | "SpaceToDepth" => Self::From(1),
            "AveragePool"
            | "MaxPool"
            | "LpPool"
            | "GlobalAveragePool"
            | "GlobalMaxPool"
            | "GlobalLpPool"
            | "QLinearAveragePool"
            | "QLinearGlobalAveragePool" => Self::From(2),
            op if op.starts_with("Reduce") || op == "QLinearReduceMean" => Self::of_reduction(node, producers),
            _ => Self::Nothing,
        }
    }

    fn of_reduction(node: &NodeView<'_>, producers: &Producers<'_, '_>) -> Self {
        let given = match integers(node, "axes") {
            Some(axes) => Some(Some(axes)),
            None => node.inputs.get(1).filter(|axes| !axes.is_empty()).map(|axes| producers.integers(axes)),
        };
        let without_axes = match integer(node, "noop_with_empty_axes") {
            Some(flag) if flag != 0 => Self::Nothing,
            Some(_) | None => Self::All,
        };
        match given {
            None => without_axes,
            Some(Some(axes)) if axes.is_empty() => without_axes,
            Some(axes) => Self::read(axes),
        }
    }

    fn read(axes: Option<Vec<i64>>) -> Self {
        axes.map_or(Self::Unread, Self::Axes)
    }

    /// Whether the items of a value of that form are among them.
    pub(super) fn mixes(&self, form: &Form) -> Mixes {
        // A value of classes has an axis of items before that of classes.
        let is_last = |axis: i64| axis == -1 && form.items == Items::At(0);
        let is_items = |axis: i64| match (form.items, form.place(axis)) {
            (Items::Nowhere, _) => Mixes::No,
            (Items::At(items), Some(place)) if place == items => Mixes::Yes,
            (Items::Within(merged), Some(place)) if merged.covers(place) => Mixes::Unknown,
            (Items::At(_) | Items::Within(_), Some(_)) => Mixes::No,
            (Items::At(_), None) if is_last(axis) => Mixes::No,
            (Items::At(_) | Items::Within(_), None) | (Items::Unknown, _) => Mixes::Unknown,
        };
        let certain = match form.items {
            Items::Nowhere => return Mixes::No,
            Items::At(_) | Items::Within(_) => Mixes::Yes,
            Items::Unknown => Mixes::Unknown,
        };
        match self {
            Self::Nothing => Mixes::No,
            Self::All => certain,
            Self::Unread => Mixes::Unknown,
            Self::From(axis) => match (form.place(*axis), form.items) {
                (Some(axis), Items::At(items)) if axis <= items => Mixes::Yes,
                (Some(axis), Items::Within(merged)) if axis < merged.to => Mixes::Unknown,
                (Some(_), Items::At(_) | Items::Within(_)) => Mixes::No,
                (Some(_), Items::Nowhere | Items::Unknown) | (None, _) => is_items(*axis),
            },
            Self::Axes(axes) => axes.iter().fold(Mixes::No, |found, &axis| match (found, is_items(axis)) {
                (Mixes::Yes, _) | (_, Mixes::Yes) => Mixes::Yes,
                (Mixes::No, Mixes::No) => Mixes::No,
                (Mixes::Unknown, _) | (_, Mixes::Unknown) => Mixes::Unknown,
            }),
        }
    }

    /// Why a softmax, a norm or the sum in one along them of a value of that form is none over classes; `None` where it is one.
    pub(super) fn problem(&self, form: &Form) -> Option<String> {
        let is_idle = || self.is_idle(form).then(|| format!("along {self}, on which there is one number alone"));
        self.over_items(form).or_else(is_idle)
    }

    /// Why what is computed along them of a value of that form is not of one item; `None` where it is.
    pub(super) fn over_items(&self, form: &Form) -> Option<String> {
        match self.mixes(form) {
            Mixes::Yes => Some(format!("along {self}, the items of a request")),
            Mixes::Unknown => Some(format!("along {self}, which may be the items of a request")),
            Mixes::No => None,
        }
    }

    /// Whether they have one place together, and another axis behind the items has more.
    fn is_idle(&self, form: &Form) -> bool {
        let Some(extents) = form.extents.as_deref() else { return false };
        let covers = |place: usize| match self {
            Self::Nothing | Self::Unread => false,
            Self::All => true,
            Self::From(axis) => form.place(*axis).is_some_and(|first| first <= place),
            Self::Axes(axes) => axes.iter().any(|&axis| form.place(axis) == Some(place)),
        };
        let is_one = |place: usize| extents[place] == Some(1);
        let (mut covered, mut left) = (0..extents.len()).partition::<Vec<_>, _>(|&place| covers(place));
        left.retain(|&place| place > 0);
        covered.retain(|&place| !is_one(place));
        *self != Self::Nothing && covered.is_empty() && left.into_iter().any(|place| !is_one(place))
    }
}

impl std::fmt::Display for Along {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => write!(formatter, "no axis"),
            Self::All => write!(formatter, "all axes"),
            Self::Unread => write!(formatter, "axes that cannot be read"),
            Self::From(axis) => write!(formatter, "axis {axis} and those behind it"),
            Self::Axes(axes) => match axes.as_slice() {
                [axis] => write!(formatter, "axis {axis}"),
                axes if axes.len() > MOST_AXES => write!(formatter, "{} axes", axes.len()),
                axes => write!(formatter, "axes {axes:?}"),
            },
        }
    }
}
