//! How operators change the shape of values, and where items of a request meet each other on the way.
//!
//! Operators that are not named here make values of unknown shape, whose items are anywhere, and may compute items together. It must
//! not know what numbers are.

mod choices;
mod kinds;
mod moves;
mod places;
mod products;
mod windows;

use super::attributes::{integer, integers};
use super::axes::{Along, Mixes};
use super::counts::Counting;
use super::forms::{Form, Items, Meeting, broadcast};
use super::numbers::Count;
use super::producers::{MOST_AXES, Producers};
use super::ties::{Tied, stronger};
use crate::neural::onnx_view::NodeView;
use kinds::{Kind, kind};

/// How items meet in an operator that combines numbers of equal places.
const PAIRS: Tied = Tied::certain("which combines items with each other");
/// How they meet in one that takes some of them.
const CHOICE: Tied = Tied::certain("which chooses among the items of a request");
/// In one that may.
const MAY_CHOOSE: Tied = Tied::possible("which may choose among the items of a request");
/// In one that combines values whose items are in places that the file does not tell.
const MAY_PAIR: Tied = Tied::possible("which may combine items with each other");
/// In one of which nothing is known.
const UNTOLD: Tied = Tied::possible("of which it cannot be told whether it computes each item of a request alone");

/// One operator with the forms of what it takes.
pub(super) struct Shaping<'s, 'v, 'a> {
    /// The operator.
    pub(super) node: &'v NodeView<'a>,
    /// Forms of its inputs.
    pub(super) inputs: &'s [&'s Form],
    /// What it computes along.
    pub(super) along: &'s Along,
    /// Constants.
    pub(super) producers: &'s Producers<'v, 'a>,
    /// What the file says of the shape of what it makes.
    pub(super) declared: Option<Vec<Count>>,
}

/// What comes out: the form, and how items met.
type Shaped = (Form, Option<Tied>);

impl Shaping<'_, '_, '_> {
    /// Output number `index`.
    pub(super) fn output(&self, index: usize) -> Shaped {
        let first = self.input(0);
        match kind(self.node) {
            // Computed from extents alone.
            Kind::Extents => (self.listed(), None),
            // Scale and zero point are those of the whole request.
            Kind::Scaling if index > 0 => (Form::FIXED, None),
            Kind::Scaling => (Form::new(first.extents.clone(), first.items), None),
            Kind::Pairs => combined(self.inputs),
            Kind::QuantizedPairs => combined(&[self.input(0), self.input(3)]),
            // Means and deviations beside what is normalised.
            Kind::Single if index > 0 => (Form::new(None, first.items), self.single().1),
            Kind::Single => self.single(),
            // Where the largest numbers are, counted through all items.
            Kind::Places if index > 0 => (Form::UNKNOWN, self.untold()),
            Kind::Places => self.over_places(),
            Kind::Products => self.products(),
            Kind::Recurrent => self.of_recurrent(index),
            Kind::Classifier => self.of_classifier(index),
            Kind::ItemsFirst => self.items_first(index),
            Kind::Choices => self.choices(),
            Kind::Reductions => (self.reduced(), None),
            Kind::Moves => self.moved(),
            Kind::Unknown => self.unknown(),
        }
    }

    fn input(&self, place: usize) -> &Form {
        self.inputs.get(place).copied().unwrap_or(&Form::FIXED)
    }

    fn axis(&self, default: i64) -> i64 {
        integer(self.node, "axis").unwrap_or(default)
    }

    /// Whether all inputs are the same for all items.
    fn is_fixed(&self) -> bool {
        self.inputs.iter().all(|form| form.items == Items::Nowhere)
    }

    /// Whole numbers of an attribute, or of an input that is the same in each run.
    fn longs(&self, attribute: &str, place: usize) -> Option<Vec<i64>> {
        self.counting().longs(attribute, place).filter(|list| list.len() <= MOST_AXES)
    }

    fn counting(&self) -> Counting<'_, '_, '_> {
        Counting { node: self.node, inputs: self.inputs, producers: self.producers }
    }

    /// Extents of an attribute, or of an input that the network computes from extents, or has.
    fn extents(&self, attribute: &str, place: usize) -> Option<Vec<Count>> {
        let given = integers(self.node, attribute).map(|list| list.into_iter().map(Count::Known).collect());
        given.or_else(|| self.counting().input(place)).filter(|list: &Vec<Count>| list.len() <= MOST_AXES)
    }

    /// Extents, or the numbers of a constant: a list of them, or one alone.
    fn listed(&self) -> Form {
        let is_one = matches!(self.node.op, "Size")
            || ["value_float", "value_int"].iter().any(|name| self.node.attribute(name).is_some());
        let count = ["value_floats", "value_ints"].iter().find_map(|name| self.node.attribute(name));
        let count = count.map(|list| list.floats.len().max(list.integers.len()));
        let is_part = ["start", "end"].iter().any(|name| self.node.attribute(name).is_some());
        let extent = count.or_else(|| self.input(0).rank().filter(|_| self.node.op == "Shape" && !is_part));
        let extents = if is_one { vec![] } else { vec![extent.and_then(|extent| i64::try_from(extent).ok())] };
        Form::new(Some(extents), Items::Nowhere)
    }

    /// How items meet in an operator of which nothing more is known.
    fn untold(&self) -> Option<Tied> {
        (!self.is_fixed()).then_some(UNTOLD)
    }

    fn unknown(&self) -> Shaped {
        let takes_graphs = self.node.attributes.iter().any(|attribute| !attribute.graphs.is_empty());
        (Form::UNKNOWN, if takes_graphs { None } else { self.untold() })
    }

    /// Each number of the first input for itself, with others that are the same for all items.
    fn single(&self) -> Shaped {
        let first = self.input(0);
        let others = self.inputs.iter().skip(1).any(|form| form.items != Items::Nowhere);
        (first.with(first.extents.clone()), others.then_some(MAY_PAIR))
    }

    /// Operators that compute each place of the first axis alone, and keep it.
    fn items_first(&self, index: usize) -> Shaped {
        // States beside the first output have items elsewhere.
        if index > 0 && !self.is_fixed() {
            return (Form::UNKNOWN, Some(UNTOLD));
        }
        let is_first = |form: &&Form| matches!(form.items, Items::Nowhere | Items::At(0));
        match (self.is_fixed(), self.inputs.iter().all(is_first)) {
            (true, _) => (Form::FIXED, None),
            (false, true) => (Form::new(None, Items::At(0)), None),
            (false, false) => (Form::UNKNOWN, Some(UNTOLD)),
        }
    }

    /// Steps, directions, items, numbers; or items first.
    fn of_recurrent(&self, index: usize) -> Shaped {
        let steps_first = integer(self.node, "layout").unwrap_or(0) == 0;
        let both = self.node.attribute("direction").and_then(|direction| direction.text) == Some(b"bidirectional");
        let (directions, hidden) = (Some(if both { 2 } else { 1 }), integer(self.node, "hidden_size"));
        let [first, second] = [0, 1].map(|place| self.input(0).extent(place));
        let (extents, items, given) = match (index, steps_first) {
            (0, true) => (vec![first, directions, second, hidden], 2, 1),
            (0, false) => (vec![first, second, directions, hidden], 0, 0),
            (_, true) => (vec![directions, second, hidden], 1, 1),
            (_, false) => (vec![first, directions, hidden], 0, 0),
        };
        let moved = match self.input(0).items {
            Items::At(place) if place == given => Items::At(items),
            Items::Within(merged) if (merged.from, merged.to) == (given, given + 1) => {
                Items::Within(super::forms::Merged { from: items, to: items + 1, ..merged })
            }
            Items::Nowhere => Items::Nowhere,
            Items::At(_) | Items::Within(_) | Items::Unknown => Items::Unknown,
        };
        // Lengths of the items, and the states that they begin with.
        let begin = |place: usize| if place == 4 { Items::At(0) } else { Items::At(given) };
        let fits = |(place, form): (usize, &&Form)| form.items == Items::Nowhere || form.items == begin(place);
        let are_own = self.inputs.iter().enumerate().skip(1).all(fits);
        let met = (!are_own || moved == Items::Unknown).then_some(MAY_PAIR);
        (Form::new(Some(extents), moved), met)
    }

    /// Classes first, then a score for each.
    fn of_classifier(&self, index: usize) -> Shaped {
        let form = self.input(0);
        let (items, met) = match form.items {
            Items::At(0) | Items::Nowhere => (form.items, None),
            Items::At(_) | Items::Within(_) | Items::Unknown => (Items::Unknown, Some(UNTOLD)),
        };
        let classes = super::trees::classes(self.node).and_then(|classes| i64::try_from(classes).ok());
        let extents = if index == 0 { vec![form.extent(0)] } else { vec![form.extent(0), classes] };
        (Form::new(Some(extents), items), met)
    }

    /// One number for each place of the axes that are left.
    fn reduced(&self) -> Form {
        let form = self.input(0);
        let keeps = integer(self.node, "keepdims").unwrap_or(1) != 0;
        let places: Option<Vec<usize>> = match self.along {
            Along::Nothing => return form.with(form.extents.clone()),
            Along::All => form.rank().map(|rank| (0..rank).collect()),
            Along::Axes(axes) => axes.iter().map(|&axis| form.place(axis)).collect(),
            Along::From(_) | Along::Unread => None,
        };
        match (places, keeps) {
            (Some(places), true) => {
                let (mut left, gone) = (form.with(form.extents.clone()), form.without(&places).items);
                places.iter().for_each(|&place| left = left.resized(Some(place), Some(1)));
                if gone == Items::Nowhere { left.at(Items::Nowhere) } else { left }
            }
            (Some(places), false) => form.without(&places),
            (None, true) => form.resized(None, None),
            (None, false) if self.along.mixes(form) == Mixes::No && form.items == Items::At(0) => form.with(None),
            (None, false) => Form::UNKNOWN,
        }
    }
}

fn combined(forms: &[&Form]) -> Shaped {
    let (form, meeting) = broadcast(forms);
    (form, reason(meeting))
}

fn reason(meeting: Meeting) -> Option<Tied> {
    match meeting {
        Meeting::Alone => None,
        Meeting::Mixed => Some(PAIRS),
        Meeting::Unknown => Some(MAY_PAIR),
    }
}
