//! What the weights of a sum are, where they are constants: those of a mean, or learnt.
//!
//! It owns where each operator has its weights, and which of them add up. It must not know what is weighed.

use std::cell::RefCell;
use std::collections::HashMap;

use super::attributes::integer;
use super::facts::Fact;
use super::origin::{Origin, Weights};
use super::producers::Producers;
use crate::neural::onnx_view::{NodeView, TensorView};

/// What weights of means add up to at most: in a file of 16 bits three thirds are 1.002.
const ALL: f64 = 1.0 + 1.0 / 256.0;

/// Which weights add up to one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Layout {
    /// Those of one column.
    Columns,
    /// Those of one place of the first axis.
    Rows,
    /// Cannot be told.
    Any,
}

/// What a constant holds.
#[derive(Debug, Clone, Copy)]
struct Range {
    /// The least of its numbers.
    least: f64,
    /// What its numbers add up to at most.
    most: Option<f64>,
}

/// Constants that were looked at, each once.
#[derive(Debug, Default)]
pub(super) struct Ranges<'v> {
    ranges: RefCell<HashMap<(&'v str, Layout), Option<Range>>>,
    /// Whether they have numbers from 0 to 1 alone.
    shares: RefCell<HashMap<&'v str, bool>>,
}

impl<'v> Ranges<'v> {
    /// The weights that a node has; where it has none, or several, they are not read.
    pub(super) fn weights<'a>(
        &self,
        node: &'v NodeView<'a>,
        inputs: &[&Fact<'v, 'a>],
        producers: &Producers<'v, 'a>,
    ) -> Weights {
        let operands = match node.op {
            "QLinearMatMul" | "QLinearConv" | "QGemm" => [0, 3],
            _ => [0, 1],
        };
        let is_constant = |place: &usize| inputs.get(*place).is_some_and(|fact| fact.origin == Origin::Constant);
        let mut constants = operands.into_iter().filter(is_constant);
        let read = match (constants.next(), constants.next()) {
            (Some(place), None) => self.read(node, place, producers),
            (_, _) => None,
        };
        read.unwrap_or(Weights::Unread)
    }

    fn read<'a>(&self, node: &'v NodeView<'a>, place: usize, producers: &Producers<'v, 'a>) -> Option<Weights> {
        let named = *node.inputs.get(place)?;
        let is_scaled = matches!(node.op, "Gemm" | "FusedGemm" | "FusedMatMul");
        let factor = match node.attribute("alpha").filter(|_| is_scaled) {
            Some(alpha) => f64::from(alpha.float?),
            None => 1.0,
        };
        let (range, zero) = match (zero_place(node.op, place), producers.constant(named)) {
            (None, Some(_)) => (self.range(named, layout(node, place, named, producers), producers)?, 0.0),
            (Some(zero), Some(_)) => {
                (self.range(named, Layout::Any, producers)?, self.zero(node.inputs.get(zero), producers)?)
            }
            (_, None) => {
                let scaling = producers.maker(producers.same(named)).filter(|node| node.op == "DequantizeLinear")?;
                let scale = self.range(scaling.inputs.get(1)?, Layout::Any, producers)?;
                let zero = self.zero(scaling.inputs.get(2), producers)?;
                let range = self.range(scaling.inputs.first()?, Layout::Any, producers)?;
                (range, Some(zero).filter(|_| scale.least >= 0.0)?)
            }
        };
        Some(match range.most {
            _ if range.least.is_nan() || factor < 0.0 => Weights::Unread,
            _ if range.least < zero => Weights::Signed,
            None => Weights::Positive,
            Some(most) if most * factor <= ALL => Weights::Means,
            Some(_) => Weights::Sums,
        })
    }

    /// Whether what a node makes has no number below 0, where none that it weighs is.
    pub(super) fn keep_sign<'a>(
        &self,
        node: &'v NodeView<'a>,
        weights: Weights,
        producers: &Producers<'v, 'a>,
    ) -> bool {
        let bias = node.inputs.get(2).filter(|bias| matches!(node.op, "Gemm" | "Conv") && !bias.is_empty());
        let keeps = |bias: &&'v str| self.range(bias, Layout::Any, producers).is_some_and(|bias| bias.least >= 0.0);
        let is_known = matches!(node.op, "Gemm" | "MatMul" | "Conv" | "Einsum") && bias.is_none_or(keeps);
        is_known && matches!(weights, Weights::Sums | Weights::Means | Weights::Positive)
    }

    /// Whether a constant that rows are taken of has numbers from 0 to 1 alone.
    pub(super) fn holds_shares<'a>(&self, named: &'v str, producers: &Producers<'v, 'a>) -> bool {
        let is_share = |number: f64| (0.0..=ALL).contains(&number);
        let look =
            || producers.constant(named).and_then(TensorView::numbers).is_some_and(|mut held| held.all(is_share));
        *self.shares.borrow_mut().entry(producers.same(named)).or_insert_with(look)
    }

    /// The number that stands for 0; the least where there are several: what is below that one is negative certainly.
    fn zero<'a>(&self, zero: Option<&&'v str>, producers: &Producers<'v, 'a>) -> Option<f64> {
        match zero.filter(|zero| !zero.is_empty()) {
            None => Some(0.0),
            Some(zero) => Some(self.range(zero, Layout::Any, producers)?.least),
        }
    }

    fn range<'a>(&self, named: &'v str, layout: Layout, producers: &Producers<'v, 'a>) -> Option<Range> {
        let constant = producers.constant(named)?;
        let key = (producers.same(named), layout);
        *self.ranges.borrow_mut().entry(key).or_insert_with(|| look(constant, layout))
    }
}

fn look(constant: &TensorView<'_>, layout: Layout) -> Option<Range> {
    let extents: Vec<usize> = constant.dims.iter().filter_map(|&extent| usize::try_from(extent).ok()).collect();
    let (least, count) = constant.numbers()?.fold((f64::INFINITY, 0usize), |(least, count), number| {
        (if number.is_nan() { number } else { least.min(number) }, count + 1)
    });
    let sums = match (layout, extents.as_slice()) {
        (Layout::Any, _) | (_, []) => return Some(Range { least, most: None }),
        (Layout::Columns | Layout::Rows, [_]) => 1,
        (Layout::Columns, &[_, columns]) => columns,
        (Layout::Columns, _) => return Some(Range { least, most: None }),
        (Layout::Rows, &[rows, ..]) => rows,
    };
    let mut totals = vec![0.0; sums];
    let length = count.checked_div(sums).filter(|&length| length > 0)?;
    for (place, number) in constant.numbers()?.enumerate() {
        let sum = if layout == Layout::Rows { place / length } else { place % sums };
        totals[sum] += number;
    }
    Some(Range { least, most: totals.into_iter().reduce(f64::max) })
}

/// Where an operator takes the number that stands for 0 among its weights, if these are whole numbers.
fn zero_place(op: &str, weights: usize) -> Option<usize> {
    match op {
        "QLinearMatMul" | "QLinearConv" | "QGemm" => Some(weights + 2),
        "MatMulInteger" | "ConvInteger" => Some(weights + 2),
        "DynamicQuantizeMatMul" => Some(3),
        "MatMulIntegerToFloat" => Some(weights + 4),
        _ => None,
    }
}

fn layout(node: &NodeView<'_>, place: usize, named: &str, producers: &Producers<'_, '_>) -> Layout {
    if producers.held(named) != producers.same(named) {
        return Layout::Any;
    }
    let is_turned = |name: &str| integer(node, name).unwrap_or(0) != 0;
    let of_rows = |rows: bool| if rows { Layout::Rows } else { Layout::Columns };
    match (node.op, place) {
        ("MatMul" | "Gemm" | "FusedGemm" | "FusedMatMul", 0) => of_rows(!is_turned("transA")),
        ("MatMul" | "Gemm" | "FusedGemm" | "FusedMatMul", 1) => of_rows(is_turned("transB")),
        ("Conv" | "FusedConv", 1) => Layout::Rows,
        _ => Layout::Any,
    }
}
