//! Numbers that count places: extents of values, and what networks compute of them to give other values their shape.
//!
//! How many items a request has may decide how long a value is, never what its numbers are. It owns which inputs of operators are
//! lengths, and the arithmetic of extents. It must not know where items are.

use super::axes::{integer, integers};
use super::forms::{Form, Items};
use super::producers::{MOST_AXES, Producers};
use crate::neural::onnx_view::{Dimension, NodeView, ValueView};

/// One number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// This one in each run.
    Known(i64),
    /// One that does not depend on how many items there are.
    Other,
    /// That of the items.
    Items,
    /// One that depends on it.
    Many,
}

impl Count {
    /// Extents that the file says a value has; `items` is the name that it gives the number of items.
    pub(super) fn declared(value: &ValueView<'_>, items: Option<&str>) -> Option<Vec<Self>> {
        let of = |dim: &Dimension<'_>| match dim {
            Dimension::Fixed(extent) if *extent > 0 => Self::Known(*extent),
            Dimension::Symbolic(name) if items == Some(name) => Self::Items,
            Dimension::Fixed(_) | Dimension::Symbolic(_) => Self::Many,
        };
        value.dims.as_ref().map(|dims| dims.iter().map(of).collect())
    }
}

/// What numbers of a value have to do with how many items there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Nothing.
    Free,
    /// They are these, of a list or alone.
    Counts(Vec<Count>),
    /// They depend on it.
    Counted,
}

impl Numbers {
    /// Whether they are others for another number of items.
    pub(super) fn are_counted(&self) -> bool {
        match self {
            Self::Free => false,
            Self::Counts(counts) => counts.iter().any(|count| matches!(count, Count::Items | Count::Many)),
            Self::Counted => true,
        }
    }

    /// Of numbers that are the ones or the others.
    pub(super) fn with(&self, other: &Self) -> Self {
        if self.are_counted() || other.are_counted() { Self::Counted } else { Self::Free }
    }
}

/// Whether an input of a node is a length, an axis or a bound, and none of the numbers that it computes with.
pub(super) fn is_length(op: &str, place: usize) -> bool {
    match op {
        "ConstantOfShape" => place == 0,
        "Reshape" | "Expand" | "Tile" | "Split" | "Squeeze" | "Unsqueeze" | "CenterCropPad" | "AffineGrid" => {
            place == 1
        }
        "Resize" | "Upsample" | "Slice" | "Pad" => place > 0,
        _ => false,
    }
}

/// An operator on counts.
pub(super) struct Counting<'c, 'v, 'a> {
    /// The operator.
    pub(super) node: &'v NodeView<'a>,
    /// Forms of its inputs.
    pub(super) inputs: &'c [&'c Form],
    /// Constants.
    pub(super) producers: &'c Producers<'v, 'a>,
}

impl Counting<'_, '_, '_> {
    /// What the numbers of its output are.
    pub(super) fn numbers(&self) -> Numbers {
        if self.producers.is_foreign(self.node) {
            return self.otherwise();
        }
        self.counts().filter(|counts| counts.len() <= MOST_AXES).map_or_else(|| self.otherwise(), Numbers::Counts)
    }

    /// Whether an input from which numbers are computed depends on how many items there are.
    pub(super) fn takes_counted(&self) -> bool {
        let mut inputs = self.inputs.iter().enumerate();
        inputs.any(|(place, form)| !is_length(self.node.op, place) && form.numbers.are_counted())
    }

    fn otherwise(&self) -> Numbers {
        let is_extent = matches!(self.node.op, "Shape" | "Size");
        let depends = if is_extent { self.inputs.iter().any(|form| form.items != Items::Nowhere) } else { false };
        if depends || (!is_extent && self.takes_counted()) { Numbers::Counted } else { Numbers::Free }
    }

    /// The counts that an input is; a list of constants is such, too.
    pub(super) fn input(&self, place: usize) -> Option<Vec<Count>> {
        let name = self.node.inputs.get(place).filter(|name| !name.is_empty())?;
        let form = self.inputs.get(place)?;
        if let Numbers::Counts(counts) = &form.numbers {
            return Some(counts.clone());
        }
        if let Some(known) = self.producers.integers(name) {
            return Some(known.into_iter().map(Count::Known).collect());
        }
        let is_same = form.items == Items::Nowhere && form.numbers == Numbers::Free;
        let length = match form.extents.as_deref() {
            Some([]) => Some(1),
            Some([length]) => length.and_then(|length| usize::try_from(length).ok()),
            Some(_) | None => None,
        };
        length.filter(|&length| is_same && length <= MOST_AXES).map(|length| vec![Count::Other; length])
    }

    fn longs(&self, attribute: &str, place: usize) -> Option<Vec<i64>> {
        let held = || self.producers.integers(self.node.inputs.get(place).filter(|name| !name.is_empty())?);
        integers(self.node, attribute).or_else(held)
    }

    fn counts(&self) -> Option<Vec<Count>> {
        let axis = integer(self.node, "axis").unwrap_or(0);
        match self.node.op {
            "Shape" => self.shape(),
            "Size" => Some(vec![product(&extents_of(self.inputs.first()?)?)]),
            "Identity" | "Cast" | "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" | "Floor" | "Ceil" | "Abs" => {
                self.counted(0)
            }
            "Gather" if axis == 0 => {
                let held = self.counted(0)?;
                let places = self.producers.integers(self.node.inputs.get(1)?)?;
                places.into_iter().map(|place| held.get(wrapped(place, held.len())?).copied()).collect()
            }
            "Slice" => self.sliced(),
            "Concat" => {
                let parts: Option<Vec<_>> = (0..self.inputs.len()).map(|place| self.input(place)).collect();
                parts.filter(|_| self.is_of_counts()).map(|parts| parts.concat())
            }
            "ConstantOfShape" => {
                let length = self.producers.integers(self.node.inputs.first()?)?;
                let &[length] = length.as_slice() else { return None };
                let length = usize::try_from(length).ok().filter(|&length| length <= MOST_AXES)?;
                let value = match self.node.attribute("value") {
                    Some(value) => Count::Known(value.tensor.as_ref()?.longs().next()?),
                    None => Count::Known(0),
                };
                Some(vec![value; length])
            }
            "ReduceProd" => self.counted(0).map(|counts| vec![product(&counts)]),
            "Mul" | "Div" | "Add" | "Sub" | "Max" | "Min" | "Equal" => self.paired(),
            "Where" => {
                let (chooser, one, other) = (self.counted(0)?, self.input(1)?, self.input(2)?);
                let length = chooser.len().max(one.len()).max(other.len());
                let at = |list: &[Count], place: usize| list.get(if list.len() == 1 { 0 } else { place }).copied();
                let chosen = |place| match at(&chooser, place)? {
                    Count::Known(0) => at(&other, place),
                    Count::Known(_) => at(&one, place),
                    Count::Other | Count::Items | Count::Many => {
                        Some(product(&[Count::Other, at(&one, place)?, at(&other, place)?]))
                    }
                };
                (0..length).map(chosen).collect()
            }
            _ => None,
        }
    }

    /// Whether an input is known to be counts, and no constants alone.
    fn is_of_counts(&self) -> bool {
        self.inputs.iter().any(|form| form.numbers != Numbers::Free)
    }

    /// The counts that an input is, where it is no constant.
    fn counted(&self, place: usize) -> Option<Vec<Count>> {
        match &self.inputs.get(place)?.numbers {
            Numbers::Counts(counts) => Some(counts.clone()),
            Numbers::Free | Numbers::Counted => None,
        }
    }

    fn shape(&self) -> Option<Vec<Count>> {
        let extents = extents_of(self.inputs.first()?)?;
        let bound = |name: &str, default: usize| match integer(self.node, name) {
            Some(bound) => cut(bound, extents.len()),
            None => default,
        };
        let (start, end) = (bound("start", 0), bound("end", extents.len()));
        extents.get(start..end.max(start)).map(<[Count]>::to_vec)
    }

    fn sliced(&self) -> Option<Vec<Count>> {
        let held = self.counted(0)?;
        let one = |attribute: &str, place: usize| match self.longs(attribute, place)?.as_slice() {
            [bound] => Some(*bound),
            _ => None,
        };
        let has_steps = self.node.inputs.get(4).is_some_and(|steps| !steps.is_empty());
        if has_steps && one("steps", 4) != Some(1) {
            return None;
        }
        let (start, end) = (cut(one("starts", 1)?, held.len()), cut(one("ends", 2)?, held.len()));
        held.get(start..end.max(start)).map(<[Count]>::to_vec)
    }

    fn paired(&self) -> Option<Vec<Count>> {
        let (one, other) = (self.input(0)?, self.input(1)?);
        if !self.is_of_counts() || self.inputs.len() != 2 {
            return None;
        }
        let length = one.len().max(other.len());
        let at = |list: &[Count], place: usize| list.get(if list.len() == 1 { 0 } else { place }).copied();
        (0..length).map(|place| Some(self.pair(at(&one, place)?, at(&other, place)?))).collect()
    }

    fn pair(&self, one: Count, other: Count) -> Count {
        use Count::{Items, Known};
        let op = self.node.op;
        match (one, other) {
            (Known(one), Known(other)) => {
                let known = match op {
                    "Mul" => one.checked_mul(other),
                    "Div" => one.checked_div(other),
                    "Add" => one.checked_add(other),
                    "Sub" => one.checked_sub(other),
                    "Max" => Some(one.max(other)),
                    "Min" => Some(one.min(other)),
                    "Equal" => Some(i64::from(one == other)),
                    _ => None,
                };
                known.map_or(Count::Other, Known)
            }
            (Items, Known(1)) if matches!(op, "Mul" | "Div" | "Max") => Items,
            (Known(1), Items) if matches!(op, "Mul" | "Max") => Items,
            (Items, Known(0)) if matches!(op, "Add" | "Sub") => Items,
            (Known(0), Items) if op == "Add" => Items,
            // Nothing is counted below 0.
            (Items, Known(..0)) | (Known(..0), Items) if op == "Equal" => Known(0),
            (one, other) => product(&[Count::Other, one, other]),
        }
    }
}

/// Extents of a value as counts.
fn extents_of(form: &Form) -> Option<Vec<Count>> {
    let of = |(place, extent): (usize, &Option<i64>)| match (form.items, extent) {
        (Items::At(items), _) if items == place => Count::Items,
        (Items::Within(merged), _) if merged.covers(place) => Count::Many,
        (Items::Unknown, _) => Count::Many,
        (Items::Nowhere | Items::At(_) | Items::Within(_), Some(extent)) => Count::Known(*extent),
        (Items::Nowhere | Items::At(_) | Items::Within(_), None) => Count::Other,
    };
    Some(form.extents.as_ref()?.iter().enumerate().map(of).collect())
}

fn product(counts: &[Count]) -> Count {
    counts.iter().copied().fold(Count::Known(1), |all, one| match (all, one) {
        (Count::Known(all), Count::Known(one)) => all.checked_mul(one).map_or(Count::Other, Count::Known),
        (Count::Known(1), one) => one,
        (all, Count::Known(1)) => all,
        (Count::Items | Count::Many, _) | (_, Count::Items | Count::Many) => Count::Many,
        (Count::Known(_) | Count::Other, Count::Known(_) | Count::Other) => Count::Other,
    })
}

/// A place in a list, those below 0 counted from its end.
fn wrapped(place: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let place = if place < 0 { place.checked_add(length)? } else { place };
    usize::try_from(place).ok()
}

/// A bound of places in a list, those below 0 counted from its end.
fn cut(bound: i64, length: usize) -> usize {
    let from_end = |back: u64| usize::try_from(back).map_or(0, |back| length.saturating_sub(back));
    match usize::try_from(bound) {
        Ok(bound) => bound.min(length),
        Err(_) => from_end(bound.unsigned_abs()),
    }
}
