//! Softmax, its logarithm and the sigmoid written out in pieces, as some exporters do.
//!
//! `exp(x) / sum(exp(x))`, with the largest subtracted first or without; `x - log(sum(exp(x)))`; `1 / (1 + exp(-x))`. It
//! must not know what is done with an output, nor along which axes a sum goes.

use super::attributes::{integer, integers};
use super::operators::bounds;
use super::producers::Producers;
use crate::neural::onnx_view::{ElementType, NodeView};

/// What keeps a sum away from 0 and changes no share that is seen.
const TINY: f32 = 1e-4;
/// What no sum of shares exceeds.
const ENDLESS: f32 = 1e30;
/// Operators between a sum and its use.
const LONGEST: usize = 8;

/// What a product or quotient is known to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Quotient<'v, 'a> {
    /// A sigmoid.
    Sigmoid,
    /// The share that each of these numbers has in their sum.
    ShareOf(&'v str, Sum<'v, 'a>),
    /// These numbers over a sum of them with weights.
    WeightedShare(&'v str),
}

/// The sum of numbers, or its logarithm, where it is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum<'v, 'a> {
    /// What is summed.
    pub(super) summed: &'v str,
    /// What sums.
    pub(super) node: &'v NodeView<'a>,
    /// The sum as it is used.
    pub(super) used: &'v str,
    /// Whether it has the axes of what is summed, each in its place, whatever these are.
    pub(super) keeps_axes: bool,
    /// Number of classes, where the node says one: if the sum is 0, each has its share of 1.
    pub(super) classes: Option<f32>,
}

/// What a `Mul`, `Div` or `Reciprocal` is, beyond numbers times a constant.
pub(super) fn normalized<'v, 'a>(producers: &Producers<'v, 'a>, node: &'v NodeView<'a>) -> Option<Quotient<'v, 'a>> {
    let inverse = |value: &str| {
        let node = producers.producer(producers.held(value))?;
        match (node.op, node.inputs.as_slice()) {
            ("Reciprocal", [below]) => Some(*below),
            ("Div", [one, below]) if producers.number(one) == Some(1.0) => Some(*below),
            ("Pow", [below, power]) if producers.number(power) == Some(-1.0) => Some(*below),
            _ => None,
        }
    };
    match (node.op, node.inputs.as_slice()) {
        ("Div", [above, below]) => quotient(producers, above, below),
        ("Mul", [one, other]) => match (inverse(other), inverse(one)) {
            (Some(below), _) => quotient(producers, one, below),
            (None, Some(below)) => quotient(producers, other, below),
            (None, None) => None,
        },
        ("Reciprocal", [below]) => is_one_plus_exponential(producers, below).then_some(Quotient::Sigmoid),
        _ => None,
    }
}

fn quotient<'v, 'a>(producers: &Producers<'v, 'a>, above: &'v str, below: &'v str) -> Option<Quotient<'v, 'a>> {
    if producers.number(above) == Some(1.0) && is_one_plus_exponential(producers, below) {
        return Some(Quotient::Sigmoid);
    }
    let op = producers.producer(producers.held(above)).map_or("", |node| node.op);
    if let Some(exponential) = one_plus(producers, below)
        && op == "Exp"
        && producers.are_alike(above, exponential)
    {
        return Some(Quotient::Sigmoid);
    }
    if let Some(sum) = sum_of(producers, below) {
        return producers.are_alike(above, sum.summed).then_some(Quotient::ShareOf(above, sum));
    }
    let weighted = || is_weighted_sum(producers, below, above).then_some(Quotient::WeightedShare(above));
    share_or_equal(producers, above, below).or_else(weighted)
}

/// Whether a value is a sum of these numbers times weights, of which all may be 1, or a mean of them; in one step or several.
fn is_weighted_sum<'v>(producers: &Producers<'v, '_>, value: &'v str, numbers: &'v str) -> bool {
    let is_tiny = |value: &str| producers.number(value).is_some_and(|number| (0.0..=TINY).contains(&number));
    let is_summed = |value: &&'v str| producers.are_alike(producers.same(value), producers.same(numbers));
    let (mut waiting, mut has_summed) = (vec![value], false);
    for _ in 0..LONGEST {
        let Some(value) = waiting.pop() else { break };
        if has_summed && is_summed(&value) {
            return true;
        }
        let Some(node) = producers.producer(producers.held(value)) else { continue };
        let is_sum = matches!(
            node.op,
            "MatMul" | "Gemm" | "Einsum" | "ReduceSum" | "ReduceL1" | "ReduceMean" | "GlobalAveragePool" | "Sum"
        );
        has_summed |= is_sum || node.op == "Add";
        match (node.op, node.inputs.as_slice()) {
            ("Add" | "Max", [one, other]) if is_tiny(one) => waiting.push(other),
            ("Add" | "Max", [one, other]) if is_tiny(other) => waiting.push(one),
            // A sum with another number is not that of shares.
            ("Add", [one, other]) if producers.is_constant(one) || producers.is_constant(other) => {}
            ("Add", [one, other]) => waiting.extend([one, other]),
            ("Mul" | "Div", [inner, factor]) | ("Mul", [factor, inner]) if producers.is_constant(factor) => {
                waiting.push(inner)
            }
            (
                "Clip" | "Expand" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Split" | "Slice",
                inputs,
            ) => {
                waiting.extend(inputs.first());
            }
            (_, inputs) if is_sum => waiting.extend(inputs.iter().filter(|input| !producers.is_constant(input))),
            _ => {}
        }
    }
    false
}

/// `e / (sum(e) + mask)` or `(e + mask) / (sum(e) + mask * classes)`, where the mask is 1 if the sum is 0, else 0: how scikit-learn's
/// converter keeps classifiers from dividing by 0.
fn share_or_equal<'v, 'a>(producers: &Producers<'v, 'a>, above: &'v str, below: &'v str) -> Option<Quotient<'v, 'a>> {
    let (sum, added) = either(added(producers, below)?, |sum, _| sum_of(producers, sum))?;
    let masks_sum = |value: &str| masked(producers, value).is_some_and(|masked| producers.are_alike(masked, sum.used));
    if masks_sum(added) && producers.are_alike(above, sum.summed) {
        return Some(Quotient::ShareOf(above, Sum { used: below, ..sum }));
    }
    let product = producers.producer(producers.held(added)).filter(|node| node.op == "Mul")?;
    let [one, other] = product.inputs.as_slice() else { return None };
    let (classes, mask) = either((one, other), |classes, _| producers.number(classes))?;
    let (_, numbers) = either(self::added(producers, above)?, |one, _| masks_sum(one).then_some(()))?;
    let fits = masks_sum(mask) && producers.are_alike(numbers, sum.summed);
    fits.then_some(Quotient::ShareOf(numbers, Sum { used: below, classes: Some(classes), ..sum }))
}

/// What is found in one of two values, and the other.
fn either<'v, T>(pair: (&'v str, &'v str), find: impl Fn(&'v str, &'v str) -> Option<T>) -> Option<(T, &'v str)> {
    let (one, other) = pair;
    let first = find(one, other).map(|found| (found, other));
    first.or_else(|| find(other, one).map(|found| (found, one)))
}

fn added<'v>(producers: &Producers<'v, '_>, value: &str) -> Option<(&'v str, &'v str)> {
    let node = producers.producer(producers.held(value)).filter(|node| node.op == "Add")?;
    match node.inputs.as_slice() {
        [one, other] => Some((*one, *other)),
        _ => None,
    }
}

/// The value whose zeros a value marks with 1, all else with 0.
fn masked<'v>(producers: &Producers<'v, '_>, value: &str) -> Option<&'v str> {
    let taken = |value: &str, op: &str| {
        let node = producers.producer(producers.held(value)).filter(|node| node.op == op)?;
        Some((node, *node.inputs.first()?))
    };
    let (_, truth) = taken(value, "Not")?;
    let (cast, number) = taken(truth, "Cast")?;
    let to = integer(cast, "to").map(ElementType::from_code);
    (to == Some(ElementType::Bool)).then_some(number)
}

/// What a value is the sum of, perhaps kept away from 0.
fn sum_of<'v, 'a>(producers: &Producers<'v, 'a>, used: &'v str) -> Option<Sum<'v, 'a>> {
    let is_tiny = |value: &str| producers.number(value).is_some_and(|number| (0.0..=TINY).contains(&number));
    let (mut value, mut moved) = (used, None);
    for _ in 0..LONGEST {
        let node = producers.producer(producers.held(value))?;
        value = match (node.op, node.inputs.as_slice()) {
            ("ReduceSum" | "ReduceL1", [summed, ..]) => {
                let keeps_axes = keeps_axes(producers, node, moved);
                return Some(Sum { summed, node, used, keeps_axes, classes: None });
            }
            ("Add" | "Max", [one, other]) if is_tiny(one) => other,
            ("Add" | "Max", [one, other]) if is_tiny(other) => one,
            ("Clip", [inner, ..]) => {
                let (low, high) = bounds(node, producers);
                let is_idle = low.is_some_and(|low| low <= TINY) && high.is_some_and(|high| high >= ENDLESS);
                Some(inner).filter(|_| is_idle)?
            }
            // It only repeats sums.
            ("Expand", [inner, ..]) => inner,
            ("Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose", [inner, ..]) => {
                // A second move may be any.
                moved = Some(if moved.is_none() { Some(node) } else { None });
                inner
            }
            _ => return None,
        };
    }
    None
}

/// Whether a sum has the axes of what it sums: they were kept, or the same ones were put in again by the one node that moves it.
fn keeps_axes(producers: &Producers<'_, '_>, sum: &NodeView<'_>, moved: Option<Option<&NodeView<'_>>>) -> bool {
    let keeps = integer(sum, "keepdims").unwrap_or(1) != 0;
    let axes = |node: &NodeView<'_>| {
        let held = || producers.integers(node.inputs.get(1).filter(|axes| !axes.is_empty())?);
        integers(node, "axes").or_else(held)
    };
    match moved {
        None => keeps,
        Some(Some(node)) if node.op == "Unsqueeze" && !keeps => axes(node).is_some_and(|put| axes(sum) == Some(put)),
        Some(_) => false,
    }
}

/// `e` where a value is `1 + e`.
fn one_plus<'v>(producers: &Producers<'v, '_>, value: &str) -> Option<&'v str> {
    let is_one = |value: &str, _: &str| (producers.number(value) == Some(1.0)).then_some(());
    either(added(producers, value)?, is_one).map(|(_, exponential)| exponential)
}

fn is_one_plus_exponential(producers: &Producers<'_, '_>, value: &str) -> bool {
    let exponential = one_plus(producers, value).and_then(|inner| producers.producer(producers.held(inner)));
    exponential.is_some_and(|node| node.op == "Exp")
}

/// The sum where a `Sub` takes from numbers the logarithm of the sum of their exponentials.
pub(super) fn log_softmax_sum<'v, 'a>(producers: &Producers<'v, 'a>, node: &'v NodeView<'a>) -> Option<Sum<'v, 'a>> {
    let &[numbers, subtracted] = node.inputs.as_slice() else { return None };
    if let Some((exponent, sum)) = log_sum(producers, subtracted) {
        return producers.are_alike(numbers, exponent).then_some(sum);
    }
    // The largest number was subtracted before, and is added again.
    let (sum, _) = either(added(producers, subtracted)?, |sum, largest| {
        let (exponent, sum) = log_sum(producers, sum)?;
        let shifted = producers.producer(producers.held(exponent))?;
        let ("Sub", [shifted, shift]) = (shifted.op, shifted.inputs.as_slice()) else { return None };
        let fits = producers.are_alike(shifted, numbers) && producers.are_alike(shift, largest);
        fits.then_some(sum)
    })?;
    Some(Sum { used: subtracted, ..sum })
}

/// `x` where a value is `log(sum(exp(x)))`, and the sum.
fn log_sum<'v, 'a>(producers: &Producers<'v, 'a>, used: &'v str) -> Option<(&'v str, Sum<'v, 'a>)> {
    let node = producers.producer(producers.held(used))?;
    let input = node.inputs.first().copied()?;
    if matches!(node.op, "Expand" | "Unsqueeze" | "Reshape" | "Squeeze") {
        // Where the logarithm got another shape, its shape tells whether the axes are where they were.
        let (exponent, sum) = log_of(producers, input)?;
        return Some((exponent, Sum { used, keeps_axes: sum.keeps_axes && node.op == "Expand", ..sum }));
    }
    log_of(producers, used)
}

/// The same of a value that a logarithm makes.
fn log_of<'v, 'a>(producers: &Producers<'v, 'a>, used: &'v str) -> Option<(&'v str, Sum<'v, 'a>)> {
    let node = producers.producer(producers.held(used))?;
    let input = node.inputs.first().copied()?;
    let exponent = |value: &str| {
        let node = producers.producer(producers.held(value)).filter(|node| node.op == "Exp")?;
        node.inputs.first().copied()
    };
    let of_node = || Sum { summed: input, node, used, keeps_axes: keeps_axes(producers, node, None), classes: None };
    match node.op {
        "ReduceLogSumExp" => Some((input, of_node())),
        "ReduceLogSum" => Some((exponent(input)?, of_node())),
        "Log" => {
            let sum = sum_of(producers, input)?;
            Some((exponent(sum.summed)?, Sum { used, ..sum }))
        }
        _ => None,
    }
}

/// Whether a node ends `(tanh(x) + 1) / 2`, which is the sigmoid of twice `x`.
pub(super) fn is_half_of_tanh(producers: &Producers<'_, '_>, node: &NodeView<'_>) -> bool {
    let (mut factor, mut sum) = (1.0_f32, 0.0_f32);
    let mut node = node;
    for _ in 0..LONGEST {
        let inner = match (node.op, node.inputs.as_slice()) {
            ("Tanh", _) => return (factor.abs() - 0.5).abs() <= TINY && (sum - 0.5).abs() <= TINY,
            (_, &[one, other]) => match (producers.number(one), producers.number(other)) {
                (None, Some(number)) => {
                    match node.op {
                        "Add" => sum += factor * number,
                        "Sub" => sum -= factor * number,
                        "Mul" => factor *= number,
                        "Div" => factor /= number,
                        _ => return false,
                    }
                    one
                }
                (Some(number), None) => {
                    match node.op {
                        "Add" => sum += factor * number,
                        "Sub" => (sum, factor) = (sum + factor * number, -factor),
                        "Mul" => factor *= number,
                        _ => return false,
                    }
                    other
                }
                (Some(_), Some(_)) | (None, None) => return false,
            },
            _ => return false,
        };
        let Some(before) = producers.producer(producers.held(inner)) else { return false };
        node = before;
    }
    false
}

/// Whether a `Sub` is `1 - x`.
pub(super) fn is_complement(producers: &Producers<'_, '_>, node: &NodeView<'_>) -> bool {
    match (node.op, node.inputs.as_slice()) {
        ("Sub", [one, _]) => producers.number(one) == Some(1.0),
        _ => false,
    }
}
