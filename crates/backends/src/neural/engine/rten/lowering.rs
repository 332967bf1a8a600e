//! Operators that rten computes otherwise than ONNX says, made of those that it computes right.
//!
//! It owns these replacements. What cannot be replaced is refused in [`super::gaps`]. Some replacements say as an attribute what
//! ONNX wants as an input: rten reads both.

use std::collections::HashSet;

use dede_graph::onnx::{Attribute, Change};

use super::replacement::Replacement;
use super::{fusing, indexing, quantizing, undefined, windows};
use crate::neural::engine::scope::Scope;
use crate::neural::onnx_view::{ElementType, GraphView, NodeView, OnnxView, SOFTMAX_OF_ONE_AXIS};

/// What is the same for all operators of a network.
pub(super) struct Lowering {
    opset: i64,
    /// Begins the names of new values.
    prefix: String,
    /// Whether operators of the network make numbers that are none of finite ones.
    may_be_undefined: bool,
}

impl Lowering {
    pub(super) fn of(view: &OnnxView<'_>) -> Self {
        Self {
            opset: view.opset().unwrap_or(i64::MAX),
            prefix: free_prefix(&view.graph),
            may_be_undefined: undefined::may_be_made(&view.graph),
        }
    }

    /// What to put in place of an operator; `None` where rten computes it right.
    pub(super) fn change(
        &self,
        number: usize,
        node: &NodeView<'_>,
        scope: &Scope<'_, '_>,
    ) -> Result<Option<Change>, &'static str> {
        let replacement = || Replacement::of(node, &self.prefix, number);
        if node.op == "Div"
            && let Some(change) = indexing::exact_quotient(replacement(), scope)
        {
            return Ok(Some(change));
        }
        let new = replacement();
        let to_bool = |element: Option<ElementType>| element == Some(ElementType::Bool);
        Ok(match node.op {
            "Conv" | "ConvTranspose" | "ConvInteger" | "MaxPool" | "AveragePool" => windows::written_out(node, scope)?,
            "Softmax" | "LogSoftmax" if self.opset < SOFTMAX_OF_ONE_AXIS => flattened_softmax(new, scope),
            "QuantizeLinear" => quantizing::linear(new, scope)?,
            "DynamicQuantizeLinear" => quantizing::dynamic(new),
            "ArgMax" | "ArgMin" => arg_extreme(new),
            "Sign" => Some(new.sign()),
            "Softplus" => Some(new.softplus()),
            "Relu" | "Clip" if self.may_be_undefined => undefined::kept(new, scope),
            "MatMul" | "MatMulInteger" if may_be_vector(node, scope) => match (node.op, scope.rank(node, 1)) {
                ("MatMul", Some(1)) => Some(new.product_with_vector()),
                _ => return Err("by what is or may be a vector has another shape"),
            },
            "NonMaxSuppression" => new.ordered_corners(),
            "Cast" if to_bool(scope.element(node.outputs.first().unwrap_or(&""))) && !to_bool(scope.input(node, 0)) => {
                Some(new.truth())
            }
            "CastLike" if to_bool(scope.input(node, 1)) && !to_bool(scope.input(node, 0)) => Some(new.truth()),
            "ReduceMax" | "ReduceMin" if to_bool(scope.input(node, 0)) => Some(new.reduced_truth()),
            "ReduceMean" => fusing::mean(new, scope)?,
            "Expand" => fusing::expanded(new, scope),
            "Slice" => indexing::stepped_slice(new, scope)?,
            "Add" | "Sub" | "Mul" | "Div" => match fusing::list_that_is_no_bias(node, scope) {
                Some(place) if node.op == "Add" => Some(fusing::with_list(new, place)),
                _ => fusing::with_number(new, scope)?,
            },
            _ => None,
        })
    }
}

/// A prefix that no value of a network has.
fn free_prefix(graph: &GraphView<'_>) -> String {
    let mut taken = HashSet::new();
    graph.each_graph(&mut |graph| {
        let made = graph.nodes.iter().flat_map(|node| node.inputs.iter().chain(&node.outputs)).copied();
        let held = graph.initializers.iter().map(|tensor| tensor.name);
        let given = graph.inputs.iter().chain(&graph.outputs).map(|value| value.name);
        let numbers = made.chain(held).chain(given).filter_map(|name| name.strip_prefix("dede.")?.split('.').next());
        taken.extend(numbers.filter_map(|number| number.parse::<usize>().ok()));
    });
    let free = (0..=taken.len()).find(|number| !taken.contains(number)).unwrap_or(taken.len());
    format!("dede.{free}")
}

/// Whether the right side of a product may be a vector, and the left more than a matrix.
fn may_be_vector(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    let right = node.inputs.get(1).copied().unwrap_or_default();
    !has_several_axes(right, scope, 0) && scope.rank(node, 0).is_none_or(|rank| rank > 2)
}

/// Whether a value is known to have more than one axis: what is computed number by number has as many as any value that goes into it.
fn has_several_axes(name: &str, scope: &Scope<'_, '_>, depth: usize) -> bool {
    /// More operators in a row than stand between what tells and a product.
    const DEEPEST: usize = 4;
    if let Some(rank) = scope.rank_of(name) {
        return rank > 1;
    }
    let Some(maker) = scope.maker(name).filter(|_| depth < DEEPEST) else { return false };
    let mut inputs = maker.inputs.iter();
    match maker.op {
        "Add" | "Sub" | "Mul" | "Div" | "Where" | "Max" | "Min" => {
            inputs.any(|input| has_several_axes(input, scope, depth + 1))
        }
        "Identity" | "Cast" | "CastLike" | "Softmax" | "Tanh" | "Concat" | "Slice" | "Dropout" => {
            inputs.next().is_some_and(|input| has_several_axes(input, scope, depth + 1))
        }
        _ => false,
    }
}

/// Softmax over all axes from one on: over the last axis of a matrix with the same values.
fn flattened_softmax(mut new: Replacement<'_, '_>, scope: &Scope<'_, '_>) -> Option<Change> {
    let axis = new.node.attribute("axis").and_then(|axis| axis.integer).unwrap_or(1);
    let dims = scope.dims(new.node, 0);
    let from = |rank: usize| usize::try_from(if axis < 0 { axis.checked_add(rank as i64)? } else { axis }).ok();
    let after = dims.as_ref().and_then(|dims| dims.get(from(dims.len())?.checked_add(1)?..));
    if axis == -1 || after.is_some_and(|after| after.iter().all(|&size| size == Some(1))) {
        return Some(Change::Attributes(vec![("axis", Some(Attribute::Int(axis)))]));
    }
    let (input, output) = (new.input(0), new.output());
    let shape = new.add("Shape", &[&input], "shape", vec![]);
    let matrix = new.add("Flatten", &[&input], "matrix", vec![("axis", Attribute::Int(axis))]);
    let kind = if new.node.op == "Softmax" { "Softmax" } else { "LogSoftmax" };
    let rows = new.add(kind, &[&matrix], "rows", vec![("axis", Attribute::Int(1))]);
    Some(new.finish("Reshape", &[&rows, &shape], output, vec![("allowzero", Attribute::Int(1))]))
}

/// rten takes the last of equal values; TopK takes the first.
fn arg_extreme(mut new: Replacement<'_, '_>) -> Option<Change> {
    let integer = |name| new.node.attribute(name).and_then(|attribute| attribute.integer);
    if integer("select_last_index").is_some_and(|last| last != 0) {
        return Some(Change::Attributes(vec![("select_last_index", None)]));
    }
    let axis = Attribute::Int(integer("axis").unwrap_or(0));
    let keeps = integer("keepdims").is_none_or(|keep| keep != 0);
    let largest = Attribute::Int(i64::from(new.node.op == "ArgMax"));
    let (input, output) = (new.input(0), new.output());
    let attributes = vec![("k", Attribute::Int(1)), ("axis", axis.clone()), ("largest", largest)];
    let indices = if keeps { output.clone() } else { new.value("indices") };
    let outputs = vec![new.value("extreme"), indices.clone()];
    new.push("TopK", vec![input], outputs, attributes);
    if !keeps {
        let Attribute::Int(axis) = axis else { return None };
        return Some(new.finish("Squeeze", &[&indices], output, vec![("axes", Attribute::Ints(vec![axis]))]));
    }
    Some(Change::Operators(new.operators))
}

impl Replacement<'_, '_> {
    /// 1 for all that is not 0. rten's own truth values are 32-bit integers, and its Cast lets other numbers into them.
    fn truth(mut self) -> Change {
        let (input, output, zero) = (self.input(0), self.output(), self.zero());
        let is_zero = self.add("Equal", &[&input, &zero], "is_zero", vec![]);
        self.finish("Not", &[&is_zero], output, vec![])
    }

    /// rten's Sign of 0 is 1.
    fn sign(mut self) -> Change {
        let (input, output, zero) = (self.input(0), self.output(), self.zero());
        let sign = self.add("Sign", &[&input], "sign", vec![]);
        let is_zero = self.add("Equal", &[&input, &zero], "is_zero", vec![]);
        let counts = self.add("Not", &[&is_zero], "counts", vec![]);
        let factor = self.add("CastLike", &[&counts, &input], "factor", vec![]);
        self.finish("Mul", &[&sign, &factor], output, vec![])
    }

    /// rten takes the exponential of numbers of any size. With those below 0 alone, it is at most 1.
    fn softplus(mut self) -> Change {
        let (input, output) = (self.input(0), self.output());
        let size = self.add("Abs", &[&input], "size", vec![]);
        let below = self.add("Neg", &[&size], "below", vec![]);
        let rest = self.add("Softplus", &[&below], "rest", vec![]);
        let above = self.add("Relu", &[&input], "above", vec![]);
        self.finish("Add", &[&above, &rest], output, vec![])
    }

    /// rten keeps an extent of 1 for a vector on the right of more than a matrix.
    fn product_with_vector(mut self) -> Change {
        let (left, right, output) = (self.input(0), self.input(1), self.output());
        let column = self.add("Unsqueeze", &[&right], "column", vec![("axes", Attribute::Ints(vec![1]))]);
        let product = self.add("MatMul", &[&left, &column], "product", vec![]);
        self.finish("Squeeze", &[&product], output, vec![("axes", Attribute::Ints(vec![-1]))])
    }

    /// rten wants the lesser corner of a box first; ONNX takes the two in any order.
    fn ordered_corners(mut self) -> Option<Change> {
        let node = self.node;
        let integer = node.attribute("center_point_box").and_then(|attribute| attribute.integer);
        if integer.is_some_and(|centers| centers != 0) {
            return None;
        }
        let boxes = self.input(0);
        let corners: Vec<String> = ["y1", "x1", "y2", "x2"].map(|corner| self.value(corner)).into();
        let attributes = vec![("axis", Attribute::Int(2)), ("split", Attribute::Ints(vec![1; 4]))];
        self.push("Split", vec![boxes], corners.clone(), attributes);
        let [first_y, first_x, second_y, second_x] = corners.as_slice() else { return None };
        let top = self.add("Min", &[first_y, second_y], "top", vec![]);
        let left = self.add("Min", &[first_x, second_x], "left", vec![]);
        let bottom = self.add("Max", &[first_y, second_y], "bottom", vec![]);
        let right = self.add("Max", &[first_x, second_x], "right", vec![]);
        let axis = vec![("axis", Attribute::Int(2))];
        let ordered = self.add("Concat", &[&top, &left, &bottom, &right], "boxes", axis);
        let rest = node.inputs.iter().skip(1).map(|&input| input.to_owned());
        let inputs = std::iter::once(ordered).chain(rest).collect();
        self.push("NonMaxSuppression", inputs, vec![self.output()], vec![]);
        Some(Change::Operators(self.operators))
    }

    /// rten's extremes of no truth values are those of 32-bit integers.
    fn reduced_truth(mut self) -> Change {
        let (kind, one) =
            if self.node.op == "ReduceMax" { ("ReduceMax", "Greater") } else { ("ReduceMin", "GreaterOrEqual") };
        let inputs: Vec<String> = self.node.inputs.iter().map(|&input| input.to_owned()).collect();
        let kept = |name| Some((name, self.node.attribute(name)?));
        let integers = ["keepdims", "noop_with_empty_axes"].into_iter().filter_map(kept);
        let mut attributes: Vec<_> =
            integers.map(|(name, value)| (name, Attribute::Int(value.integer.unwrap_or_default()))).collect();
        attributes.extend(kept("axes").map(|(name, value)| (name, Attribute::Ints(value.integers.clone()))));
        let (output, extreme) = (self.output(), self.value("extreme"));
        self.push(kind, inputs, vec![extreme.clone()], attributes);
        let bound = i64::from(kind == "ReduceMin");
        let bound = self.add("Constant", &[], "bound", vec![("value_int", Attribute::Int(bound))]);
        self.finish(one, &[&extreme, &bound], output, vec![])
    }
}
