//! What is known of the shape of a value before the network runs: extents, and which axis is that of the items of a request.
//!
//! It must not know which operator makes which value.

use super::numbers::Numbers;
use super::producers::MOST_AXES;
use crate::neural::onnx_view::{Dimension, TensorView, ValueView};

/// Where the items of a request are in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Items {
    /// The value is the same for all of them.
    Nowhere,
    /// Along this axis, one place for each.
    At(usize),
    /// In places of these axes that they share with other axes.
    Within(Merged),
    /// Cannot be told.
    Unknown,
}

/// Axes next to each other that hold the items among other places: in the order of their numbers, `outer` times the items times `inner`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merged {
    /// The first of them.
    pub(super) from: usize,
    /// The one behind the last of them.
    pub(super) to: usize,
    /// Places in front of that of an item.
    pub(super) outer: Option<i64>,
    /// Places behind it.
    pub(super) inner: Option<i64>,
}

impl Merged {
    /// Whether an axis may have items.
    pub(super) fn covers(&self, place: usize) -> bool {
        (self.from..self.to).contains(&place)
    }
}

/// Shape of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    /// Extents, `None` where decided at run time; `None` altogether when not even their number is known.
    pub(super) extents: Option<Vec<Option<i64>>>,
    /// Where the items are.
    pub(super) items: Items,
    /// What its numbers have to do with how many items there are.
    pub(super) numbers: Numbers,
}

impl Form {
    /// Nothing is known.
    pub(super) const UNKNOWN: Self = Self { extents: None, items: Items::Unknown, numbers: Numbers::Free };
    /// Of a value that no request changes.
    pub(super) const FIXED: Self = Self { extents: None, items: Items::Nowhere, numbers: Numbers::Free };

    /// Of a value whose numbers count nothing.
    pub(super) const fn new(extents: Option<Vec<Option<i64>>>, items: Items) -> Self {
        Self { extents, items, numbers: Numbers::Free }
    }

    /// Of a constant.
    pub(super) fn of_constant(tensor: &TensorView<'_>) -> Self {
        Self { extents: Some(tensor.dims.iter().map(|&dim| Some(dim)).collect()), ..Self::FIXED }.bounded()
    }

    /// Of the network's input, whose first axis is that of the items.
    pub(super) fn of_input(value: &ValueView<'_>) -> Self {
        Self::new(declared(value), Items::At(0)).bounded()
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
        Self::new(extents, self.items)
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
        let left = |place: usize| place - places.iter().filter(|&&gone| gone < place).count();
        let items = match self.items {
            Items::At(items) if places.contains(&items) => Items::Nowhere,
            Items::At(items) => Items::At(left(items)),
            Items::Within(merged) => match (left(merged.from), left(merged.to)) {
                (from, to) if from < to => Items::Within(Merged { from, to, ..merged }),
                (_, _) => Items::Unknown,
            },
            other @ (Items::Nowhere | Items::Unknown) => other,
        };
        Self::new(self.extents.as_ref().map(kept), items)
    }

    /// With axes of extent 1 at these places of the result.
    pub(super) fn with_axes(&self, mut places: Vec<usize>) -> Self {
        places.sort_unstable();
        let mut form = Self::new(self.extents.clone(), self.items);
        for place in places {
            if let Some(extents) = &mut form.extents {
                extents.insert(place.min(extents.len()), Some(1));
            }
            let moved = |axis: usize| axis + usize::from(place <= axis);
            form.items = match form.items {
                Items::At(items) => Items::At(moved(items)),
                Items::Within(merged) => {
                    let to = merged.to + usize::from(place < merged.to);
                    Items::Within(Merged { from: moved(merged.from), to, ..merged })
                }
                other @ (Items::Nowhere | Items::Unknown) => other,
            };
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

/// How the items of two values meet where these are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meeting {
    /// Each item with itself.
    Alone,
    /// Items with others.
    Mixed,
    /// That cannot be told.
    Unknown,
}

/// The form of values that are combined number by number, and how items meet there.
pub(super) fn broadcast(forms: &[&Form]) -> (Form, Meeting) {
    let ranks: Option<Vec<usize>> = forms.iter().map(|form| form.rank()).collect();
    let Some(rank) = ranks.and_then(|ranks| ranks.into_iter().max()) else { return of_unknown_rank(forms) };
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
    let items = forms.iter().map(|form| match form.items {
        Items::At(items) => Items::At(items + shift(form)),
        Items::Within(merged) => {
            Items::Within(Merged { from: merged.from + shift(form), to: merged.to + shift(form), ..merged })
        }
        other @ (Items::Nowhere | Items::Unknown) => other,
    });
    let (items, meeting) = met(items);
    (Form::new(Some((0..rank).map(extent).collect()), items), meeting)
}

/// Where items are when values are combined in which they are there, and how they meet.
pub(super) fn met(items: impl Iterator<Item = Items>) -> (Items, Meeting) {
    let mut items = items.filter(|items| *items != Items::Nowhere);
    let first = items.next().unwrap_or(Items::Nowhere);
    items.fold((first, Meeting::Alone), |(first, meeting), other| match (first, other) {
        (Items::At(one), Items::At(other)) if one == other => (first, meeting),
        (Items::At(_), Items::At(_)) => (Items::Unknown, Meeting::Mixed),
        (Items::Within(one), Items::Within(other)) if is_same_order(&one, &other) => (first, meeting),
        _ if meeting == Meeting::Mixed => (Items::Unknown, Meeting::Mixed),
        (_, _) => (Items::Unknown, Meeting::Unknown),
    })
}

/// Whether the same place of two values is of the same item, where both have as many places.
fn is_same_order(one: &Merged, other: &Merged) -> bool {
    let is_known = one.outer.is_some() && (one.inner.is_some() || one.to == one.from + 1);
    one.from == other.from
        && one.to == other.to
        && one.outer == other.outer
        && is_known
        && (one.inner == other.inner || one.to == one.from + 1)
}

/// Constants of at most one axis leave all others where they are.
fn of_unknown_rank(forms: &[&Form]) -> (Form, Meeting) {
    let mut left = forms.iter().filter(|form| !matches!((form.items, form.rank()), (Items::Nowhere, Some(0 | 1))));
    let Some(first) = left.next() else { return (Form::FIXED, Meeting::Alone) };
    let are_like = left.all(|other| other.items == first.items);
    let has_items = forms.iter().filter(|form| form.items != Items::Nowhere).count();
    match (first.items, are_like) {
        (items @ (Items::Nowhere | Items::At(_)), true) => (Form::new(None, items), Meeting::Alone),
        // Constants turn no item into another.
        (_, _) if has_items < 2 => (Form::UNKNOWN, Meeting::Alone),
        (_, _) => (Form::UNKNOWN, Meeting::Unknown),
    }
}

/// What the file says of a value.
fn declared(value: &ValueView<'_>) -> Option<Vec<Option<i64>>> {
    let extent = |dim: &Dimension<'_>| dim.size().and_then(|size| i64::try_from(size).ok());
    Some(value.dims.as_ref()?.iter().map(extent).collect())
}
