//! Shapes of products of matrices, and the items that are summed or paired in them.
//!
//! It must not know what the numbers are.

use super::moves::transposed;
use super::{MAY_PAIR, PAIRS, Shaped, Shaping, UNTOLD, combined, reason, stronger};
use crate::neural::activation::attributes::integer;
use crate::neural::activation::axes::{Along, Mixes};
use crate::neural::activation::forms::{Form, Items, Merged, met};
use crate::neural::activation::ties::Tied;

/// First of the letters that stand for the axes of an ellipsis; equations have none of these.
const ELLIPSIS: u8 = 128;

impl Shaping<'_, '_, '_> {
    pub(super) fn products(&self) -> Shaped {
        let is_set = |name: &str| integer(self.node, name).is_some_and(|flag| flag != 0);
        let (one, other) = match self.node.op {
            "QLinearMatMul" | "QGemm" => (self.input(0), self.input(3)),
            _ => (self.input(0), self.input(1)),
        };
        let turned = |form: &Form, is_turned: bool| match (is_turned, form.rank()) {
            (true, Some(rank @ 2..=super::MOST_AXES)) => {
                let order = (0..rank as i64 - 2).chain([rank as i64 - 1, rank as i64 - 2]);
                transposed(form, Some(order.collect()))
            }
            (true, _) if form.items != Items::Nowhere => Form::UNKNOWN,
            (_, _) => form.with(form.extents.clone()),
        };
        let (product, met) = match self.node.op {
            "Einsum" => return self.of_einsum(),
            "FusedMatMul" if is_set("transBatchA") || is_set("transBatchB") => return (Form::UNKNOWN, self.untold()),
            "MatMulNBits" => product(one, &matrix()),
            "Gemm" | "FusedGemm" | "QGemm" => {
                let of = |form: &Form, is_turned| turned(&of_two_axes(form), is_turned);
                product(&of(one, is_set("transA")), &of(other, is_set("transB")))
            }
            _ => product(&turned(one, is_set("transA")), &turned(other, is_set("transB"))),
        };
        let is_sum = matches!(self.node.op, "Gemm" | "FusedGemm");
        let added = self.inputs.get(2).filter(|added| is_sum && added.items != Items::Nowhere);
        let (product, met) = match added {
            None => (product, met),
            Some(added) => {
                let (sum, also) = combined(&[&product, added]);
                (sum, stronger(met, also))
            }
        };
        let others = self.inputs.iter().enumerate().filter(|(place, _)| {
            let factor = if matches!(self.node.op, "QLinearMatMul" | "QGemm") { 3 } else { 1 };
            *place != 0 && *place != factor && !(is_sum && *place == 2)
        });
        // Scales and zero points of a request are those of all its items.
        let scaled = others.into_iter().any(|(_, form)| form.items != Items::Nowhere);
        (product, stronger(met, scaled.then_some(UNTOLD)))
    }

    /// Each axis has a letter; those that are in no output are summed.
    fn of_einsum(&self) -> Shaped {
        let unknown = || (Form::UNKNOWN, self.untold());
        let text = self.node.attribute("equation").and_then(|equation| equation.text).unwrap_or_default();
        let letters: Vec<u8> = text.iter().copied().filter(|letter| !letter.is_ascii_whitespace()).collect();
        let Some(arrow) = letters.windows(2).position(|pair| pair == b"->") else { return unknown() };
        let (terms, result) = (&letters[..arrow], &letters[arrow + 2..]);
        let terms: Option<Vec<Vec<u8>>> = terms
            .split(|letter| *letter == b',')
            .zip(self.inputs)
            .map(|(term, form)| spelt(term, form.rank()))
            .collect();
        let Some(terms) = terms else { return unknown() };
        let widest = terms.iter().flatten().filter(|letter| **letter >= ELLIPSIS).map(|letter| letter - ELLIPSIS + 1);
        let Some(result) = spelt_with(result, widest.max().unwrap_or(0).into()) else { return unknown() };
        let mut found = Vec::new();
        for (term, form) in terms.iter().zip(self.inputs) {
            match form.items {
                Items::Nowhere => {}
                Items::At(items) => match term.get(items) {
                    // A diagonal takes one number of each item, another for each.
                    Some(letter) if term.iter().filter(|other| *other == letter).count() > 1 => return unknown(),
                    Some(letter) if !found.contains(letter) => found.push(*letter),
                    Some(_) => {}
                    None => return unknown(),
                },
                Items::Within(_) | Items::Unknown => return unknown(),
            }
        }
        let extent = |letter: &u8| {
            let mut places = terms.iter().zip(self.inputs).filter_map(|(term, form)| {
                form.extent(term.iter().position(|other| other == letter)?).filter(|&extent| extent != 1)
            });
            places.next()
        };
        let form = Form::new(Some(result.iter().map(extent).collect()), Items::Unknown);
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

/// A matrix that is the same for all items.
fn matrix() -> Form {
    Form::new(Some(vec![None; 2]), Items::Nowhere)
}

/// With the two axes that the operator asks for, where none are known.
fn of_two_axes(form: &Form) -> Form {
    form.with(form.extents.clone().or(Some(vec![None; 2])))
}

/// A product of matrices.
fn product(one: &Form, other: &Form) -> Shaped {
    let summed = [(one, -1), (other, -2)].map(|(form, axis)| Along::Axes(vec![axis]).mixes(form));
    // A vector has one axis, which is summed.
    let vector = other.rank() == Some(1) && other.items != Items::Nowhere;
    let met_in_sum = match summed {
        [Mixes::Yes, _] | [_, Mixes::Yes] => Some(PAIRS),
        _ if vector => Some(PAIRS),
        [Mixes::Unknown, _] | [_, Mixes::Unknown] => Some(MAY_PAIR),
        [Mixes::No, Mixes::No] => None,
    };
    let unknown = |met: Option<Tied>| (Form::UNKNOWN, stronger(met_in_sum.clone(), met));
    let (Some(left), Some(right)) = (one.rank(), other.rank()) else {
        // Constants of two axes change the last axis alone.
        let (fixed, items) = match (one.items, other.items) {
            (Items::Nowhere, items) => (one, items),
            (items, Items::Nowhere) => (other, items),
            (Items::At(0), Items::At(0)) => return (Form::new(None, Items::At(0)), met_in_sum.clone()),
            (_, _) => return unknown(Some(MAY_PAIR)),
        };
        let stays = fixed.rank().is_some_and(|rank| rank <= 2) && met_in_sum.is_none();
        return if stays { (Form::new(None, items), None) } else { unknown(None) };
    };
    if left < 2 || right < 2 {
        let items = match (one.items, other.items, right < 2) {
            (items, Items::Nowhere, true) if left >= 2 => items,
            (Items::Nowhere, Items::Nowhere, _) => Items::Nowhere,
            (_, _, _) => Items::Unknown,
        };
        return (Form::new(None, items), met_in_sum);
    }
    let rank = left.max(right);
    let shifted = |form: &Form, size: usize| match form.items {
        Items::At(items) => Items::At(items + rank - size),
        Items::Within(merged) => {
            Items::Within(Merged { from: merged.from + rank - size, to: merged.to + rank - size, ..merged })
        }
        other @ (Items::Nowhere | Items::Unknown) => other,
    };
    let extents = (0..rank).map(|place| match rank - place {
        1 => other.extent(right - 1),
        2 => one.extent(left - 2),
        _ => {
            // Matrices beside each other: one stands for as many as there are of the other.
            let of = |form: &Form, size: usize| match place.checked_sub(rank - size) {
                Some(place) => form.extent(place),
                None => Some(1),
            };
            match (of(one, left), of(other, right)) {
                (Some(1), extent) | (extent, Some(1)) => extent,
                (Some(extent), _) | (None, Some(extent)) => Some(extent),
                (None, None) => None,
            }
        }
    });
    let (items, meeting) = met([shifted(one, left), shifted(other, right)].into_iter());
    let met = stronger(met_in_sum, reason(meeting));
    (Form::new(Some(extents.collect()), if met.is_some() { Items::Unknown } else { items }), met)
}

/// The letters of a term, with those of an ellipsis, of a value with so many axes.
fn spelt(term: &[u8], rank: Option<usize>) -> Option<Vec<u8>> {
    let letters = term.iter().filter(|letter| **letter != b'.').count();
    match term.contains(&b'.') {
        true => spelt_with(term, rank?.checked_sub(letters)?),
        false => Some(term.to_vec()),
    }
}

/// With the letters of an ellipsis of so many axes; the last axes of all of them are the same.
fn spelt_with(term: &[u8], axes: usize) -> Option<Vec<u8>> {
    let Some(dots) = term.windows(3).position(|part| part == b"...") else {
        return (!term.contains(&b'.')).then(|| term.to_vec());
    };
    let axes = u8::try_from(axes).ok().filter(|&axes| axes < u8::MAX - ELLIPSIS)?;
    let (front, back) = (&term[..dots], &term[dots + 3..]);
    let is_plain = !front.iter().chain(back).any(|letter| *letter == b'.' || *letter >= ELLIPSIS);
    is_plain.then(|| {
        front.iter().copied().chain((0..axes).rev().map(|axis| ELLIPSIS + axis)).chain(back.iter().copied()).collect()
    })
}
