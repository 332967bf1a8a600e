//! Answers in tensors: the same names, types and shapes, and numbers that are close to those of the other.
//!
//! Each output is measured by its own largest number: boxes in pixels and scores from 0 to 1 stand side by side.

use dede_model::tensor::{NamedTensor, Tensor, Values};

use super::difference::{Difference, FARTHEST, Measured, gap, incomparable};
use super::tolerance::Tolerance;

pub(super) fn tensors(old: &[NamedTensor], new: &[NamedTensor], tolerance: &Tolerance) -> Difference {
    let is_alike = |(old, new): (&NamedTensor, &NamedTensor)| {
        let (left, right) = (&old.tensor, &new.tensor);
        old.name == new.name && left.element() == right.element() && left.shape() == right.shape()
    };
    if old.len() != new.len() || !old.iter().zip(new).all(is_alike) {
        return incomparable(Measured::Signatures);
    }
    let (mut relative_error, mut absolute_error) = (0.0_f64, 0.0_f64);
    for (old, new) in old.iter().zip(new) {
        let (absolute, largest) = apart(&old.tensor, &new.tensor);
        let relative = if absolute == 0.0 { 0.0 } else { absolute / largest.max(tolerance.absolute_floor) };
        relative_error = relative_error.max(if relative.is_finite() { relative.min(FARTHEST) } else { FARTHEST });
        absolute_error = absolute_error.max(absolute).min(f64::MAX);
    }
    let bit_equal = old.iter().zip(new).all(|(old, new)| has_same_bits(&old.tensor, &new.tensor));
    Difference {
        measured: Measured::Tensors { relative_error, absolute_error },
        bit_equal,
        agrees: relative_error <= tolerance.relative_error,
    }
}

/// Largest distance of two numbers at one place, and largest number.
fn apart(old: &Tensor, new: &Tensor) -> (f64, f64) {
    let (Some(left), Some(right)) = (numbers(old.values()), numbers(new.values())) else {
        // Texts are the same, or have nothing in common.
        return (if old == new { 0.0 } else { f64::INFINITY }, 1.0);
    };
    let pairs = left.iter().zip(&right);
    pairs.fold((0.0, 0.0), |(absolute, largest): (f64, f64), (&old, &new)| {
        let size = old.abs().max(new.abs());
        (absolute.max(gap(old, new)), if size.is_finite() { largest.max(size) } else { largest })
    })
}

fn has_same_bits(old: &Tensor, new: &Tensor) -> bool {
    match (old.values(), new.values()) {
        (Values::F32(old), Values::F32(new)) => old.iter().zip(new).all(|(old, new)| old.to_bits() == new.to_bits()),
        (Values::F64(old), Values::F64(new)) => old.iter().zip(new).all(|(old, new)| old.to_bits() == new.to_bits()),
        (old, new) => old == new,
    }
}

/// The numbers with double precision; `None` for texts.
fn numbers(values: &Values) -> Option<Vec<f64>> {
    Some(match values {
        Values::F16(values) => values.iter().map(|value| value.to_f64()).collect(),
        Values::Bf16(values) => values.iter().map(|value| value.to_f64()).collect(),
        Values::F32(values) => values.iter().copied().map(f64::from).collect(),
        Values::F64(values) => values.clone(),
        Values::I8(values) => values.iter().copied().map(f64::from).collect(),
        Values::I16(values) => values.iter().copied().map(f64::from).collect(),
        Values::I32(values) => values.iter().copied().map(f64::from).collect(),
        Values::I64(values) => values.iter().map(|&value| value as f64).collect(),
        Values::U8(values) => values.iter().copied().map(f64::from).collect(),
        Values::U16(values) => values.iter().copied().map(f64::from).collect(),
        Values::U32(values) => values.iter().copied().map(f64::from).collect(),
        Values::U64(values) => values.iter().map(|&value| value as f64).collect(),
        Values::Bool(values) => values.iter().map(|&value| f64::from(u8::from(value))).collect(),
        Values::Bytes(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, shape: &[usize], values: Values) -> NamedTensor {
        NamedTensor { name: name.into(), tensor: Tensor::new(shape.to_vec(), values).expect("fits") }
    }

    #[test]
    fn each_output_is_measured_by_itself() {
        let answer = |score: f32, label: i64| {
            [
                named("boxes", &[2], Values::F32(vec![600.0, 400.0])),
                named("scores", &[1], Values::F32(vec![score])),
                named("labels", &[1], Values::I64(vec![label])),
            ]
        };
        let tolerance = Tolerance::numerical();
        for (score, label, agrees, bit_equal) in
            [(0.5, 7, true, true), (0.500_001, 7, true, false), (0.51, 7, false, false), (0.5, 8, false, false)]
        {
            let found = tensors(&answer(0.5, 7), &answer(score, label), &tolerance);
            assert_eq!((found.agrees, found.bit_equal), (agrees, bit_equal), "{score} {label}: {found:?}");
        }
    }

    #[test]
    fn other_names_types_and_shapes_are_no_answer_to_the_same() {
        let one = [named("y", &[2], Values::F32(vec![1.0, 2.0]))];
        for other in [
            vec![],
            vec![named("z", &[2], Values::F32(vec![1.0, 2.0]))],
            vec![named("y", &[1, 2], Values::F32(vec![1.0, 2.0]))],
            vec![named("y", &[2], Values::F64(vec![1.0, 2.0]))],
        ] {
            let found = tensors(&one, &other, &Tolerance::default());
            assert_eq!((found.measured.clone(), found.agrees), (Measured::Signatures, false), "{other:?}");
            assert_eq!(found.distance(), FARTHEST);
        }
        let text = |text: &str| [named("y", &[1], Values::Bytes(vec![text.into()]))];
        assert!(tensors(&text("a"), &text("a"), &Tolerance::default()).agrees);
        assert!(!tensors(&text("a"), &text("b"), &Tolerance::default()).agrees);
        let nan = [named("y", &[1], Values::F32(vec![f32::NAN]))];
        assert!(tensors(&nan, &nan, &Tolerance::default()).agrees, "what is no number is the same here and there");
    }
}
