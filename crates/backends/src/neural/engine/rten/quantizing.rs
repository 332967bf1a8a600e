//! QuantizeLinear and DynamicQuantizeLinear of small operators: rten multiplies by the reciprocal of the scale where ONNX divides, which
//! rounds to another number next to a half. Its Div does the same for a divisor of one element, so divisors here have more.
//!
//! It owns their steps (<https://github.com/onnx/onnx/blob/main/docs/Operators.md#QuantizeLinear>).

use dede_graph::onnx::{Attribute, Change};

use super::replacement::Replacement;
use crate::neural::engine::scope::Scope;
use crate::neural::onnx_view::ElementType;

/// Codes of unsigned and signed bytes, and the numbers that they hold.
const BYTES: [(ElementType, i64, f32, f32); 2] =
    [(ElementType::U8, 2, 0.0, 255.0), (ElementType::I8, 3, -128.0, 127.0)];

/// QuantizeLinear to bytes. Types that rten does not have are left for it to refuse.
pub(super) fn linear(mut new: Replacement<'_, '_>, scope: &Scope<'_, '_>) -> Result<Option<Change>, &'static str> {
    let node = new.node;
    let made = node.outputs.first().and_then(|output| scope.element(output));
    let Some((_, code, low, high)) = BYTES.into_iter().find(|(element, ..)| Some(*element) == made) else {
        return Ok(None);
    };
    if node.attribute("block_size").and_then(|size| size.integer).is_some_and(|size| size != 0) {
        return Ok(None);
    }
    let shape = along_axis(&new, scope)?;
    let (input, output) = (new.input(0), new.output());
    let shaped = |new: &mut Replacement<'_, '_>, value: String, what| match &shape {
        Some(shape) => new.add("Reshape", &[&value], what, vec![("shape", Attribute::Ints(shape.clone()))]),
        None => value,
    };
    let scale = match (new.input(1), &shape) {
        (scale, Some(_)) => shaped(&mut new, scale, "scale"),
        (scale, None) => new.repeated(&scale, &input),
    };
    let zero = match new.input(2) {
        name if name.is_empty() => None,
        name => {
            let zero = new.add("Cast", &[&name], "float_zero_point", vec![("to", Attribute::Int(1))]);
            Some(shaped(&mut new, zero, "zero_point"))
        }
    };
    new.quantize(&input, &scale, zero.as_deref(), (low, high), code, output);
    Ok(Some(Change::Operators(new.operators)))
}

/// The shape in which scales lie along their axis; `None` for a single one, which goes with any.
fn along_axis(new: &Replacement<'_, '_>, scope: &Scope<'_, '_>) -> Result<Option<Vec<i64>>, &'static str> {
    const UNKNOWN: &str = "with a scale of unknown shape is rounded wrongly";
    let scales = scope.dims(new.node, 1).ok_or(UNKNOWN)?;
    if scales.iter().all(|&size| size == Some(1)) {
        return Ok(None);
    }
    let rank = scope.rank(new.node, 0).ok_or("by axis, of a value of unknown rank, is rounded wrongly")? as i64;
    let axis = new.node.attribute("axis").and_then(|axis| axis.integer).unwrap_or(1);
    let axis = if axis < 0 { axis.saturating_add(rank) } else { axis };
    if scales.len() != 1 || !(0..rank).contains(&axis) {
        return Err("with scales that lie along no axis is not supported");
    }
    Ok(Some((0..rank).map(|place| if place == axis { -1 } else { 1 }).collect()))
}

/// DynamicQuantizeLinear, step by step as ONNX defines it.
pub(super) fn dynamic(mut new: Replacement<'_, '_>) -> Option<Change> {
    let outputs = new.node.outputs.clone();
    let named = |index: usize| outputs.get(index).copied().filter(|name| !name.is_empty()).map(str::to_owned);
    let input = new.input(0);
    let all = || vec![("keepdims", Attribute::Int(0))];
    let constant = |new: &mut Replacement<'_, '_>, what, value| {
        new.add("Constant", &[], what, vec![("value_float", Attribute::Float(value))])
    };
    let (zero, top) = (constant(&mut new, "low", 0.0), constant(&mut new, "high", 255.0));
    let least = new.add("ReduceMin", &[&input], "least", all());
    let most = new.add("ReduceMax", &[&input], "most", all());
    let least = new.add("Min", &[&least, &zero], "from", vec![]);
    let most = new.add("Max", &[&most, &zero], "to", vec![]);
    let range = new.add("Sub", &[&most, &least], "range", vec![]);
    let scale = named(1).unwrap_or_else(|| new.value("scale"));
    new.divide("range", &range, &top, scale.clone());
    let steps = new.value("steps");
    new.divide("least", &least, &scale, steps.clone());
    let start = new.add("Sub", &[&zero, &steps], "start", vec![]);
    let clipped = new.add(
        "Clip",
        &[&start],
        "clipped_start",
        vec![("min", Attribute::Float(0.0)), ("max", Attribute::Float(255.0))],
    );
    let point = new.add("Round", &[&clipped], "point", vec![]);
    if let Some(name) = named(2) {
        new.push("Cast", vec![point.clone()], vec![name], vec![("to", Attribute::Int(2))]);
    }
    let quantized = named(0).unwrap_or_else(|| new.value("quantized"));
    let repeated = new.repeated(&scale, &input);
    new.quantize(&input, &repeated, Some(&point), (0.0, 255.0), 2, quantized);
    Some(Change::Operators(new.operators))
}

impl Replacement<'_, '_> {
    /// One number for each element of another value.
    fn repeated(&mut self, number: &str, other: &str) -> String {
        let shape = self.add("Shape", &[other], "shape_of_all", vec![]);
        self.add("Expand", &[number, &shape], "repeated", vec![])
    }

    /// One number divided by another.
    fn divide(&mut self, what: &str, number: &str, by: &str, quotient: String) {
        let two = self.add("Constant", &[], &format!("{what}.two"), vec![("value_ints", Attribute::Ints(vec![2]))]);
        let pair = self.add("Expand", &[number, &two], &format!("{what}.pair"), vec![]);
        let by = self.add("Expand", &[by, &two], &format!("{what}.by"), vec![]);
        let both = self.add("Div", &[&pair, &by], &format!("{what}.both"), vec![]);
        self.push("ReduceMax", vec![both], vec![quotient], vec![("keepdims", Attribute::Int(0))]);
    }

    /// `saturate(round(input / scale) + zero)`, in the type of that code.
    fn quantize(
        &mut self,
        input: &str,
        scale: &str,
        zero: Option<&str>,
        bounds: (f32, f32),
        code: i64,
        output: String,
    ) {
        let steps = self.add("Div", &[input, scale], "in_steps", vec![]);
        let mut value = self.add("Round", &[&steps], "rounded", vec![]);
        if let Some(zero) = zero {
            value = self.add("Add", &[&value, zero], "shifted", vec![]);
        }
        let bounds = vec![("min", Attribute::Float(bounds.0)), ("max", Attribute::Float(bounds.1))];
        let value = self.add("Clip", &[&value], "clipped", bounds);
        self.push("Cast", vec![value], vec![output], vec![("to", Attribute::Int(code))]);
    }
}
