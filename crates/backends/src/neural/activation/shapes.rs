//! How operators change the shape of values, and where items of a request meet each other on the way.
//!
//! Operators that are not named here make values of unknown shape, whose items are anywhere. It must not know what numbers are.

mod products;

use super::axes::{Along, Mixes, integer, integers};
use super::forms::{Form, Items, broadcast, place_of};
use super::producers::{MOST_AXES, Producers};
use crate::neural::onnx_view::NodeView;

/// How items meet in an operator that combines numbers of equal places.
const PAIRS: &str = "which combines items with each other";
/// How they meet in one that takes some of them.
const CHOICE: &str = "which chooses among the items of a request";

/// One operator with the forms of what it takes.
pub(super) struct Shaping<'s, 'v, 'a> {
    /// The operator.
    pub(super) node: &'v NodeView<'a>,
    /// Forms of its inputs.
    pub(super) inputs: Vec<&'s Form>,
    /// What it computes along.
    pub(super) along: &'s Along,
    /// Constants.
    pub(super) producers: &'s Producers<'v, 'a>,
}

/// What comes out: the form, and how items met.
type Shaped = (Form, Option<&'static str>);

impl Shaping<'_, '_, '_> {
    /// Output number `index`.
    pub(super) fn output(&self, index: usize) -> Shaped {
        let first = self.input(0);
        match self.node.op {
            // Computed from extents alone.
            "Shape" | "Size" | "Constant" | "ConstantOfShape" | "Range" | "EyeLike" => (Form::FIXED, None),
            // Scale and zero point.
            "DynamicQuantizeLinear" if index > 0 => (Form::FIXED, None),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Sum" | "Mean" | "Max" | "Min" | "Where" | "PRelu"
            | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor" => {
                combined(&self.inputs)
            }
            "QLinearAdd" | "QLinearMul" => combined(&[self.input(0), self.input(3)]),
            op if is_elementwise(op) => (first.clone(), None),
            op if is_over_places(op) => (self.over_places(), None),
            "MatMul" | "MatMulInteger" | "DynamicQuantizeMatMul" | "MatMulIntegerToFloat" => {
                self.product(self.input(1))
            }
            "QLinearMatMul" => self.product(self.input(3)),
            "Gemm" | "FusedGemm" | "QGemm" if integer(self.node, "transA").unwrap_or(0) == 0 => (self.of_gemm(), None),
            "Einsum" => self.of_einsum(),
            "LSTM" | "GRU" | "RNN" => (self.of_recurrent(index), None),
            "LinearClassifier" | "TreeEnsembleClassifier" | "SVMClassifier" => (self.of_classifier(index), None),
            "Concat" | "QLinearConcat" => (self.joined(), None),
            "Split" | "GatherElements" => self.chosen(self.axis(0)),
            "Slice" => self.sliced(),
            "Gather" => self.gathered(),
            "TopK" => (first.resized(first.place(self.axis(-1)), None), None),
            op if op.starts_with("Reduce") || matches!(op, "ArgMax" | "ArgMin") => (self.reduced(), None),
            _ => (self.reshaped(), None),
        }
    }

    fn input(&self, place: usize) -> &Form {
        self.inputs.get(place).copied().unwrap_or(&Form::FIXED)
    }

    fn axis(&self, default: i64) -> i64 {
        integer(self.node, "axis").unwrap_or(default)
    }

    /// Whole numbers of an attribute, or of an input that is a constant.
    fn longs(&self, attribute: &str, place: usize) -> Option<Vec<i64>> {
        let held = || self.producers.integers(self.node.inputs.get(place).filter(|input| !input.is_empty())?);
        integers(self.node, attribute).or_else(held).filter(|list| list.len() <= MOST_AXES)
    }

    /// Operators that only move numbers.
    fn reshaped(&self) -> Form {
        let form = self.input(0);
        match self.node.op {
            "Flatten" => self.flattened(form),
            "Reshape" => self.longs("shape", 1).map_or(Form::UNKNOWN, |shape| reshaped(form, &shape)),
            "Squeeze" => self.squeezed(form),
            "Unsqueeze" => match self.longs("axes", 1) {
                Some(axes) => {
                    let rank = form.rank().map(|rank| rank + axes.len());
                    let places: Option<Vec<usize>> = axes.iter().map(|&axis| place_of(axis, rank)).collect();
                    match (places, form.items) {
                        (Some(places), _) => form.with_axes(places),
                        // The last of an unknown number of axes: those of items come before.
                        (None, Items::At(0)) if axes == [-1] => form.with(None),
                        (None, _) => Form::UNKNOWN,
                    }
                }
                None => Form::UNKNOWN,
            },
            "Transpose" => transposed(form, integers(self.node, "perm")),
            "Expand" => match self.longs("shape", 1) {
                Some(shape) => {
                    let other = Form { extents: Some(shape.into_iter().map(Some).collect()), ..Form::FIXED };
                    broadcast(&[form, &other]).0
                }
                None => Form::UNKNOWN,
            },
            "Tile" => match (form.items, self.longs("repeats", 1)) {
                (Items::At(items), Some(repeats)) if repeats.get(items) == Some(&1) => form.resized(None, None),
                _ => Form::UNKNOWN,
            },
            _ => Form::UNKNOWN,
        }
    }

    /// Two axes; items that are the first stay it.
    fn flattened(&self, form: &Form) -> Form {
        let axis = self.axis(1);
        let rest =
            |extents: &Vec<Option<i64>>| extents.iter().skip(1).copied().try_fold(1, |all, one| Some(all * one?));
        match (form.place(axis), form.items) {
            (Some(1), Items::At(0)) => {
                let extents = form.extents.as_ref();
                form.with(Some(vec![form.extent(0), extents.and_then(rest)]))
            }
            (_, Items::Nowhere) => Form::FIXED,
            (Some(_) | None, Items::At(_) | Items::Moved | Items::Unknown) => {
                Form { extents: Some(vec![None, None]), ..Form::UNKNOWN }
            }
        }
    }

    fn squeezed(&self, form: &Form) -> Form {
        let given = self.longs("axes", 1).filter(|axes| !axes.is_empty());
        let has_axes =
            self.node.attribute("axes").is_some() || self.node.inputs.get(1).is_some_and(|axes| !axes.is_empty());
        let places: Option<Vec<usize>> = match (given, &form.extents) {
            (Some(axes), _) => axes.iter().map(|&axis| form.place(axis)).collect(),
            // All of extent 1; the number of items is no extent that the file knows, or 1 always.
            (None, Some(extents)) if !has_axes => {
                Some((0..extents.len()).filter(|&place| extents[place] == Some(1)).collect())
            }
            (None, _) => None,
        };
        places.map_or(Form::UNKNOWN, |places| form.without(&places))
    }

    /// Convolutions, pools and the like: items, channels, places.
    fn over_places(&self) -> Form {
        let form = self.input(0);
        let items = match form.items {
            Items::Nowhere | Items::At(0) => form.items,
            Items::At(_) | Items::Moved | Items::Unknown => Items::Unknown,
        };
        let weights = match self.node.op {
            "QLinearConv" => Some(self.input(3)),
            "Conv" | "ConvInteger" | "FusedConv" | "ConvTranspose" => Some(self.input(1)),
            _ => None,
        };
        let channels = match (self.node.op, weights) {
            ("ConvTranspose" | "DepthToSpace" | "SpaceToDepth" | "Resize" | "Upsample" | "Pad", _) => None,
            (_, Some(weights)) => weights.extent(0),
            (_, None) => form.extent(1),
        };
        let places = if self.node.op.contains("Global") { Some(1) } else { None };
        let known = [form.extent(0), channels].into_iter().chain(std::iter::repeat(places));
        // Weights have as many axes as what they are laid over.
        let rank = form.rank().or_else(|| weights?.rank());
        Form { extents: rank.map(|rank| known.take(rank).collect()), items }
    }

    /// Steps, directions, items, numbers; or items first.
    fn of_recurrent(&self, index: usize) -> Form {
        let steps_first = integer(self.node, "layout").unwrap_or(0) == 0;
        let (rank, items) = match (index, steps_first) {
            (0, true) => (4, 2),
            (0, false) => (4, 0),
            (_, true) => (3, 1),
            (_, false) => (3, 0),
        };
        let is_placed = self.input(0).items == Items::At(usize::from(steps_first));
        let items = if is_placed { Items::At(items) } else { Items::Unknown };
        Form { extents: Some(vec![None; rank]), items }
    }

    /// Classes first, then a score for each.
    fn of_classifier(&self, index: usize) -> Form {
        let form = self.input(0);
        let items = if form.items == Items::At(0) { Items::At(0) } else { Items::Unknown };
        let classes = super::trees::classes(self.node).and_then(|classes| i64::try_from(classes).ok());
        let extents = if index == 0 { vec![form.extent(0)] } else { vec![form.extent(0), classes] };
        Form { extents: Some(extents), items }
    }

    /// Values beside each other.
    fn joined(&self) -> Form {
        let forms: Vec<&Form> = match self.node.op {
            "QLinearConcat" => self.inputs.iter().copied().skip(2).step_by(3).collect(),
            _ => self.inputs.clone(),
        };
        let Some(&first) = forms.first() else { return Form::UNKNOWN };
        let place = forms.iter().find_map(|form| form.place(self.axis(1)));
        let mut items = forms.iter().map(|form| form.items).filter(|items| *items != Items::Nowhere);
        let one = items.next().unwrap_or(Items::Nowhere);
        let agree = items.all(|other| other == one);
        let widest = forms.iter().copied().find(|form| form.extents.is_some()).unwrap_or(first);
        let sum = place.and_then(|place| forms.iter().try_fold(0, |sum, form| Some(sum + form.extent(place)?)));
        let form = widest.resized(place, sum);
        let meets = !agree || place.is_some_and(|place| one == Items::At(place));
        form.at(if meets { Items::Unknown } else { one })
    }

    /// Some places of one axis.
    fn chosen(&self, axis: i64) -> Shaped {
        let form = self.input(0);
        let along = Along::Axes(vec![axis]).mixes(form);
        let met = (along == Mixes::Yes).then_some(CHOICE);
        let place = form.place(axis);
        let left = form.resized(place, None);
        (if along == Mixes::No { left } else { left.at(Items::Unknown) }, met)
    }

    fn sliced(&self) -> Shaped {
        let form = self.input(0);
        let (starts, ends) = (self.longs("starts", 1), self.longs("ends", 2));
        let count = starts.as_ref().map_or(0, Vec::len);
        let are_said = self.node.inputs.get(3).is_some_and(|axes| !axes.is_empty());
        let axes = match self.longs("axes", 3) {
            None if !are_said => (0..).take(count).collect(),
            None => return (form.resized(None, None).at(Items::Unknown), None),
            Some(axes) => axes,
        };
        let steps = self.longs("steps", 4);
        let (mut left, mut met) = (form.clone(), None);
        for (place, &axis) in axes.iter().enumerate() {
            let at = |list: &Option<Vec<i64>>| list.as_ref().and_then(|list| list.get(place).copied());
            let step =
                if self.node.inputs.get(4).is_some_and(|steps| !steps.is_empty()) { at(&steps) } else { Some(1) };
            let is_idle =
                at(&starts) == Some(0) && at(&ends).is_some_and(|end| end >= i64::from(i32::MAX)) && step == Some(1);
            if is_idle {
                continue;
            }
            left = left.resized(form.place(axis), None);
            match (Along::Axes(vec![axis]).mixes(form), at(&starts), at(&ends)) {
                (Mixes::No, _, _) => {}
                (Mixes::Yes, Some(_), Some(_)) => (left, met) = (left.at(Items::Unknown), Some(CHOICE)),
                (Mixes::Yes | Mixes::Unknown, _, _) => left = left.at(Items::Unknown),
            }
        }
        (left, met)
    }

    fn gathered(&self) -> Shaped {
        let (form, chooser) = (self.input(0), self.input(1));
        let axis = self.axis(0);
        match (form.items, chooser.items) {
            // A row of a table for each.
            (Items::Nowhere, Items::At(items)) => {
                let items = form.place(axis).map_or(Items::Unknown, |place| Items::At(place + items));
                (Form { extents: None, items }, None)
            }
            (_, Items::Nowhere) => {
                let (chosen, met) = self.chosen(axis);
                match (chooser.rank(), form.place(axis)) {
                    (Some(1), _) => (chosen, met),
                    (Some(0), Some(place)) => (chosen.without(&[place]), met),
                    _ => (Form::UNKNOWN, met),
                }
            }
            (_, Items::At(_) | Items::Moved | Items::Unknown) => (Form::UNKNOWN, None),
        }
    }

    /// One number for each place of the axes that are left.
    fn reduced(&self) -> Form {
        let form = self.input(0);
        let keeps = integer(self.node, "keepdims").unwrap_or(1) != 0;
        let places: Option<Vec<usize>> = match self.along {
            Along::Nothing => return form.clone(),
            Along::All => form.rank().map(|rank| (0..rank).collect()),
            Along::Axes(axes) => axes.iter().map(|&axis| form.place(axis)).collect(),
            Along::From(_) | Along::Unread => None,
        };
        match (places, keeps) {
            (Some(places), true) => {
                let (mut left, gone) = (form.clone(), form.without(&places).items);
                places.iter().for_each(|&place| left = left.resized(Some(place), Some(1)));
                if gone == Items::Nowhere { left.at(Items::Nowhere) } else { left }
            }
            (Some(places), false) => form.without(&places),
            (None, true) => form.resized(None, None),
            (None, false) if self.along.mixes(form) == Mixes::No && form.items == Items::At(0) => form.with(None),
            (None, false) => Form::UNKNOWN,
        }
    }
}

fn combined(forms: &[&Form]) -> Shaped {
    let (form, meet) = broadcast(forms);
    (form, meet.then_some(PAIRS))
}

/// With another order of the axes; without one, that turned round.
fn transposed(form: &Form, order: Option<Vec<i64>>) -> Form {
    let order = match (order.filter(|order| !order.is_empty()), form.rank()) {
        (Some(order), _) => order.into_iter().map(|axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect(),
        (None, Some(rank)) => (0..rank).rev().collect::<Vec<_>>(),
        (None, None) if form.items == Items::At(0) => return Form { items: Items::Moved, ..Form::UNKNOWN },
        (None, None) => return Form { items: form.items, ..Form::UNKNOWN },
    };
    let extents = form.extents.as_ref().map(|_| order.iter().map(|&place| form.extent(place)).collect());
    let items = match form.items {
        Items::At(items) => order.iter().position(|&place| place == items).map_or(Items::Unknown, Items::At),
        other @ (Items::Nowhere | Items::Moved | Items::Unknown) => other,
    };
    Form { extents, items }
}

/// With other extents in the same order: 0 for the one that was there, -1 for what is left.
fn reshaped(form: &Form, shape: &[i64]) -> Form {
    let extents = Some(shape.iter().enumerate().map(|(place, &extent)| match extent {
        0 => form.extent(place),
        1.. => Some(extent),
        _ => None,
    }));
    let extents: Option<Vec<Option<i64>>> = extents.map(Iterator::collect);
    let of_item = |extents: &[Option<i64>], items: usize| {
        let before = extents[..items].iter().all(|extent| *extent == Some(1));
        let behind = extents[items + 1..].iter().try_fold(1i64, |all, one| all.checked_mul((*one)?));
        behind.filter(|_| before)
    };
    let items = match form.items {
        Items::Nowhere => Items::Nowhere,
        Items::At(0) if shape.first() == Some(&0) => Items::At(0),
        Items::At(items) => {
            let before =
                form.extents.as_deref().filter(|known| items < known.len()).and_then(|known| of_item(known, items));
            let fits = |place: &usize| {
                let stays = shape[*place] <= 0 || Some(shape[*place]) == form.extent(items);
                stays && before.is_some() && extents.as_deref().and_then(|new| of_item(new, *place)) == before
            };
            (0..shape.len()).find(fits).map_or(Items::Unknown, Items::At)
        }
        Items::Moved | Items::Unknown => Items::Unknown,
    };
    Form { extents, items }
}

/// Operators whose output has the shape of their first input, number by number or normalised.
fn is_elementwise(op: &str) -> bool {
    matches!(
        op,
        "Identity"
            | "Cast"
            | "CastLike"
            | "Dropout"
            | "QuantizeLinear"
            | "DequantizeLinear"
            | "Clip"
            | "Abs"
            | "Neg"
            | "Relu"
            | "LeakyRelu"
            | "Elu"
            | "Selu"
            | "Celu"
            | "ThresholdedRelu"
            | "Gelu"
            | "FastGelu"
            | "QuickGelu"
            | "BiasGelu"
            | "Tanh"
            | "Sigmoid"
            | "HardSigmoid"
            | "HardSwish"
            | "Swish"
            | "Mish"
            | "Softplus"
            | "Softsign"
            | "Erf"
            | "Exp"
            | "Log"
            | "Sqrt"
            | "Reciprocal"
            | "Floor"
            | "Ceil"
            | "Round"
            | "Sign"
            | "Sin"
            | "Cos"
            | "Not"
            | "IsNaN"
            | "IsInf"
            | "CumSum"
            | "Softmax"
            | "LogSoftmax"
            | "Hardmax"
            | "BiasSoftmax"
            | "QLinearSoftmax"
            | "QLinearSigmoid"
            | "QLinearLeakyRelu"
            | "BatchNormalization"
            | "InstanceNormalization"
            | "LRN"
            | "LayerNormalization"
            | "GroupNormalization"
            | "RMSNormalization"
            | "SimplifiedLayerNormalization"
            | "LpNormalization"
            | "MeanVarianceNormalization"
            | "DynamicQuantizeLinear"
            | "Normalizer"
            | "Scaler"
            | "Imputer"
            | "Binarizer"
            | "ZipMap"
    )
}

/// Operators over windows of places of images.
fn is_over_places(op: &str) -> bool {
    matches!(
        op,
        "Conv"
            | "ConvTranspose"
            | "ConvInteger"
            | "QLinearConv"
            | "FusedConv"
            | "AveragePool"
            | "MaxPool"
            | "LpPool"
            | "GlobalAveragePool"
            | "GlobalMaxPool"
            | "GlobalLpPool"
            | "QLinearAveragePool"
            | "QLinearGlobalAveragePool"
            | "Resize"
            | "Upsample"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "Pad"
    )
}
