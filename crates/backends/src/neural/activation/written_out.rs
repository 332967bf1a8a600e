//! Softmax, its logarithm and the sigmoid written out in pieces, as some exporters do.
//!
//! `exp(x) / sum(exp(x))`, with the largest subtracted first or without; `x - log(sum(exp(x)))`; `1 / (1 + exp(-x))`. It
//! must not know what is done with an output, nor along which axes a sum goes.

use super::producers::Producers;
use crate::neural::onnx_view::NodeView;

/// What a product or quotient is known to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Quotient<'v, 'a> {
    /// A sigmoid.
    Sigmoid,
    /// The share that each of these numbers has in their sum, which the node makes.
    ShareOf(&'v str, &'v NodeView<'a>),
}

/// What a `Mul`, `Div` or `Reciprocal` is, beyond numbers times a constant.
pub(super) fn normalized<'v, 'a>(producers: &Producers<'v, 'a>, node: &'v NodeView<'a>) -> Option<Quotient<'v, 'a>> {
    let inverse = |value: &str| {
        let node = producers.producer(producers.same(value)).filter(|node| node.op == "Reciprocal")?;
        node.inputs.first().copied()
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

fn quotient<'v, 'a>(producers: &Producers<'v, 'a>, above: &'v str, below: &str) -> Option<Quotient<'v, 'a>> {
    if producers.number(above) == Some(1.0) && is_one_plus_exponential(producers, below) {
        return Some(Quotient::Sigmoid);
    }
    let op = producers.producer(producers.same(above)).map_or("", |node| node.op);
    if let Some(exponential) = one_plus(producers, below)
        && op == "Exp"
        && producers.are_alike(above, exponential)
    {
        return Some(Quotient::Sigmoid);
    }
    let (summed, sum) = sum_of(producers, below)?;
    producers.are_alike(above, summed).then_some(Quotient::ShareOf(above, sum))
}

/// What a value is the sum of, perhaps kept away from 0, and the node that sums.
fn sum_of<'v, 'a>(producers: &Producers<'v, 'a>, value: &str) -> Option<(&'v str, &'v NodeView<'a>)> {
    let node = producers.producer(producers.same(value))?;
    match (node.op, node.inputs.as_slice()) {
        ("ReduceSum" | "ReduceL1", [summed, ..]) => Some((*summed, node)),
        ("Clip", [sum, ..]) => summed(producers, sum),
        ("Add" | "Max", [one, other]) => match (producers.is_constant(one), producers.is_constant(other)) {
            (true, false) => summed(producers, other),
            (false, true) => summed(producers, one),
            (true, true) | (false, false) => None,
        },
        _ => None,
    }
}

fn summed<'v, 'a>(producers: &Producers<'v, 'a>, value: &str) -> Option<(&'v str, &'v NodeView<'a>)> {
    let node = producers.producer(producers.same(value))?;
    let is_sum = matches!(node.op, "ReduceSum" | "ReduceL1");
    node.inputs.first().copied().filter(|_| is_sum).map(|summed| (summed, node))
}

/// `e` where a value is `1 + e`.
fn one_plus<'v>(producers: &Producers<'v, '_>, value: &str) -> Option<&'v str> {
    let node = producers.producer(producers.same(value)).filter(|node| node.op == "Add")?;
    match node.inputs.as_slice() {
        [one, other] if producers.number(one) == Some(1.0) => Some(*other),
        [one, other] if producers.number(other) == Some(1.0) => Some(*one),
        _ => None,
    }
}

fn is_one_plus_exponential(producers: &Producers<'_, '_>, value: &str) -> bool {
    let exponential = one_plus(producers, value).and_then(|inner| producers.producer(producers.same(inner)));
    exponential.is_some_and(|node| node.op == "Exp")
}

/// The node that sums where a `Sub` takes from numbers the logarithm of the sum of their exponentials.
pub(super) fn log_softmax_sum<'v, 'a>(producers: &Producers<'v, 'a>, node: &NodeView<'_>) -> Option<&'v NodeView<'a>> {
    let [numbers, subtracted] = node.inputs.as_slice() else { return None };
    let below = producers.producer(producers.same(subtracted))?;
    if let Some((summed, sum)) = log_sum(producers, below) {
        return producers.are_alike(numbers, summed).then_some(sum);
    }
    // The largest number was subtracted before, and is added again.
    let ("Add", [one, other]) = (below.op, below.inputs.as_slice()) else { return None };
    let added = |sum: &str, largest: &str| {
        let (summed, sum) = log_sum(producers, producers.producer(producers.same(sum))?)?;
        let shifted = producers.producer(producers.same(summed))?;
        let ("Sub", [shifted, shift]) = (shifted.op, shifted.inputs.as_slice()) else { return None };
        let fits = producers.are_alike(shifted, numbers) && producers.are_alike(shift, largest);
        fits.then_some(sum)
    };
    added(one, other).or_else(|| added(other, one))
}

/// `x` where a node makes `log(sum(exp(x)))`, and the node that sums.
fn log_sum<'v, 'a>(producers: &Producers<'v, 'a>, node: &'v NodeView<'a>) -> Option<(&'v str, &'v NodeView<'a>)> {
    let input = node.inputs.first().copied()?;
    let exponent = |value: &str| {
        let node = producers.producer(producers.same(value)).filter(|node| node.op == "Exp")?;
        node.inputs.first().copied()
    };
    match node.op {
        "ReduceLogSumExp" => Some((input, node)),
        "ReduceLogSum" => Some((exponent(input)?, node)),
        "Log" => {
            let (summed, sum) = sum_of(producers, input)?;
            Some((exponent(summed)?, sum))
        }
        _ => None,
    }
}

/// Whether a `Sub` is `1 - x`.
pub(super) fn is_complement(producers: &Producers<'_, '_>, node: &NodeView<'_>) -> bool {
    match (node.op, node.inputs.as_slice()) {
        ("Sub", [one, _]) => producers.number(one) == Some(1.0),
        _ => false,
    }
}
