//! Shapes of products of matrices, and the items that are summed or paired in them.
//!
//! It must not know what the numbers are.

use super::{PAIRS, Shaped, Shaping};
use crate::neural::activation::axes::integer;
use crate::neural::activation::forms::{Form, Items};

impl Shaping<'_, '_, '_> {
    /// A product of matrices, of which the second is `other`.
    pub(super) fn product(&self, other: &Form) -> Shaped {
        let one = self.input(0);
        let (Some(left), Some(right)) = (one.rank(), other.rank()) else {
            // A matrix of constants changes the last axis alone.
            let stays = other.items == Items::Nowhere && other.rank() == Some(2);
            return (if stays { one.with(None) } else { Form::UNKNOWN }, None);
        };
        if left < 2 || right < 2 {
            return (Form::UNKNOWN, None);
        }
        let rank = left.max(right);
        let of = |form: &Form, size: usize, inner: usize| match form.items {
            Items::At(items) if items == inner => Err(()),
            Items::At(items) => Ok(Items::At(items + rank - size)),
            other @ (Items::Nowhere | Items::Moved | Items::Unknown) => Ok(other),
        };
        let extents = (0..rank).map(|place| match rank - place {
            1 => other.extent(right - 1),
            2 => one.extent(left - 2),
            _ if left == rank => one.extent(place),
            _ => other.extent(place),
        });
        let form = Form { extents: Some(extents.collect()), items: Items::Unknown };
        match (of(one, left, left - 1), of(other, right, right - 2)) {
            (Err(()), _) | (_, Err(())) => (form, Some(PAIRS)),
            (Ok(items), Ok(Items::Nowhere)) | (Ok(Items::Nowhere), Ok(items)) => (form.at(items), None),
            (Ok(one), Ok(other)) if one == other => (form.at(one), None),
            (Ok(Items::At(_)), Ok(Items::At(_))) => (form, Some(PAIRS)),
            (Ok(_), Ok(_)) => (form, None),
        }
    }

    pub(super) fn of_gemm(&self) -> Form {
        let weights = self.input(if self.node.op == "QGemm" { 3 } else { 1 });
        let columns = weights.extent(if integer(self.node, "transB").unwrap_or(0) == 0 { 1 } else { 0 });
        let form = self.input(0).with(Some(vec![self.input(0).extent(0), columns]));
        if weights.items == Items::Nowhere { form } else { form.at(Items::Unknown) }
    }

    /// Each axis has a letter; those that are in no output are summed.
    pub(super) fn of_einsum(&self) -> Shaped {
        let text = self.node.attribute("equation").and_then(|equation| equation.text).unwrap_or_default();
        let letters: Vec<u8> = text.iter().copied().filter(|letter| !letter.is_ascii_whitespace()).collect();
        let Some(arrow) = letters.windows(2).position(|pair| pair == b"->") else { return (Form::UNKNOWN, None) };
        let (terms, result) = (&letters[..arrow], &letters[arrow + 2..]);
        if letters.contains(&b'.') {
            return (Form::UNKNOWN, None);
        }
        let mut found = Vec::new();
        for (term, form) in terms.split(|letter| *letter == b',').zip(&self.inputs) {
            match form.items {
                Items::Nowhere => {}
                Items::At(items) => match term.get(items) {
                    Some(letter) if !found.contains(letter) => found.push(*letter),
                    Some(_) => {}
                    None => return (Form::UNKNOWN, None),
                },
                Items::Moved | Items::Unknown => return (Form::UNKNOWN, None),
            }
        }
        let form = Form { extents: Some(vec![None; result.len()]), items: Items::Unknown };
        match found.as_slice() {
            [] => (form.at(Items::Nowhere), None),
            [letter] => match result.iter().position(|other| other == letter) {
                Some(place) => (form.at(Items::At(place)), None),
                None => (form, Some(PAIRS)),
            },
            _ => (form, Some(PAIRS)),
        }
    }
}
