//! Numbers that count places: extents of values, and what networks compute of them to give other values their shape.
//!
//! How many items a request has may decide how long a value is, never what its numbers are. It owns which inputs of operators are
//! lengths, and the arithmetic of extents. It must not know where items are.

use super::attributes::{integer, integers};
use super::forms::{Form, Items};
use super::lists::List;
use super::numbers::{Count, Numbers};
use super::producers::{MOST_AXES, Producers};
use crate::neural::onnx_view::{ElementType, NodeView};

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
    /// What the numbers of its output are, and their extents where they are counts.
    pub(super) fn numbers(&self) -> (Numbers, Option<Vec<usize>>) {
        let made = if self.producers.is_foreign(self.node) { None } else { self.made() };
        match made {
            Some(List { dims, counts }) => (Numbers::Counts(counts), Some(dims)),
            None => (self.otherwise(), None),
        }
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
        let is_whole = |known: &Vec<i64>| match form.extents.as_deref() {
            Some(extents) => {
                extents.iter().try_fold(1i64, |all, extent| (*extent)?.checked_mul(all))
                    == i64::try_from(known.len()).ok()
            }
            None => true,
        };
        // As it is, and not the numbers that it was repeated from.
        if let Some(known) = self.producers.integers(name).filter(is_whole) {
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

    /// The same with its axes.
    fn list(&self, place: usize) -> Option<List> {
        let counts = self.input(place)?;
        let extents = self.inputs.get(place)?.extents.as_deref()?.iter();
        let dims = extents.map(|extent| usize::try_from((*extent)?).ok()).collect::<Option<Vec<usize>>>()?;
        List::new(dims, counts)
    }

    /// Numbers of an attribute, or of an input where they are known before the network runs.
    pub(super) fn longs(&self, attribute: &str, place: usize) -> Option<Vec<i64>> {
        let known = || self.input(place)?.iter().map(|count| count.known()).collect();
        integers(self.node, attribute).or_else(known)
    }

    fn made(&self) -> Option<List> {
        match self.node.op {
            "Shape" => List::row(self.shape()?),
            "Size" => Some(List::single(product(&extents_of(self.inputs.first()?)?))),
            "Identity" => self.list(0),
            "Cast" => self.list(0).filter(|list| self.casts_numbers(list)),
            // Of floating-point numbers these are counts where the division before left no rest.
            "Floor" | "Ceil" => self.list(0),
            "Abs" | "Neg" => {
                let of = |count: Count| match (count, self.node.op) {
                    (Count::Known(number), "Abs") => number.checked_abs().map_or(Count::Other, Count::Known),
                    (Count::Known(number), _) => number.checked_neg().map_or(Count::Other, Count::Known),
                    (count @ (Count::Items | Count::Many), "Abs") => count,
                    (count, _) => product(&[Count::Other, count]),
                };
                let List { dims, counts } = self.list(0)?;
                List::new(dims, counts.into_iter().map(of).collect())
            }
            "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" => self.reshaped(),
            "Transpose" => {
                let list = self.list(0)?;
                let order = integers(self.node, "perm").filter(|order| !order.is_empty());
                let turned = || (0..list.dims.len() as i64).rev().collect();
                let order = order.unwrap_or_else(turned).into_iter().map(usize::try_from);
                let order = order.collect::<Result<Vec<_>, _>>().ok()?;
                let mut sorted = order.clone();
                sorted.sort_unstable();
                list.transposed(&order).filter(|_| sorted.iter().copied().eq(0..list.dims.len()))
            }
            "Gather" => self.gathered(),
            "Slice" => self.sliced(),
            "Concat" => {
                let parts = (0..self.inputs.len()).map(|place| self.list(place)).collect::<Option<Vec<_>>>()?;
                let axis = wrapped(integer(self.node, "axis")?, parts.first()?.dims.len())?;
                List::joined(&parts, axis)
            }
            "ConstantOfShape" => self.filled(),
            // Without axes, and told to do nothing then, it gives the list itself.
            "ReduceProd" if integer(self.node, "noop_with_empty_axes").is_none_or(|flag| flag == 0) => {
                let list = self.list(0).filter(|list| list.dims.len() == 1)?;
                let all = List::single(product(&list.counts));
                if integer(self.node, "keepdims").unwrap_or(1) == 0 { Some(all) } else { List::row(all.counts) }
            }
            "Range" => self.counted_up(),
            "Mul" | "Div" | "Add" | "Sub" | "Max" | "Min" | "Equal" | "Mod" if self.inputs.len() == 2 => {
                self.list(0)?.paired(&self.list(1)?, |one, other| self.pair(one, other))
            }
            "Where" => self.chosen(),
            _ => None,
        }
    }

    /// Whether a Cast leaves whole numbers what they are.
    fn casts_numbers(&self, list: &List) -> bool {
        let most = match integer(self.node, "to").map(ElementType::from_code) {
            Some(ElementType::I64) => i64::MAX,
            Some(ElementType::I32) => i64::from(i32::MAX),
            Some(ElementType::F32) => 1 << 24,
            Some(ElementType::F64) => 1 << 53,
            Some(_) | None => return false,
        };
        list.counts
            .iter()
            .filter_map(|count| count.known())
            .all(|known| known.checked_abs().is_some_and(|size| size <= most))
    }

    fn reshaped(&self) -> Option<List> {
        let list = self.list(0)?;
        let rank = list.dims.len();
        let mut dims: Vec<i64> = list.dims.iter().map(|&dim| i64::try_from(dim)).collect::<Result<_, _>>().ok()?;
        match self.node.op {
            "Reshape" => {
                let keeps_zeros = integer(self.node, "allowzero").is_some_and(|flag| flag != 0);
                return list.reshaped(&self.longs("shape", 1)?, keeps_zeros);
            }
            "Flatten" => {
                let place = wrapped(integer(self.node, "axis").unwrap_or(1), rank).or((rank == 0).then_some(0))?;
                let (front, back) = dims.split_at_checked(place)?;
                let all = |dims: &[i64]| dims.iter().try_fold(1i64, |all, dim| all.checked_mul(*dim));
                dims = vec![all(front)?, all(back)?];
            }
            "Squeeze" => match self.longs("axes", 1) {
                Some(axes) => {
                    let gone = axes.iter().map(|&axis| wrapped(axis, rank)).collect::<Option<Vec<_>>>()?;
                    let mut place = 0..;
                    dims.retain(|_| place.next().is_none_or(|place| !gone.contains(&place)));
                }
                // Axes that are given, and not known before the network runs.
                None if self.node.inputs.len() > 1 || self.node.attribute("axes").is_some() => return None,
                None => dims.retain(|&dim| dim != 1),
            },
            _ => {
                let axes = self.longs("axes", 1)?;
                let rank = rank + axes.len();
                let mut put = axes.iter().map(|&axis| wrapped(axis, rank)).collect::<Option<Vec<_>>>()?;
                put.sort_unstable();
                for place in put {
                    dims.insert(Some(place).filter(|&place| place <= dims.len())?, 1);
                }
            }
        }
        list.reshaped(&dims, true)
    }

    fn gathered(&self) -> Option<List> {
        let list = self.list(0)?;
        let (chosen, axis) = (self.list(1)?, wrapped(integer(self.node, "axis").unwrap_or(0), list.dims.len())?);
        let extent = list.dims[axis];
        let places = chosen.known()?.into_iter().map(|place| wrapped(place, extent)).collect::<Option<Vec<_>>>()?;
        let mut all: Vec<Vec<usize>> = list.dims.iter().map(|&dim| (0..dim).collect()).collect();
        all[axis] = places;
        let found = list.selected(&all)?;
        match chosen.dims.len() {
            1 => Some(found),
            0 => {
                let mut dims = found.dims.clone();
                dims.remove(axis);
                List::new(dims, found.counts)
            }
            _ => None,
        }
    }

    fn sliced(&self) -> Option<List> {
        let list = self.list(0)?;
        let (starts, ends) = (self.longs("starts", 1)?, self.longs("ends", 2)?);
        let given = |place: usize| self.node.inputs.get(place).is_some_and(|name| !name.is_empty());
        let axes = match self.node.attribute("axes").is_some() || given(3) {
            true => self.longs("axes", 3)?,
            false => (0..).take(starts.len()).collect(),
        };
        let steps = if given(4) { self.longs("steps", 4)? } else { vec![1; starts.len()] };
        let mut all: Vec<Vec<usize>> = list.dims.iter().map(|&dim| (0..dim).collect()).collect();
        for (entry, &axis) in axes.iter().enumerate() {
            let axis = wrapped(axis, list.dims.len())?;
            let (start, end, step) = (*starts.get(entry)?, *ends.get(entry)?, *steps.get(entry)?);
            all[axis] = stepped(list.dims[axis], start, end, step)?;
        }
        list.selected(&all)
    }

    fn filled(&self) -> Option<List> {
        let length = self.list(0).filter(|list| list.dims.len() == 1)?;
        let dims = length.known()?.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>().ok()?;
        let value = match self.node.attribute("value") {
            Some(value) => {
                let number = value.tensor.as_ref()?.single_number()?;
                Count::Known(Some(number as i64).filter(|&whole| whole as f64 == number)?)
            }
            None => Count::Known(0),
        };
        let places = dims.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim))?;
        List::new(dims, vec![value; Some(places).filter(|&places| places <= MOST_AXES)?])
    }

    fn counted_up(&self) -> Option<List> {
        let bound = |place: usize| self.list(place)?.counts.first()?.known();
        let (start, limit, step) = (bound(0)?, bound(1)?, bound(2)?);
        let mut counts = Vec::new();
        let mut number = start;
        while (step > 0 && number < limit) || (step < 0 && number > limit) {
            (counts.len() < MOST_AXES).then_some(())?;
            counts.push(Count::Known(number));
            number = number.checked_add(step)?;
        }
        List::row(counts).filter(|_| step != 0)
    }

    fn chosen(&self) -> Option<List> {
        let (chooser, one, other) = (self.list(0)?, self.list(1)?, self.list(2)?);
        // Where it cannot be told which, the two together.
        let pairs = one.paired(&other, |one, other| product(&[Count::Other, one, other]))?;
        let first = chooser.paired(&one, |chooser, one| if chooser == Count::Known(0) { Count::Other } else { one })?;
        let second = chooser.paired(&other, |_, other| other)?;
        let is_told = chooser.paired(&pairs, |chooser, _| chooser)?;
        let chosen = is_told.counts.iter().enumerate().map(|(place, chooser)| {
            let at = |list: &List| list.counts.get(if list.counts.len() == 1 { 0 } else { place }).copied();
            match chooser {
                Count::Known(0) => at(&second),
                Count::Known(_) => at(&first),
                Count::Other | Count::Items | Count::Many => at(&pairs),
            }
        });
        List::new(is_told.dims.clone(), chosen.collect::<Option<_>>()?)
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

    fn pair(&self, one: Count, other: Count) -> Count {
        use Count::{Items, Known};
        let op = self.node.op;
        match (one, other) {
            (Known(one), Known(other)) => {
                let known = match op {
                    "Mul" => one.checked_mul(other),
                    "Div" => one.checked_div(other).filter(|_| self.divides_whole() || one % other == 0),
                    "Add" => one.checked_add(other),
                    "Sub" => one.checked_sub(other),
                    "Max" => Some(one.max(other)),
                    "Min" => Some(one.min(other)),
                    "Equal" => Some(i64::from(one == other)),
                    "Mod" if one >= 0 && other > 0 => one.checked_rem(other),
                    _ => None,
                };
                known.map_or(Count::Other, Known)
            }
            (Items, Items) if matches!(op, "Max" | "Min") => Items,
            (Items, Known(1)) if matches!(op, "Mul" | "Div" | "Max") => Items,
            (Known(1), Items) if matches!(op, "Mul" | "Max") => Items,
            (Items, Known(0)) if matches!(op, "Add" | "Sub") => Items,
            (Known(0), Items) if op == "Add" => Items,
            // Nothing is counted below 0.
            (Items, Known(..0)) | (Known(..0), Items) if op == "Equal" => Known(0),
            (one, other) => product(&[Count::Other, one, other]),
        }
    }

    /// Whether a division is one of whole numbers, as far as the file says it.
    fn divides_whole(&self) -> bool {
        let is_whole = |name: &&str| matches!(self.producers.element(name), Some(ElementType::I32 | ElementType::I64));
        self.node.inputs.iter().any(is_whole)
    }
}

/// The places of a slice of an axis.
fn stepped(extent: usize, start: i64, end: i64, step: i64) -> Option<Vec<usize>> {
    let length = i64::try_from(extent).ok().filter(|&length| length <= MOST_AXES as i64)?;
    let from_end = |bound: i64| if bound < 0 { bound.saturating_add(length) } else { bound };
    let (mut place, end) = match step {
        1.. => (from_end(start).clamp(0, length), from_end(end).clamp(0, length)),
        ..0 => (from_end(start).clamp(-1, length - 1), from_end(end).clamp(-1, length - 1)),
        0 => return None,
    };
    let mut places = Vec::new();
    while (step > 0 && place < end) || (step < 0 && place > end) {
        places.push(usize::try_from(place).ok()?);
        place = place.saturating_add(step);
    }
    Some(places)
}

/// Extents of a value as counts.
fn extents_of(form: &Form) -> Option<Vec<Count>> {
    let of = |(place, extent): (usize, &Option<i64>)| match (form.items, extent) {
        (Items::At(items), _) if items == place => Count::Items,
        (Items::Within(merged), _) if merged.covers(place) => Count::Many,
        (Items::Unknown, _) => Count::Many,
        // Of a value whose numbers count the items, so may its extents.
        (Items::Nowhere, None) if form.numbers.are_counted() => Count::Many,
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
