//! Shapes of operators that give the same numbers other places: where items go when axes are merged, split and put in another order.
//!
//! The items of a value are so many numbers apart, whatever its axes are: axes in front of which, and behind which, there are as many
//! places as in front of and behind the items are those of the items. It must not know what the numbers are.

use super::{MAY_CHOOSE, Shaped, Shaping, combined};
use crate::neural::activation::attributes::integers;
use crate::neural::activation::forms::{Form, Items, Merged, place_of};
use crate::neural::activation::numbers::Count;
use crate::neural::activation::producers::MOST_AXES;

impl Shaping<'_, '_, '_> {
    pub(super) fn moved(&self) -> Shaped {
        let form = self.input(0);
        let alone = |form: Form| (form, None);
        match self.node.op {
            "Flatten" => alone(self.flattened(form)),
            "Reshape" => match self.extents("shape", 1).or_else(|| self.declared.clone()) {
                Some(shape) => alone(reshaped(form, &shape, self.keeps_zeros())),
                None => alone(Form::new(None, self.in_whatever_shape(form))),
            },
            "Squeeze" => alone(self.squeezed(form)),
            "Unsqueeze" => alone(self.unsqueezed(form)),
            "Transpose" => alone(transposed(form, integers(self.node, "perm"))),
            "ConstantOfShape" => alone(self.extents("shape", 0).map_or(self.of_length(0), |shape| of_counts(&shape))),
            "Range" => alone(self.counted_up()),
            "Expand" => match self.extents("shape", 1) {
                Some(shape) => combined(&[form, &of_counts(&shape)]),
                None => alone(if form.items == Items::Nowhere { self.of_length(1) } else { Form::UNKNOWN }),
            },
            _ => self.repeated(form),
        }
    }

    /// The first numbers of a value stay those of the first item.
    fn in_whatever_shape(&self, form: &Form) -> Items {
        match (form.items, Apart::of(form).and_then(|apart| apart.ahead)) {
            (Items::Nowhere, _) => self.of_length(1).items,
            (_, Some(1)) => Items::Within(Merged { from: 0, to: MOST_AXES, outer: Some(1), inner: None }),
            (_, _) => Items::Unknown,
        }
    }

    /// Of a value that is the same for all items, but for a length.
    fn of_length(&self, place: usize) -> Form {
        let length = self.input(place);
        let depends = length.items != Items::Nowhere || length.numbers.are_counted();
        if depends { Form::UNKNOWN } else { Form::FIXED }
    }

    /// The numbers of items, or of other places.
    fn counted_up(&self) -> Form {
        let of = |place: usize| self.extents("", place);
        match (of(0).as_deref(), of(1).as_deref(), of(2).as_deref()) {
            (Some([Count::Known(0)]), Some([Count::Items]), Some([Count::Known(1)])) => {
                Form::new(Some(vec![None]), Items::At(0))
            }
            _ if (0..3).any(|place| self.of_length(place) == Form::UNKNOWN) => Form::UNKNOWN,
            _ => Form::new(Some(vec![None]), Items::Nowhere),
        }
    }

    fn keeps_zeros(&self) -> bool {
        super::integer(self.node, "allowzero").is_some_and(|flag| flag != 0)
    }

    /// Several times the same.
    fn repeated(&self, form: &Form) -> Shaped {
        let repeats = self.extents("repeats", 1);
        let stays = |axis: usize| repeats.as_ref().and_then(|repeats| repeats.get(axis)) == Some(&Count::Known(1));
        match (form.items, &repeats) {
            (Items::Nowhere, Some(repeats)) => {
                let counts: Vec<Count> = repeats
                    .iter()
                    .enumerate()
                    .map(|(axis, repeat)| match (repeat, form.extent(axis)) {
                        (Count::Items, Some(1)) => Count::Items,
                        (Count::Items | Count::Many, _) => Count::Many,
                        (Count::Known(_) | Count::Other, _) => Count::Other,
                    })
                    .collect();
                (of_counts(&counts), None)
            }
            (Items::Nowhere, None) => (self.of_length(1), None),
            (Items::At(items), _) if stays(items) => (form.resized(None, None), None),
            (Items::Within(merged), _) if (merged.from..merged.to).all(stays) => (form.resized(None, None), None),
            (Items::At(_) | Items::Within(_) | Items::Unknown, _) => (Form::UNKNOWN, Some(MAY_CHOOSE)),
        }
    }

    /// Two axes: those in front of one, and it with those behind it.
    fn flattened(&self, form: &Form) -> Form {
        let axis = self.axis(1);
        let Some(place) = form.place(axis) else { return Form::new(Some(vec![None; 2]), unless_fixed(form)) };
        if form.extents.is_none() {
            // Of unknown axes the first ones are together, and all others.
            let items = match form.items {
                Items::At(0) if place == 1 => Items::At(0),
                Items::At(items) if items < place => within(0, None, None),
                Items::At(_) => within(1, None, None),
                Items::Within(merged) if merged.to <= place => within(0, None, None),
                Items::Within(merged) if merged.from >= place => within(1, None, None),
                Items::Within(_) | Items::Unknown => Items::Unknown,
                Items::Nowhere => Items::Nowhere,
            };
            return Form::new(Some(vec![None; 2]), items);
        }
        let counts = counts_of(form);
        let (front, back) = counts.split_at(place.min(counts.len()));
        let joined = |counts: &[Count]| match counts {
            [only] => *only,
            counts => product(counts).map_or(Count::Other, Count::Known),
        };
        reshaped(form, &[joined(front), joined(back)], true)
    }

    fn squeezed(&self, form: &Form) -> Form {
        let given = self.longs("axes", 1).filter(|axes| !axes.is_empty());
        let has_axes =
            self.node.attribute("axes").is_some() || self.node.inputs.get(1).is_some_and(|axes| !axes.is_empty());
        let places: Option<Vec<usize>> = match (given, &form.extents) {
            (Some(axes), _) => axes.iter().map(|&axis| form.place(axis)).collect(),
            // All of extent 1; the number of items is no extent that the file knows, or 1 always.
            (None, Some(extents)) if !has_axes => {
                Some((0..extents.len()).filter(|&place| extents[place] == Some(1)).collect())
            }
            // Some of those behind the items, of a value that has several.
            (None, _) => None,
        };
        match places {
            Some(places) => form.without(&places),
            None => Form::new(None, if form.items == Items::At(0) { form.items } else { unless_fixed(form) }),
        }
    }

    fn unsqueezed(&self, form: &Form) -> Form {
        let Some(axes) = self.longs("axes", 1) else { return Form::new(None, self.in_whatever_shape(form)) };
        let rank = form.rank().map(|rank| rank + axes.len());
        let places: Option<Vec<usize>> = axes.iter().map(|&axis| place_of(axis, rank)).collect();
        match (places, form.items) {
            (Some(places), _) => form.with_axes(places),
            // The last of an unknown number of axes: those of items come before.
            (None, Items::At(0)) if axes == [-1] => form.with(None),
            (None, _) => Form::new(None, unless_fixed(form)),
        }
    }
}

fn unless_fixed(form: &Form) -> Items {
    if form.items == Items::Nowhere { Items::Nowhere } else { Items::Unknown }
}

fn within(place: usize, outer: Option<i64>, inner: Option<i64>) -> Items {
    Items::Within(Merged { from: place, to: place + 1, outer, inner })
}

/// A value that is the same for all items, with as many places as these count.
fn of_counts(counts: &[Count]) -> Form {
    let extents = counts.iter().map(|count| match count {
        Count::Known(extent @ 1..) => Some(*extent),
        Count::Known(_) | Count::Other | Count::Items | Count::Many => None,
    });
    let depends = |count: &Count| matches!(count, Count::Items | Count::Many);
    let mut places = (0..counts.len()).filter(|&place| depends(&counts[place]));
    let items = match (places.next(), places.next()) {
        (None, _) => Items::Nowhere,
        (Some(place), None) if counts[place] == Count::Items => Items::At(place),
        (Some(place), None) => within(place, None, None),
        (Some(_), Some(_)) => Items::Unknown,
    };
    Form::new(Some(extents.collect()), items)
}

/// Extents of a value, that of the items as such.
fn counts_of(form: &Form) -> Vec<Count> {
    let extents = form.extents.as_deref().unwrap_or_default().iter().enumerate();
    let count = |(place, extent): (usize, &Option<i64>)| match extent {
        _ if form.items == Items::At(place) => Count::Items,
        Some(extent) => Count::Known(*extent),
        None => Count::Other,
    };
    extents.map(count).collect()
}

/// With another order of the axes; without one, that turned round.
pub(super) fn transposed(form: &Form, order: Option<Vec<i64>>) -> Form {
    let order = match (order.filter(|order| !order.is_empty()), form.rank()) {
        (Some(order), _) => order.into_iter().map(|axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect(),
        (None, Some(rank)) => (0..rank).rev().collect::<Vec<_>>(),
        (None, None) => return Form::new(None, unless_fixed(form)),
    };
    let extents = form.extents.as_ref().map(|_| order.iter().map(|&place| form.extent(place)).collect());
    let items = match form.items {
        Items::At(items) => order.iter().position(|&place| place == items).map_or(Items::Unknown, Items::At),
        Items::Within(merged) => {
            let places: Vec<usize> = (0..order.len()).filter(|&place| merged.covers(order[place])).collect();
            match places.as_slice() {
                [first, .., last] | [first @ last] => {
                    let stays = last - first + 1 == merged.to - merged.from && order[*first..=*last].is_sorted();
                    let known = |places: Option<i64>| places.filter(|_| stays);
                    let (outer, inner) = (known(merged.outer), known(merged.inner));
                    Items::Within(Merged { from: *first, to: last + 1, outer, inner })
                }
                [] => Items::Unknown,
            }
        }
        other @ (Items::Nowhere | Items::Unknown) => other,
    };
    Form::new(extents, items)
}

/// Places in front of and behind each item, and of those that are known how many at least are whole axes.
struct Apart {
    ahead: Option<i64>,
    behind: Option<i64>,
    known_ahead: i64,
    known_behind: i64,
}

impl Apart {
    fn of(form: &Form) -> Option<Self> {
        let merged = match form.items {
            Items::At(items) => Merged { from: items, to: items + 1, outer: Some(1), inner: Some(1) },
            Items::Within(merged) => merged,
            Items::Nowhere | Items::Unknown => return None,
        };
        let counts = counts_of(form);
        let (front, back) = match form.extents.is_some() {
            true => (counts.get(..merged.from)?, Some(counts.get(merged.to..)?)),
            false => (&[Count::Other; 1][..merged.from.min(1)], None),
        };
        let ahead = product(front).and_then(|front| front.checked_mul(merged.outer?));
        let behind = back.and_then(product).and_then(|back| back.checked_mul(merged.inner?));
        let known_ahead = ahead.unwrap_or_else(|| known(front.iter()));
        let known_behind = behind.unwrap_or_else(|| known(back.unwrap_or_default().iter().rev()));
        Some(Self { ahead, behind, known_ahead, known_behind })
    }
}

/// Product of counts up to the first that is not known.
fn known<'c>(counts: impl Iterator<Item = &'c Count>) -> i64 {
    let mut all = 1i64;
    for count in counts {
        let Count::Known(count) = count else { break };
        let Some(next) = all.checked_mul(*count) else { break };
        all = next;
    }
    all
}

/// Product of counts that are all known.
fn product(counts: &[Count]) -> Option<i64> {
    counts.iter().try_fold(1i64, |all, count| match count {
        Count::Known(count) => all.checked_mul(*count),
        Count::Other | Count::Items | Count::Many => None,
    })
}

/// With other extents in the same order: 0 for the one that was there, -1 for what is left.
fn reshaped(form: &Form, shape: &[Count], keeps_zeros: bool) -> Form {
    let before = counts_of(form);
    let counts: Vec<Count> = shape
        .iter()
        .enumerate()
        .map(|(place, count)| match count {
            Count::Known(0) if form.items == Items::At(place) && !keeps_zeros => Count::Items,
            Count::Known(0) if !keeps_zeros => before.get(place).copied().unwrap_or(Count::Other),
            Count::Known(..0) => Count::Other,
            count @ (Count::Known(_) | Count::Items | Count::Many | Count::Other) => *count,
        })
        .collect();
    let extents = Some(of_counts(&counts).extents.unwrap_or_default());
    let Some(apart) = Apart::of(form) else {
        return match form.items {
            Items::Nowhere => of_counts(&counts),
            Items::At(_) | Items::Within(_) | Items::Unknown => Form::new(extents, Items::Unknown),
        };
    };
    if before.contains(&Count::Known(0)) || counts.contains(&Count::Known(0)) {
        return Form::new(extents, Items::Unknown);
    }
    let ahead = |place: usize| product(&counts[..place]);
    let behind = |place: usize| product(&counts[place + 1..]);
    let is_number = |count: Count| match (count, form.items) {
        (Count::Items, _) => true,
        (Count::Known(count), Items::At(items)) => form.extent(items) == Some(count),
        (Count::Known(_) | Count::Other | Count::Many, _) => false,
    };
    let is_whole = |place: &usize| {
        let (front, back) = (ahead(*place), behind(*place));
        let fits = |own: Option<i64>, other: Option<i64>| own.is_some() && own == other;
        let (front, back) = (fits(apart.ahead, front), fits(apart.behind, back));
        (front && back) || (is_number(counts[*place]) && (front || back))
    };
    let items = (0..counts.len()).find(is_whole).map(Items::At);
    Form::new(extents, items.unwrap_or_else(|| spread(&counts, &apart)))
}

/// The axes in which items are where none is theirs alone.
fn spread(counts: &[Count], apart: &Apart) -> Items {
    let ahead = |place: usize| product(&counts[..place]);
    let behind = |place: usize| product(&counts[place..]);
    let divides = |part: Option<i64>, all: i64| part.filter(|&part| part > 0 && all % part == 0);
    let first = (0..counts.len()).rev().find_map(|place| Some((place, divides(ahead(place), apart.known_ahead)?)));
    let last = (1..=counts.len()).find_map(|place| Some((place, divides(behind(place), apart.known_behind)?)));
    match (first, last) {
        (Some((from, front)), Some((to, back))) if from < to => {
            let outer = apart.ahead.map(|ahead| ahead / front);
            let inner = apart.behind.map(|behind| behind / back);
            Items::Within(Merged { from, to, outer, inner })
        }
        (_, _) => Items::Unknown,
    }
}
