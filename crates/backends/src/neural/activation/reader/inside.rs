//! Graphs inside of operators: branches, loops, and operators that the file itself defines.
//!
//! They are read as the network is, with what is known of the values that go in. It owns which of these are which inputs of the graph.
//! It must not know what other operators do.

use super::Reader;
use crate::neural::activation::attributes::{integer, integers};
use crate::neural::activation::axes::{Along, Mixes};
use crate::neural::activation::facts::{Fact, Held};
use crate::neural::activation::forms::{Form, Items, place_of};
use crate::neural::activation::interval::Limits;
use crate::neural::activation::origin::Origin;
use crate::neural::activation::pieces::Pieces;
use crate::neural::activation::producers::taken;
use crate::neural::activation::ties::{Tied, stronger};
use crate::neural::onnx_view::{GraphView, NodeView};
use std::rc::Rc;

/// Operators in operators in …; real files use two or three.
const DEEPEST: usize = 32;
/// How often a loop is read until what it makes is what it takes.
const MOST_ROUNDS: usize = 3;
/// How often what is known of one value may change: where it comes from, what is beside it, its limits, and what it is.
const MOST_CHANGES: usize = 16;
/// A graph that is too large.
const TOO_MUCH: Tied = Tied::possible("in graphs that are too large to be looked at");
/// Attributes that change numbers, and not which ones are combined.
const ALONE: [&str; 8] = ["alpha", "beta", "epsilon", "momentum", "to", "saturate", "approximate", "gamma"];

/// What is known of a value that goes into a graph inside of an operator, or comes out of it.
#[derive(Clone, PartialEq)]
pub(super) struct Crossing {
    pub(super) form: Form,
    origin: Origin,
    pub(super) beside: Origin,
    pub(super) limits: Limits,
    pub(super) pieces: Pieces,
    pub(super) never_negative: bool,
    /// Classes, or truth values.
    pub(super) is_label: bool,
    /// Whole numbers that stand for others.
    pub(super) is_coded: bool,
}

impl Crossing {
    /// Of numbers that may be anything, merged probabilities too.
    const UNKNOWN: Self = Self { form: Form::UNKNOWN, origin: Origin::Merged, ..Self::FIXED };
    /// The number of a round, and inputs that are left out.
    const FIXED: Self = Self {
        form: Form::FIXED,
        origin: Origin::Constant,
        beside: Origin::Constant,
        limits: Limits::NONE,
        pieces: Pieces::NONE,
        never_negative: false,
        is_label: false,
        is_coded: false,
    };
    /// Whether a loop goes on.
    const GOING: Self = Self { origin: Origin::Choice, ..Self::FIXED };

    fn of(fact: &Fact<'_, '_>) -> Self {
        Self {
            form: fact.form.clone(),
            origin: fact.origin,
            beside: fact.beside,
            limits: fact.limits,
            pieces: fact.pieces,
            never_negative: fact.never_negative,
            is_label: matches!(fact.held, Held::Label),
            is_coded: fact.is_coded,
        }
    }

    fn shaped(&self, form: Form) -> Self {
        Self { form, ..self.clone() }
    }

    /// What numbers come from that an operator chooses which takes numbers from `taken`.
    pub(super) fn origin_of_chosen(&self, taken: Origin) -> Origin {
        match (self.origin, taken) {
            (Origin::Constant, Origin::Constant) => Origin::Constant,
            (Origin::Constant, _) => Origin::Choice,
            (origin, _) => origin,
        }
    }
}

/// What is known of graphs inside of an operator.
pub(super) struct Inside {
    outputs: Vec<Crossing>,
    /// What makes items depend on each other in them.
    pub(super) tie: Option<Tied>,
}

impl Inside {
    fn unknown(tie: Tied) -> Self {
        Self { outputs: Vec::new(), tie: Some(tie) }
    }

    /// The same where items meet in it: nothing is known of shapes then.
    fn tied(mut self, tie: Tied) -> Self {
        self.outputs.iter_mut().for_each(|made| made.form = Form::UNKNOWN);
        Self { tie: stronger(self.tie, Some(tie)), ..self }
    }

    /// An output of the operator.
    pub(super) fn output(&self, index: usize) -> &Crossing {
        self.outputs.get(index).unwrap_or(&Crossing::UNKNOWN)
    }
}

/// Whether an attribute of a node may be that of the operator that it is part of, and decides what is combined.
pub(super) fn refers(node: &NodeView<'_>) -> bool {
    node.attributes.iter().any(|attribute| {
        let is_empty = attribute.integer.is_none()
            && attribute.float.is_none()
            && attribute.text.is_none()
            && attribute.tensor.is_none()
            && attribute.integers.is_empty()
            && attribute.floats.is_empty()
            && attribute.graphs.is_empty();
        is_empty && attribute.texts == 0 && !ALONE.contains(&attribute.name)
    })
}

impl<'v, 'a> Reader<'v, 'a> {
    /// What is known of the graphs inside of a node, where it has any.
    pub(super) fn inside(&self, node: &'v NodeView<'a>) -> Option<Inside> {
        let inputs: Vec<_> = node.inputs.iter().map(|input| Crossing::of(self.fact(input))).collect();
        if self.producers.is_function(node) {
            let Some(function) = self.functions.called(node) else { return Some(Inside::unknown(super::FOREIGN)) };
            return Some(self.read_inside(node, &function.graph, inputs, true));
        }
        let mut graphs = node.attributes.iter().flat_map(|attribute| &attribute.graphs);
        let first = graphs.next()?;
        let counted = self.is_counted(node);
        let found = match (node.op, graphs.next()) {
            ("If", second) => {
                let one = self.read_inside(node, first, Vec::new(), false);
                let other = second.map(|second| self.read_inside(node, second, Vec::new(), false));
                match other {
                    Some(other) => either(&one, other),
                    None => one,
                }
            }
            ("Loop", None) => self.of_loop(node, first, &inputs),
            ("Scan", None) => self.of_scan(node, first, &inputs),
            (_, None) => {
                // Whatever else it does with its graph, numbers come from what it takes, or from that graph.
                let taken = inputs.iter().map(|input| input.shaped(Form::UNKNOWN));
                let taken = taken.reduce(|one, other| joined(&one, &other)).unwrap_or(Crossing::FIXED);
                self.read_inside(node, first, vec![taken; first.inputs.len()], false).tied(super::FOREIGN)
            }
            (_, Some(_)) => Inside::unknown(super::FOREIGN),
        };
        Some(if counted { found.tied(super::NUMBER) } else { found })
    }

    /// Whether a node with a graph inside takes how many items there are, and a value of items.
    fn is_counted(&self, node: &'v NodeView<'a>) -> bool {
        let taken = taken(node);
        let has = |is: &dyn Fn(&Form) -> bool| taken.iter().any(|value| is(&self.fact(value).form));
        let direct = node.inputs.iter().any(|input| self.fact(input).form.numbers.are_counted());
        direct && has(&|form| form.items != Items::Nowhere)
    }

    /// Reads a graph inside of a node, with what is known of its inputs.
    fn read_inside(
        &self,
        node: &'v NodeView<'a>,
        graph: &'v GraphView<'a>,
        inputs: Vec<Crossing>,
        is_function: bool,
    ) -> Inside {
        let around = if is_function { Vec::new() } else { taken(node) };
        let own = graph.nodes.len() + graph.initializers.len() + graph.values.len();
        let cost = own + around.len() + 1;
        let Some(left) = self.left.get().checked_sub(cost).filter(|_| self.depth < DEEPEST) else {
            return Inside::unknown(TOO_MUCH);
        };
        self.left.set(left);
        let mut inner = Self::before(graph, Rc::clone(&self.functions), self.opset, Rc::clone(&self.left));
        inner.depth = self.depth + 1;
        inner.is_function = is_function || self.is_function;
        inner.items = self.items;
        for value in around {
            inner.producers.adopt(value, &self.producers, value);
            inner.known.extend(self.known.get(value).map(|known| (value, known.clone())));
        }
        for (input, outer) in graph.inputs.iter().zip(node.inputs.iter().filter(|_| is_function)) {
            inner.producers.adopt(input.name, &self.producers, outer);
        }
        let given = inputs.into_iter().chain(std::iter::repeat(Crossing::FIXED));
        for (input, given) in graph.inputs.iter().zip(given) {
            let Crossing { form, origin, beside, limits, pieces, never_negative, is_label, is_coded } = given;
            let held = if is_label { Held::Label } else { Fact::UNKNOWN.held };
            let known = Fact { held, form, origin, beside, limits, pieces, never_negative, is_coded, ..Fact::UNKNOWN };
            inner.known.insert(input.name, known);
        }
        inner.read(graph);
        let facts = || graph.outputs.iter().map(|output| inner.fact(output.name));
        // What ends inside changes nothing.
        let ties = facts().filter_map(|fact| fact.tie.as_ref());
        let tie = ties.map(|tie| Some(Tied { strength: tie.strength, what: tie.cause.to_string().into() }));
        let tie = tie.fold(None, stronger);
        Inside { outputs: facts().map(Crossing::of).collect(), tie }
    }

    /// A loop whose first inputs, after those of the graph alone, are what it made in the round before.
    fn rounds(
        &self,
        node: &'v NodeView<'a>,
        graph: &'v GraphView<'a>,
        (front, mut carried, back): (&[Crossing], Vec<Crossing>, Vec<Crossing>),
        skipped: usize,
    ) -> Inside {
        let mut tie = None;
        // What is known of a carried value changes a few times at most, and may be handed from one to the next.
        for round in 0..=MOST_ROUNDS + MOST_CHANGES * (carried.len() + 1) {
            let given = front.iter().chain(&carried).chain(&back).cloned();
            let mut found = self.read_inside(node, graph, given.collect(), false);
            tie = stronger(tie, found.tie.take());
            let made = found.outputs.iter().skip(skipped);
            let mut both: Vec<Crossing> = carried.iter().zip(made).map(|(given, made)| joined(given, made)).collect();
            if found.outputs.len() < skipped + carried.len() {
                return Inside::unknown(super::FOREIGN);
            }
            // Limits that a round widens are none.
            for (both, _) in both.iter_mut().zip(&carried).filter(|(both, given)| both.limits != given.limits) {
                both.limits = Limits::NONE;
            }
            if tie.is_some() || round + 1 >= MOST_ROUNDS {
                both.iter_mut().for_each(|both| both.form = Form::UNKNOWN);
            }
            if both == carried {
                // Without a round it makes what it takes.
                found.outputs.splice(skipped..skipped + both.len(), both);
                return Inside { tie, ..found };
            }
            carried = both;
        }
        Inside::unknown(super::FOREIGN)
    }

    /// The number of the round and whether it goes on; then what is carried, and what is put below each other.
    fn of_loop(&self, node: &'v NodeView<'a>, graph: &'v GraphView<'a>, inputs: &[Crossing]) -> Inside {
        let carried = inputs.get(2..).unwrap_or_default().to_vec();
        let count = carried.len();
        let mut found = self.rounds(node, graph, (&[Crossing::FIXED, Crossing::GOING], carried, Vec::new()), 1);
        found.outputs = found.outputs.into_iter().skip(1).collect();
        for made in found.outputs.iter_mut().skip(count) {
            made.form = made.form.with_axes(vec![0]).resized(Some(0), None);
        }
        found
    }

    /// What is carried, then what is gone through place by place.
    fn of_scan(&self, node: &'v NodeView<'a>, graph: &'v GraphView<'a>, inputs: &[Crossing]) -> Inside {
        let scanned = integer(node, "num_scan_inputs").and_then(|count| usize::try_from(count).ok());
        let Some(count) = scanned.and_then(|scanned| inputs.len().checked_sub(scanned)).filter(|_| self.opset > 8)
        else {
            return Inside::unknown(super::FOREIGN);
        };
        let along =
            |name: &str, place: usize| integers(node, name).and_then(|axes| axes.get(place).copied()).unwrap_or(0);
        let (carried, gone) = inputs.split_at(count);
        let (mut parts, mut tie) = (Vec::new(), None);
        for (place, whole) in gone.iter().enumerate() {
            let (axis, form) = (along("scan_input_axes", place), &whole.form);
            match (Along::Axes(vec![axis]).mixes(form), form.place(axis)) {
                (Mixes::No, Some(axis)) => parts.push(whole.shaped(form.without(&[axis]))),
                (Mixes::No, None) => parts.push(whole.shaped(Form::new(None, form.items))),
                (Mixes::Yes | Mixes::Unknown, _) => {
                    parts.push(whole.shaped(Form::UNKNOWN));
                    tie = Some(Tied::possible("which may go through the items of a request"));
                }
            }
        }
        let mut found = self.rounds(node, graph, (&[], carried.to_vec(), parts), 0);
        for (place, made) in found.outputs.iter_mut().skip(count).enumerate() {
            let rank = made.form.rank().map(|rank| rank + 1);
            made.form = match place_of(along("scan_output_axes", place), rank) {
                Some(axis) => made.form.with_axes(vec![axis]).resized(Some(axis), None),
                None => Form::UNKNOWN,
            };
        }
        match tie {
            Some(tie) => found.tied(tie),
            None => found,
        }
    }
}

/// What one of two graphs makes.
fn either(one: &Inside, other: Inside) -> Inside {
    let outputs = one.outputs.iter().zip(&other.outputs).map(|(one, other)| joined(one, other)).collect();
    Inside { outputs, tie: stronger(one.tie.clone(), other.tie) }
}

/// What is known of a value that is one or the other.
fn joined(one: &Crossing, other: &Crossing) -> Crossing {
    Crossing {
        form: joined_form(&one.form, &other.form),
        origin: one.origin.or(other.origin),
        beside: one.beside.or(other.beside),
        limits: one.limits.or(other.limits),
        pieces: one.pieces.or(other.pieces),
        never_negative: one.never_negative && other.never_negative,
        is_label: one.is_label || other.is_label,
        is_coded: one.is_coded || other.is_coded,
    }
}

fn joined_form(one: &Form, other: &Form) -> Form {
    let extents = match (&one.extents, &other.extents) {
        (Some(one), Some(other)) if one.len() == other.len() => {
            Some(one.iter().zip(other).map(|(one, other)| one.filter(|_| one == other)).collect())
        }
        (_, _) => None,
    };
    let items = if one.items == other.items { one.items } else { Items::Unknown };
    let numbers = if one.numbers == other.numbers { one.numbers.clone() } else { one.numbers.with(&other.numbers) };
    Form { extents, items, numbers }
}
