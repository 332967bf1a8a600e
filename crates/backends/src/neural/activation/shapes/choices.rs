//! Shapes of operators that take some numbers of a value, or put those of several beside each other.
//!
//! It must not know what the numbers are.

use super::{CHOICE, MAY_CHOOSE, Shaped, Shaping, UNTOLD, reason, stronger};
use crate::neural::activation::attributes::integer;
use crate::neural::activation::axes::{Along, Mixes};
use crate::neural::activation::forms::{Form, Items, Merged, met};
use crate::neural::activation::numbers::{Count, Numbers};
use crate::neural::activation::ties::Tied;

impl Shaping<'_, '_, '_> {
    pub(super) fn choices(&self) -> Shaped {
        let first = self.input(0);
        match self.node.op {
            "Concat" | "QLinearConcat" => self.joined(),
            "Split" => {
                let (form, met) = self.chosen(self.axis(0));
                // The lengths are those of all parts; equal ones are no more known.
                (form, met)
            }
            "Slice" => self.sliced(),
            "Gather" => self.gathered(),
            "GatherElements" => self.of_elements(&self.inputs[..self.inputs.len().min(2)]),
            "ScatterElements" | "Scatter" => self.of_elements(self.inputs),
            "GatherND" => self.gathered_rows(),
            "OneHot" => self.one_hot(),
            "ArrayFeatureExtractor" => self.extracted(),
            // The longest first: what it does along its axis is told by that.
            "TopK" => {
                let count = self.longs("k", 1).and_then(|count| count.first().copied());
                (first.resized(first.place(self.axis(-1)), count), None)
            }
            // By the place in the last two axes.
            _ => (first.with(first.extents.clone()), choice(Along::Axes(vec![-2, -1]).mixes(first))),
        }
    }

    /// Some places of one axis.
    fn chosen(&self, axis: i64) -> Shaped {
        let form = self.input(0);
        let met = choice(Along::Axes(vec![axis]).mixes(form));
        let left = form.resized(form.place(axis), None);
        (if met.is_none() { left } else { left.at(Items::Unknown) }, met)
    }

    /// Values beside each other.
    fn joined(&self) -> Shaped {
        let forms: Vec<&Form> = match self.node.op {
            "QLinearConcat" => self.inputs.iter().copied().skip(2).step_by(3).collect(),
            _ => self.inputs.to_vec(),
        };
        let Some(&first) = forms.first() else { return (Form::UNKNOWN, None) };
        let axis = self.axis(1);
        let place = forms.iter().find_map(|form| form.place(axis));
        let widest = forms.iter().copied().find(|form| form.extents.is_some()).unwrap_or(first);
        if let Some(place) = place.filter(|&place| forms.iter().all(|form| form.items == Items::At(place))) {
            // All items of one, then all of the next.
            let outer = i64::try_from(forms.len()).ok();
            let below = Items::Within(Merged { from: place, to: place + 1, outer, inner: Some(1) });
            return (widest.resized(Some(place), None).at(if forms.len() == 1 { first.items } else { below }), None);
        }
        let mixes = forms.iter().map(|form| {
            let form = form.with(form.extents.clone().or_else(|| widest.extents.clone()));
            choice(Along::Axes(vec![axis]).mixes(&form))
        });
        let mixed = mixes.fold(None, stronger);
        let (items, meeting) = met(forms.iter().map(|form| form.items));
        let add = |sum: i64, form: &&Form| sum.checked_add(form.extent(place?)?);
        let sum = forms.iter().try_fold(0, add);
        // Of one alone nothing is put behind another.
        let mixed = if forms.len() == 1 { None } else { stronger(mixed, reason(meeting)) };
        (widest.resized(place, sum).at(if mixed.is_some() { Items::Unknown } else { items }), mixed)
    }

    fn sliced(&self) -> Shaped {
        let form = self.input(0);
        if form.items == Items::Nowhere {
            let depends = |form: &&Form| form.items != Items::Nowhere || form.numbers.are_counted();
            let depends = self.inputs.iter().skip(1).any(depends);
            let left = form.resized(None, None);
            return if depends { (left.at(Items::Unknown), Some(UNTOLD)) } else { (left, None) };
        }
        let (starts, ends) = (self.longs("starts", 1), self.longs("ends", 2));
        let count = starts.as_ref().map(Vec::len).or_else(|| usize::try_from(self.input(1).extent(0)?).ok());
        let are_said = self.node.inputs.get(3).is_some_and(|axes| !axes.is_empty());
        let axes = match (self.longs("axes", 3), count) {
            (Some(axes), _) => axes,
            (None, Some(count)) if !are_said && count <= super::MOST_AXES => (0..).take(count).collect(),
            (None, _) => return (form.resized(None, None).at(Items::Unknown), Some(MAY_CHOOSE)),
        };
        let steps = self.longs("steps", 4);
        let (mut left, mut met) = (form.with(form.extents.clone()), None);
        for (place, &axis) in axes.iter().enumerate() {
            let at = |list: &Option<Vec<i64>>| list.as_ref().and_then(|list| list.get(place).copied());
            let has_steps = self.node.inputs.get(4).is_some_and(|steps| !steps.is_empty());
            let step = if has_steps { at(&steps) } else { Some(1) };
            let is_of_items = form.place(axis).is_some_and(|place| form.items == Items::At(place));
            let end = match &self.input(2).numbers {
                Numbers::Counts(counts) => counts.get(place).copied(),
                Numbers::Free | Numbers::Counted => at(&ends).map(Count::Known),
            };
            let is_all = match end {
                Some(Count::Known(end)) => end >= i64::from(i32::MAX),
                Some(Count::Items) => is_of_items,
                Some(Count::Other | Count::Many) | None => false,
            };
            let is_first = at(&starts).is_some_and(|start| start == 0 || start <= -i64::from(i32::MAX));
            if is_first && is_all && step == Some(1) {
                continue;
            }
            // As many of another axis as there are items are others for another number of them.
            let is_counted = |bound: &&Form| match &bound.numbers {
                Numbers::Counts(counts) => matches!(counts.get(place), Some(Count::Items | Count::Many)),
                Numbers::Counted => true,
                Numbers::Free => false,
            };
            if self.inputs.iter().skip(1).take(2).any(is_counted) {
                met = stronger(met, Some(MAY_CHOOSE));
            }
            left = left.resized(form.place(axis), None);
            met = stronger(met, choice(Along::Axes(vec![axis]).mixes(form)));
        }
        let items = if met.is_some() { Items::Unknown } else { left.items };
        (left.at(items), met)
    }

    fn gathered(&self) -> Shaped {
        let (form, chooser) = (self.input(0), self.input(1));
        let place = form.place(self.axis(0));
        match (form.items, chooser.items) {
            // A row of a table for each.
            (Items::Nowhere, items) => {
                let moved = match (place, items) {
                    (_, Items::Nowhere) => Items::Nowhere,
                    (Some(place), Items::At(items)) if place < super::MOST_AXES => Items::At(place + items),
                    (Some(place), Items::Within(merged)) if place < super::MOST_AXES => {
                        Items::Within(Merged { from: place + merged.from, to: place + merged.to, ..merged })
                    }
                    (_, Items::At(_) | Items::Within(_) | Items::Unknown) => Items::Unknown,
                };
                let extents = || {
                    let (own, chosen, place) = (form.extents.as_ref()?, chooser.extents.as_ref()?, place?);
                    let (front, back) = (own.get(..place)?, own.get(place + 1..)?);
                    Some([front, chosen, back].concat())
                };
                (Form::new(extents(), moved).bounded(), None)
            }
            (_, Items::Nowhere) => {
                let (chosen, met) = self.chosen(self.axis(0));
                let front = place.filter(|&place| is_behind(form, place));
                match (chooser.rank(), place) {
                    (Some(1), _) => (chosen, met),
                    (Some(0), Some(place)) => (chosen.without(&[place]), met),
                    (Some(rank), Some(place)) if rank.max(place) <= super::MOST_AXES => {
                        let more: Vec<usize> = (place + 1..place + rank).collect();
                        (chosen.with_axes(more).resized(None, None).bounded(), met)
                    }
                    _ if front.is_some() => (Form::new(None, form.items), met),
                    _ => (Form::UNKNOWN, met),
                }
            }
            (_, Items::At(_) | Items::Within(_) | Items::Unknown) => (Form::UNKNOWN, Some(MAY_CHOOSE)),
        }
    }

    /// Numbers at places along an axis that another value of the same axes gives, or that are put there.
    fn of_elements(&self, forms: &[&Form]) -> Shaped {
        let (form, places) = (self.input(0), self.input(1));
        if self.is_fixed() {
            let given = if self.node.op == "GatherElements" { places } else { form };
            return (Form::new(given.extents.clone(), Items::Nowhere), None);
        }
        let along = Along::Axes(vec![self.axis(0)]);
        let mixed = forms.iter().map(|form| choice(along.mixes(form))).fold(None, stronger);
        let (items, meeting) = met(forms.iter().map(|form| form.items));
        // Places that are constants are those of some items.
        let are_own = places.items != Items::Nowhere && form.items != Items::Nowhere;
        let mixed = stronger(stronger(mixed, reason(meeting)), (!are_own).then_some(MAY_CHOOSE));
        let extents = if self.node.op == "GatherElements" { places.extents.clone() } else { form.extents.clone() };
        (Form::new(extents, if mixed.is_some() { Items::Unknown } else { items }), mixed)
    }

    fn gathered_rows(&self) -> Shaped {
        let (form, places) = (self.input(0), self.input(1));
        let shared = integer(self.node, "batch_dims").unwrap_or(0);
        match (form.items, places.items) {
            (Items::Nowhere, Items::Nowhere) => (Form::FIXED, None),
            // A row of a table for each list of places.
            (Items::Nowhere, Items::At(items)) if places.place(-1).is_none_or(|last| last != items) => {
                (Form::new(None, Items::At(items)), None)
            }
            (Items::At(0), Items::At(0)) if shared > 0 => (Form::new(None, Items::At(0)), None),
            (Items::At(items), Items::Nowhere) if shared == 0 => self.gathered_blocks(form, places, items),
            (_, _) => (Form::UNKNOWN, Some(MAY_CHOOSE)),
        }
    }

    /// Blocks of a value by places that are the same for all items, which are along `items`.
    fn gathered_blocks(&self, form: &Form, places: &Form, items: usize) -> Shaped {
        let unknown = (Form::UNKNOWN, Some(MAY_CHOOSE));
        let (Some(chosen), Some(rank)) = (places.extents.as_deref(), form.rank()) else { return unknown };
        let Some((Some(length), front)) = chosen.split_last() else { return unknown };
        match usize::try_from(*length) {
            Ok(length) if length <= items && length <= rank => {
                let behind = form.extents.iter().flatten().skip(length);
                let extents = front.iter().chain(behind).copied().collect();
                (Form::new(Some(extents), Items::At(front.len() + items - length)).bounded(), None)
            }
            Ok(_) => (Form::UNKNOWN, Some(CHOICE)),
            Err(_) => unknown,
        }
    }

    /// A list for each number, along a new axis.
    fn one_hot(&self) -> Shaped {
        let form = self.input(0);
        let others = self.inputs.iter().skip(1).any(|form| form.items != Items::Nowhere);
        let rank = form.rank().map(|rank| rank + 1);
        let place = crate::neural::activation::forms::place_of(self.axis(-1), rank);
        let shaped = match (place, form.items) {
            (Some(place), _) => form.with_axes(vec![place]).resized(Some(place), None),
            (None, Items::At(0) | Items::Nowhere) => Form::new(None, form.items),
            (None, Items::At(_) | Items::Within(_) | Items::Unknown) => Form::UNKNOWN,
        };
        (shaped, others.then_some(UNTOLD))
    }

    /// Places of the last axis, in whatever shape they are.
    fn extracted(&self) -> Shaped {
        let (form, places) = (self.input(0), self.input(1));
        match (form.items, places.items) {
            (items, Items::Nowhere) => {
                let met = choice(Along::Axes(vec![-1]).mixes(form));
                (Form::new(None, if met.is_some() { Items::Unknown } else { items }), met)
            }
            // One row: what each of the places is in it.
            (Items::Nowhere, Items::At(0)) => {
                let rest = || {
                    let mut extents = places.extents.as_ref()?.iter().skip(1);
                    extents.try_fold(1i64, |all, extent| all.checked_mul((*extent)?))
                };
                let items = match rest() {
                    Some(1) => Items::At(1),
                    inner => Items::Within(Merged { from: 1, to: 2, outer: Some(1), inner }),
                };
                (Form::new(Some(vec![Some(1), None]), items), None)
            }
            (_, _) => (Form::UNKNOWN, Some(MAY_CHOOSE)),
        }
    }
}

/// Whether the items are in front of a place.
fn is_behind(form: &Form, place: usize) -> bool {
    match form.items {
        Items::At(items) => items < place,
        Items::Within(merged) => merged.to <= place,
        Items::Nowhere | Items::Unknown => false,
    }
}

fn choice(mixes: Mixes) -> Option<Tied> {
    match mixes {
        Mixes::No => None,
        Mixes::Yes => Some(CHOICE),
        Mixes::Unknown => Some(MAY_CHOOSE),
    }
}
