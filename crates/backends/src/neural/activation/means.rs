//! Means that are written out: sums of probabilities, each times its weight, whose weights add up to 1.
//!
//! It must not know what else products and sums are.

use dede_model::backend::OutputActivation::{Sigmoid, Softmax};

use super::classes::agree;
use super::facts::{Fact, Held, Part};
use super::producers::Producers;
use crate::neural::onnx_view::NodeView;

/// What rounding leaves of 1: in a file of 16 bits three thirds are 1.002.
const ROUNDED: f32 = 1.0 / 256.0;

impl Part {
    /// Whether it is a mean, all parts of it.
    pub(super) fn is_whole(self) -> bool {
        (self.weight - 1.0).abs() <= ROUNDED
    }
}

/// The part that a value is: all of it, where it is probabilities.
fn part_of(fact: &Fact<'_, '_>) -> Option<Part> {
    match fact.held {
        Held::Found(of @ (Softmax | Sigmoid)) => Some(Part { of, weight: 1.0 }),
        Held::Unclear(_) => fact.part,
        Held::Found(_) | Held::Label => None,
    }
}

/// The part that a node makes, where it adds parts of the same kind, or takes one times a number.
pub(super) fn made(node: &NodeView<'_>, inputs: &[&Fact<'_, '_>], producers: &Producers<'_, '_>) -> Option<Part> {
    let number = |place: usize| {
        let number = node.inputs.get(place).and_then(|input| producers.number(input));
        number.filter(|number| *number > 0.0 && number.is_finite())
    };
    let scaled = |place: usize, factor: f32| {
        let part = part_of(inputs.get(place)?)?;
        Some(Part { weight: part.weight * factor, ..part })
    };
    match node.op {
        _ if !producers.is_standard(node) => None,
        "Mul" if inputs.len() == 2 => match (number(0), number(1)) {
            (Some(factor), None) => scaled(1, factor),
            (None, Some(factor)) => scaled(0, factor),
            (Some(_), Some(_)) | (None, None) => None,
        },
        "Div" => scaled(0, number(1)?.recip()),
        "Add" | "Sum" => {
            let parts: Vec<Part> = inputs.iter().map(|fact| part_of(fact)).collect::<Option<_>>()?;
            let of = parts.first()?.of;
            let fits = parts.iter().all(|part| part.of == of) && (of == Sigmoid || agree(inputs));
            fits.then(|| Part { of, weight: parts.iter().map(|part| part.weight).sum() })
        }
        "Concat" => {
            let parts: Vec<Part> = inputs.iter().map(|fact| part_of(fact)).collect::<Option<_>>()?;
            let first = *parts.first()?;
            // Of several weights none is that of all.
            let is_same = |part: &Part| part.weight == first.weight;
            let weight = if parts.iter().all(is_same) { first.weight } else { f32::NAN };
            (parts.iter().all(|part| part.of == first.of) && weight != 1.0).then_some(Part { weight, ..first })
        }
        "Identity" | "Reshape" | "Flatten" => inputs.first()?.part,
        "Cast" => inputs.first()?.part.filter(|_| producers.makes_floats(node)),
        _ => None,
    }
}
