//! What is known of the shape of a value before the network runs: extents, and which axis is that of the items of a request.
//!
//! It must not know which operator makes which value.

use super::producers::MOST_AXES;
use crate::neural::onnx_view::{Dimension, TensorView, ValueView};

/// Where the items of a request are in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Items {
    /// The value is the same for all of them.
    Nowhere,
    /// Along this axis, one place for each.
    At(usize),
    /// Not along the first axis.
    Moved,
    /// Cannot be told.
    Unknown,
}

/// Shape of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    /// Extents, `None` where decided at run time; `None` altogether when not even their number is known.
    pub(super) extents: Option<Vec<Option<i64>>>,
    /// Where the items are.
    pub(super) items: Items,
}

impl Form {
    /// Nothing is known.
    pub(super) const UNKNOWN: Self = Self { extents: None, items: Items::Unknown };
    /// Of a value that no request changes.
    pub(super) const FIXED: Self = Self { extents: None, items: Items::Nowhere };

    /// Of a constant.
    pub(super) fn of_constant(tensor: &TensorView<'_>) -> Self {
        Self { extents: Some(tensor.dims.iter().map(|&dim| Some(dim)).collect()), ..Self::FIXED }.bounded()
    }

    /// Of the network's input, whose first axis is that of the items.
    pub(super) fn of_input(value: &ValueView<'_>) -> Self {
        Self { extents: declared(value), items: Items::At(0) }.bounded()
    }

    /// Number of axes.
    pub(super) fn rank(&self) -> Option<usize> {
        self.extents.as_ref().map(Vec::len)
    }

    /// The place of an axis, where it is known.
    pub(super) fn place(&self, axis: i64) -> Option<usize> {
        place_of(axis, self.rank())
    }

    /// Extent of an axis.
    pub(super) fn extent(&self, place: usize) -> Option<i64> {
        *self.extents.as_ref()?.get(place)?
    }

    /// With what the file says of the value where nothing else tells. `items` is the name that the file gives the number of items.
    pub(super) fn or_declared(mut self, value: Option<&ValueView<'_>>, items: Option<&str>) -> Self {
        let Some(value) = value else { return self };
        match (&mut self.extents, declared(value)) {
            (Some(known), Some(said)) if known.len() == said.len() => {
                known.iter_mut().zip(said).for_each(|(known, said)| *known = known.or(said));
            }
            (Some(_), _) => {}
            (none, said) => *none = said,
        }
        let named = |dim: &Dimension<'_>| items.is_some_and(|items| *dim == Dimension::Symbolic(items));
        let dims = value.dims.as_deref().unwrap_or_default();
        if self.items == Items::Unknown && dims.iter().filter(|dim| named(dim)).count() == 1 {
            self.items = dims.iter().position(named).map_or(Items::Unknown, Items::At);
        }
        self
    }

    /// Without the extents where there are more than any engine computes with.
    pub(super) fn bounded(mut self) -> Self {
        self.extents = self.extents.filter(|extents| extents.len() <= MOST_AXES);
        self
    }

    /// With other extents.
    pub(super) fn with(&self, extents: Option<Vec<Option<i64>>>) -> Self {
        Self { extents, items: self.items }
    }

    /// With the items elsewhere.
    pub(super) fn at(self, items: Items) -> Self {
        Self { items, ..self }
    }

    /// With another extent of an axis.
    pub(super) fn resized(&self, place: Option<usize>, extent: Option<i64>) -> Self {
        let mut form = self.clone();
        match (&mut form.extents, place) {
            (Some(extents), Some(place)) if place < extents.len() => extents[place] = extent,
            (Some(extents), None) => extents.iter_mut().for_each(|extent| *extent = None),
            (Some(_), Some(_)) | (None, _) => {}
        }
        form
    }

    /// Without these axes. A value whose items were along one of them is the same for all.
    pub(super) fn without(&self, places: &[usize]) -> Self {
        let kept = |extents: &Vec<Option<i64>>| {
            let kept = extents.iter().enumerate().filter(|(place, _)| !places.contains(place));
            kept.map(|(_, extent)| *extent).collect()
        };
        let items = match self.items {
            Items::At(items) if places.contains(&items) => Items::Nowhere,
            Items::At(items) => Items::At(items - places.iter().filter(|&&place| place < items).count()),
            other @ (Items::Nowhere | Items::Moved | Items::Unknown) => other,
        };
        Self { extents: self.extents.as_ref().map(kept), items }
    }

    /// With axes of extent 1 at these places of the result.
    pub(super) fn with_axes(&self, mut places: Vec<usize>) -> Self {
        places.sort_unstable();
        let mut form = self.clone();
        for place in places {
            if let Some(extents) = &mut form.extents {
                extents.insert(place.min(extents.len()), Some(1));
            }
            if let Items::At(items) = &mut form.items
                && place <= *items
            {
                *items += 1;
            }
        }
        form
    }
}

/// The place of an axis of a value with that many.
pub(super) fn place_of(axis: i64, rank: Option<usize>) -> Option<usize> {
    match (usize::try_from(axis), rank) {
        (Ok(place), _) => Some(place),
        (Err(_), Some(rank)) => usize::try_from(i64::try_from(rank).ok()?.checked_add(axis)?).ok(),
        (Err(_), None) => None,
    }
}

/// The form of values that are combined number by number, and whether items meet other items there.
pub(super) fn broadcast(forms: &[&Form]) -> (Form, bool) {
    let ranks: Option<Vec<usize>> = forms.iter().map(|form| form.rank()).collect();
    let Some(rank) = ranks.and_then(|ranks| ranks.into_iter().max()) else {
        return (Form { extents: None, items: of_unknown_rank(forms) }, false);
    };
    let shift = |form: &Form| rank - form.rank().unwrap_or(rank);
    let extent = |place: usize| {
        let of = |form: &&Form| place.checked_sub(shift(form)).map_or(Some(1), |place| form.extent(place));
        let mut extents = forms.iter().map(of);
        match extents.clone().find(|extent| extent.is_some_and(|extent| extent != 1)) {
            Some(larger) => larger,
            None if extents.all(|extent| extent == Some(1)) => Some(1),
            None => None,
        }
    };
    let mut places = forms.iter().filter_map(|form| match form.items {
        Items::Nowhere => None,
        Items::At(items) => Some(Items::At(items + shift(form))),
        other @ (Items::Moved | Items::Unknown) => Some(other),
    });
    let first = places.next().unwrap_or(Items::Nowhere);
    let others: Vec<_> = places.filter(|place| *place != first).collect();
    let certain = |place: &Items| matches!(place, Items::At(_));
    let meet = certain(&first) && others.iter().any(certain);
    let items = if others.is_empty() { first } else { Items::Unknown };
    (Form { extents: Some((0..rank).map(extent).collect()), items }, meet)
}

/// Constants of at most one axis leave all others where they are.
fn of_unknown_rank(forms: &[&Form]) -> Items {
    let mut found = None;
    for form in forms {
        match (form.items, form.rank()) {
            (Items::Nowhere, Some(0 | 1)) => {}
            (items, _) if found.is_none_or(|found| found == items) => found = Some(items),
            _ => return Items::Unknown,
        }
    }
    found.unwrap_or(Items::Nowhere)
}

/// What the file says of a value.
fn declared(value: &ValueView<'_>) -> Option<Vec<Option<i64>>> {
    let extent = |dim: &Dimension<'_>| dim.size().and_then(|size| i64::try_from(size).ok());
    Some(value.dims.as_ref()?.iter().map(extent).collect())
}
