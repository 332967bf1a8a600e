//! Softmax, its logarithm and the sigmoid written out in pieces, as some exporters do.
//!
//! `exp(x) / sum(exp(x))`, with the largest subtracted first or without; `x - log(sum(exp(x)))`; `1 / (1 + exp(-x))`. It
//! must not know what is done with an output.

use dede_core::backend::OutputActivation;

use super::axes::{goes_over_items, sums_one_number};
use super::producers::Producers;
use crate::neural::onnx_view::NodeView;

/// What a product or quotient is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotient<'n> {
    /// An activation.
    Known(OutputActivation),
    /// The share that each of these numbers has in their sum.
    ShareOf(&'n str),
}

/// What a `Mul`, `Div` or `Reciprocal` is, beyond numbers times a constant.
pub(super) fn normalized<'n>(producers: &Producers<'_, '_>, node: &'n NodeView<'_>) -> Option<Quotient<'n>> {
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
        ("Reciprocal", [below]) => {
            is_one_plus_exponential(producers, below).then_some(Quotient::Known(OutputActivation::Sigmoid))
        }
        _ => None,
    }
}

fn quotient<'n>(producers: &Producers<'_, '_>, above: &'n str, below: &str) -> Option<Quotient<'n>> {
    if producers.number(above) == Some(1.0) && is_one_plus_exponential(producers, below) {
        return Some(Quotient::Known(OutputActivation::Sigmoid));
    }
    let op = producers.producer(producers.same(above)).map_or("", |node| node.op);
    if let Some(exponential) = one_plus(producers, below)
        && op == "Exp"
        && producers.are_alike(above, exponential)
    {
        return Some(Quotient::Known(OutputActivation::Sigmoid));
    }
    let summed = sum_of(producers, below)?;
    if !producers.are_alike(above, summed) {
        return None;
    }
    // Numbers that are never negative have shares that are probabilities.
    Some(match op {
        "Exp" | "Softplus" | "Relu" | "Abs" => Quotient::Known(OutputActivation::Softmax),
        _ => Quotient::ShareOf(above),
    })
}

/// What a value is the sum of, perhaps kept away from 0.
fn sum_of<'v>(producers: &Producers<'v, '_>, value: &str) -> Option<&'v str> {
    let node = producers.producer(producers.same(value))?;
    match (node.op, node.inputs.as_slice()) {
        ("ReduceSum" | "ReduceL1", _) => summed(producers, value),
        ("Clip", [sum, ..]) => summed(producers, sum),
        ("Add" | "Max", [one, other]) => match (producers.is_constant(one), producers.is_constant(other)) {
            (true, false) => summed(producers, other),
            (false, true) => summed(producers, one),
            (true, true) | (false, false) => None,
        },
        _ => None,
    }
}

fn summed<'v>(producers: &Producers<'v, '_>, value: &str) -> Option<&'v str> {
    let node = producers.producer(producers.same(value))?;
    let is_sum = matches!(node.op, "ReduceSum" | "ReduceL1") && is_of_classes(producers, node);
    node.inputs.first().copied().filter(|_| is_sum)
}

/// Whether a node reduces along the classes.
fn is_of_classes(producers: &Producers<'_, '_>, node: &NodeView<'_>) -> bool {
    !goes_over_items(producers, node) && !sums_one_number(producers, node)
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

/// Whether a `Sub` takes from numbers the logarithm of the sum of their exponentials.
pub(super) fn is_log_softmax(producers: &Producers<'_, '_>, node: &NodeView<'_>) -> bool {
    let [numbers, subtracted] = node.inputs.as_slice() else { return false };
    let Some(below) = producers.producer(producers.same(subtracted)) else { return false };
    if let Some(summed) = log_sum(producers, below) {
        return producers.are_alike(numbers, summed);
    }
    // The largest number was subtracted before, and is added again.
    let ("Add", [one, other]) = (below.op, below.inputs.as_slice()) else { return false };
    let added = |sum: &str, largest: &str| {
        let summed = producers.producer(producers.same(sum)).and_then(|node| log_sum(producers, node));
        let shifted = summed.and_then(|summed| producers.producer(producers.same(summed)));
        match shifted.map(|node| (node.op, node.inputs.as_slice())) {
            Some(("Sub", [shifted, shift])) => {
                producers.are_alike(shifted, numbers) && producers.are_alike(shift, largest)
            }
            _ => false,
        }
    };
    added(one, other) || added(other, one)
}

/// `x` where a node makes `log(sum(exp(x)))`.
fn log_sum<'v>(producers: &Producers<'v, '_>, node: &NodeView<'v>) -> Option<&'v str> {
    let input = node.inputs.first().copied()?;
    let exponent = |value: &str| {
        let node = producers.producer(producers.same(value)).filter(|node| node.op == "Exp")?;
        node.inputs.first().copied()
    };
    match node.op {
        "ReduceLogSumExp" | "ReduceLogSum" if !is_of_classes(producers, node) => None,
        "ReduceLogSumExp" => Some(input),
        "ReduceLogSum" => exponent(input),
        "Log" => exponent(sum_of(producers, input)?),
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
