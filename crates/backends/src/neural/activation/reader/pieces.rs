//! A softmax in pieces that lie in several graphs, or that take the logarithm of a sum on the way.
//!
//! What another graph makes is not seen from this one: where it is a sum, a quotient by it may be shares. It must not know what is made
//! of these.

use super::{Call, Reader};
use crate::neural::activation::operators::Operator;
use crate::neural::activation::pieces::Pieces;
use crate::neural::onnx_view::NodeView;

/// Operators that are looked at between a sum and its use.
const MOST: usize = 16;

/// Of what a node makes.
pub(super) fn pieces_of(call: &Call<'_, '_, '_>) -> Pieces {
    let (op, taken) = (call.node.op, call.inputs.iter().map(|fact| fact.pieces).fold(Pieces::NONE, Pieces::or));
    let is_moved = matches!(call.kind, Operator::Passing | Operator::Choosing | Operator::Joining);
    let adds = matches!(op, "Add" | "Sub" | "Sum" | "Neg" | "Max" | "Min" | "Where");
    let keeps_sum = matches!(op, "Clip" | "Reciprocal" | "Mul" | "Div" | "Pow");
    let sums = matches!(call.kind, Operator::Weighting | Operator::Averaging)
        || matches!(op, "ReduceSum" | "ReduceL1" | "CumSum" | "Add" | "Sum");
    Pieces {
        is_sum: sums || taken.is_sum && (is_moved || adds || keeps_sum),
        has_logarithm: matches!(op, "Log" | "ReduceLogSum" | "ReduceLogSumExp")
            || taken.has_logarithm && (is_moved || adds),
    }
}

impl<'v, 'a> Reader<'v, 'a> {
    /// The numbers of which a node may make shares, where their sum, or they themselves, are made elsewhere.
    pub(super) fn share_in_pieces(&self, node: &'v NodeView<'a>) -> Option<&'v str> {
        let is_positive = |value: &str| self.fact(value).never_negative;
        let is_sum =
            |value: &'v str| is_positive(value) && self.fact(value).pieces.is_sum && self.is_from_elsewhere(value);
        match (node.op, node.inputs.as_slice()) {
            _ if !self.producers.is_standard(node) => None,
            ("Div", &[above, below]) => (is_positive(above) && is_sum(below)).then_some(above),
            ("Mul", &[one, other]) => {
                let mut pairs = [(one, other), (other, one)].into_iter();
                pairs.find(|&(above, inverse)| is_positive(above) && is_sum(inverse)).map(|(above, _)| above)
            }
            ("Exp", &[exponent]) => self.fact(exponent).pieces.has_logarithm.then_some(exponent),
            _ => None,
        }
    }

    /// Whether another graph makes a value, which was moved at most since then, or kept away from 0.
    fn is_from_elsewhere(&self, value: &'v str) -> bool {
        let mut value = value;
        for _ in 0..MOST {
            let Some(node) = self.producers.maker_of_any(value) else {
                return self.depth > 0 && !self.producers.is_constant(value);
            };
            if self.producers.is_function(node) || node.attributes.iter().any(|held| !held.graphs.is_empty()) {
                return true;
            }
            let is_kept = matches!(
                node.op,
                "Add"
                    | "Max"
                    | "Clip"
                    | "Reciprocal"
                    | "Mul"
                    | "Div"
                    | "Identity"
                    | "Cast"
                    | "Slice"
                    | "Split"
                    | "Gather"
            );
            let mut computed = node.inputs.iter().filter(|input| !self.producers.is_constant(input));
            match computed.next().filter(|_| is_kept) {
                Some(inner) => value = inner,
                None => return false,
            }
        }
        false
    }
}
