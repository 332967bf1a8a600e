//! From the input of a network to its outputs: what each value on the way holds.
//!
//! It owns how the readings of a node's inputs become that of its output. It must not know names of operators beyond those
//! that it looks at in pieces.

mod held;
mod inside;
mod pieces;

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use dede_model::backend::OutputActivation::{Heads, LogSoftmax, Logits, Sigmoid, Softmax};

use super::axes::Along;
use super::bends::bends;
use super::counts::Counting;
use super::facts::{Fact, Held, Part};
use super::forms::{Form, Items};
use super::functions::Functions;
use super::interval::Limits;
use super::limits;
use super::numbers::Count;
use super::operators::{Codes, Operator, codes, operator};
use super::origin::Weights;
use super::origin::{Maker, Origin};
use super::producers::{Producers, Scale, taken};
use super::scales;
use super::shapes::Shaping;
use super::signs::never_negative;
use super::ties::{Tie, Tied, mixing, stronger, unsteady};
use super::weights::Ranges;
use super::written_out::{Quotient, Sum, log_softmax_sum, normalized};
use super::{beside, classes, means};
use crate::neural::onnx_view::{Dimension, FunctionView, GraphView, NodeView, ValueView};
use inside::Inside;
use pieces::pieces_of;

/// Nodes, constants and operators that are read of graphs inside of operators, at most.
const MOST_INSIDE: usize = 1 << 18;
/// What is known of an operator of another kind.
const FOREIGN: Tied = Tied::possible("of which it cannot be told whether it computes each item of a request alone");
/// How items meet where it is computed with how many there are.
const NUMBER: Tied = Tied::possible("which computes with the number of items of a request");
/// Outputs of an operator after which the others are like the last of them.
const DISTINCT: usize = 3;
/// Outputs of an operator with a graph inside, each of which is another. Of more than these nothing is known.
const MOST_DISTINCT: usize = 256;

/// The values of a graph, each looked at once, those that make it before it.
pub(super) struct Reader<'v, 'a> {
    opset: i64,
    producers: Producers<'v, 'a>,
    ranges: Ranges<'v>,
    values: HashMap<&'v str, &'v ValueView<'a>>,
    /// Name of the number of items, where the file gives it one.
    items: Option<&'v str>,
    functions: Rc<Functions<'v, 'a>>,
    /// How much more may be read of graphs inside of operators.
    left: Rc<Cell<usize>>,
    /// Whether this is an operator that the file defines, whose attributes may be those of the node that calls it.
    is_function: bool,
    /// In how many operators it is.
    depth: usize,
    known: HashMap<&'v str, Fact<'v, 'a>>,
}

/// An output of a node, with what is known of all that it takes.
struct Call<'r, 'v, 'a> {
    node: &'v NodeView<'a>,
    kind: Operator,
    inputs: Vec<&'r Fact<'v, 'a>>,
    along: Along,
    /// Shape of what it computes along its axes.
    form: &'r Form,
    /// What it is where it is a product or quotient.
    quotient: Option<Quotient<'v, 'a>>,
    /// What it takes from numbers where that leaves the logarithms of their shares.
    log_sum: Option<Sum<'v, 'a>>,
    /// What it weighs with, where what it weighs is not free.
    weights: Option<Weights>,
    /// The part of a mean that it makes.
    part: Option<Part>,
}

impl<'v, 'a> Call<'_, 'v, 'a> {
    /// The sum in which it makes the shares of numbers, or their logarithms.
    fn sum(&self) -> Option<Sum<'v, 'a>> {
        match self.quotient {
            Some(Quotient::ShareOf(_, sum)) => Some(sum),
            Some(Quotient::Sigmoid | Quotient::WeightedShare(_)) | None => self.log_sum,
        }
    }

    /// The axes over which it takes means, or the largest.
    fn gathers(&self) -> Along {
        match self.node.op {
            "Mean" | "Max" => Along::Nothing,
            op if op.contains("Pool") => Along::From(2),
            _ => self.along.clone(),
        }
    }
}

impl<'v, 'a> Reader<'v, 'a> {
    /// Reads all values. `opset` is the version of the standard operator set.
    pub(super) fn of(graph: &'v GraphView<'a>, functions: &'v [FunctionView<'a>], opset: i64) -> Self {
        let functions = Rc::new(Functions::of(functions));
        let mut reader = Self::before(graph, functions, opset, Rc::new(Cell::new(MOST_INSIDE)));
        for input in &graph.inputs {
            reader.known.insert(input.name, Fact { form: Form::of_input(input), ..Fact::UNKNOWN });
        }
        reader.read(graph);
        reader
    }

    /// Before anything is read.
    fn before(graph: &'v GraphView<'a>, functions: Rc<Functions<'v, 'a>>, opset: i64, left: Rc<Cell<usize>>) -> Self {
        let producers = Producers::of(graph, Rc::clone(&functions));
        let values = graph.inputs.iter().chain(&graph.outputs).chain(&graph.values);
        let values = values.map(|value| (value.name, value)).collect();
        let asked = graph.inputs.iter().find(|input| !producers.is_constant(input.name));
        let items = asked.and_then(|input| match input.dims.as_deref()?.first()? {
            Dimension::Symbolic(name) if !name.is_empty() => Some(*name),
            Dimension::Symbolic(_) | Dimension::Fixed(_) => None,
        });
        let (ranges, known) = (Ranges::default(), HashMap::new());
        Self { opset, producers, ranges, values, items, functions, left, is_function: false, depth: 0, known }
    }

    /// Reads what the nodes of a graph make, whose inputs are known.
    fn read(&mut self, graph: &'v GraphView<'a>) {
        for tensor in &graph.initializers {
            self.known.insert(tensor.name, Fact { form: Form::of_constant(tensor), ..Fact::CONSTANT });
        }
        for node in self.producers.in_order() {
            let inside = self.inside(node);
            let distinct = if inside.is_some() { MOST_DISTINCT } else { DISTINCT };
            let of = |index| self.of_node(node, index, inside.as_ref());
            let facts: Vec<_> = (0..node.outputs.len().min(distinct)).map(of).collect();
            for (index, &output) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
                let last = if inside.is_some() { None } else { facts.last() };
                let Some(fact) = facts.get(index).or(last) else { break };
                let form = fact.form.clone().or_declared(self.values.get(output).copied(), self.items);
                self.known.insert(output, Fact { form, ..fact.clone() });
            }
        }
    }

    /// What is known of a value.
    pub(super) fn fact(&self, value: &str) -> &Fact<'v, 'a> {
        match self.known.get(value) {
            _ if value.is_empty() => &Fact::CONSTANT,
            Some(known) => known,
            None => &Fact::UNKNOWN,
        }
    }

    fn of_node(&self, node: &'v NodeView<'a>, index: usize, inside: Option<&Inside>) -> Fact<'v, 'a> {
        let producers = &self.producers;
        let inputs: Vec<_> = node.inputs.iter().map(|input| self.fact(input)).collect();
        let kind = operator(node, index, producers);
        let along = Along::of(node, self.opset, producers);
        let (form, met) = match inside {
            None => self.form(node, index, &inputs, &along),
            Some(inside) => (inside.output(index).form.clone(), None),
        };
        let quotient = if kind == Operator::Quotient { normalized(producers, node) } else { None };
        // Numbers below 0 have no shares.
        let quotient = quotient.filter(|quotient| match quotient {
            Quotient::WeightedShare(above) => self.fact(above).never_negative,
            Quotient::Sigmoid | Quotient::ShareOf(..) => true,
        });
        let quotient = quotient.or_else(|| self.share_in_pieces(node).map(Quotient::WeightedShare));
        let is_difference = kind == Operator::Affine && node.op == "Sub";
        let log_sum = if is_difference { log_softmax_sum(producers, node) } else { None };
        let origins: Vec<Origin> = inputs.iter().map(|fact| fact.origin).collect();
        let is_weighed = kind == Operator::Weighting && Origin::combined(origins.iter().copied()) != Origin::Free;
        let weights = is_weighed.then(|| self.ranges.weights(node, &inputs, producers));
        let part = means::made(node, &inputs, producers);
        let worked_on = worked_on(kind, &inputs, &form);
        let crossing = inside.map(|inside| inside.output(index));
        let call = Call { node, kind, form: worked_on, inputs, along, quotient, log_sum, weights, part };
        let held = match crossing {
            Some(made) if made.is_label => Held::Label,
            Some(_) | None => self.held(&call),
        };
        let (origin, beside, limits) = match crossing {
            None => self.source(&call, index, &held, &origins),
            Some(made) => (made.origin_of_chosen(self.origin_of_taken(node)), made.beside, made.limits),
        };
        let pieces = crossing.map_or_else(|| pieces_of(&call), |made| made.pieces);
        let bends = crossing.is_some() || bends(node, kind, &call.inputs, producers);
        let is_bent = bends || call.inputs.iter().any(|fact| fact.is_bent);
        let (is_coded, scale) = match crossing {
            None => self.scale(&call, index),
            Some(made) => (made.is_coded, None),
        };
        let never_negative = match crossing {
            None => never_negative(node, &held, &call.inputs, producers) || self.keeps_sign(&call),
            Some(made) => made.never_negative,
        };
        let along = call.sum().map_or(call.along.clone(), |sum| Along::of(sum.node, self.opset, producers));
        let classes = match call.sum() {
            Some(_) => along,
            None => classes::made(node, kind, &call.inputs, &along, &form, producers),
        };
        let (tie, part, is_rounded) = (self.tie(&call, met, inside), call.part, is_rounded(&call));
        Fact {
            held,
            origin,
            beside,
            limits,
            pieces,
            is_bent,
            form,
            is_coded,
            scale,
            is_rounded,
            classes,
            part,
            never_negative,
            tie,
        }
    }

    /// What numbers come from, what others beside them do, and between which they are.
    fn source(
        &self,
        call: &Call<'_, 'v, 'a>,
        index: usize,
        held: &Held<'v, 'a>,
        origins: &[Origin],
    ) -> (Origin, Origin, Limits) {
        let limits = limits::made(call.node, held, &call.inputs, &self.producers);
        let beside = beside::made(call.node, call.kind, &call.inputs);
        let own = self.origin(call, index, held, origins);
        // What is chosen of several may be what shows most of them.
        let own = if beside::is_choice(call.node) { own.or(beside) } else { own };
        let is_gate = own == Origin::Free && limits.are_of_probabilities();
        (if is_gate { Origin::Gate } else { own }, beside, limits)
    }

    /// What all that a node takes comes from, also what the graphs inside it do.
    fn origin_of_taken(&self, node: &'v NodeView<'a>) -> Origin {
        let known = taken(node).into_iter().filter_map(|value| self.known.get(value));
        Origin::combined(known.map(|fact| fact.origin))
    }

    fn origin(&self, call: &Call<'_, 'v, 'a>, index: usize, held: &Held<'v, 'a>, origins: &[Origin]) -> Origin {
        let of_inputs = || {
            let takes_no_negative = call.inputs.first().is_some_and(|fact| fact.never_negative);
            let (node, kind, weights) = (call.node, call.kind, call.weights);
            let is_of_constant = origins.first() == Some(&Origin::Constant)
                && Origin::combined(origins.iter().copied()) != Origin::Constant;
            let table = node.inputs.first().filter(|_| is_of_constant && beside::is_choice(node));
            let takes_shares = table.is_some_and(|table| self.ranges.holds_shares(table, &self.producers));
            let producers = &self.producers;
            Origin::of(&Maker { node, index, kind, weights, takes_no_negative, takes_shares, producers }, origins)
        };
        match held {
            Held::Found(Softmax | LogSoftmax | Heads) => Origin::Shares,
            Held::Found(Sigmoid) if call.kind == Operator::Quotient => Origin::Gate,
            Held::Found(Sigmoid | Logits) | Held::Label | Held::Unclear(_) => match is_share(call) {
                true => Origin::Shares,
                false => of_inputs(),
            },
        }
    }

    /// Whether what a node makes is whole numbers that stand for others, and by which scale.
    fn scale(&self, call: &Call<'_, 'v, 'a>, index: usize) -> (bool, Option<Scale<'a>>) {
        let is_coded = match codes(call.node, index, call.kind, &self.producers) {
            Codes::Made => true,
            Codes::Kept => call.inputs.iter().any(|fact| fact.is_coded),
            Codes::Ended => false,
        };
        (is_coded, scales::made(call.node, &call.inputs, &self.producers).filter(|_| is_coded))
    }

    /// Whether a sum of weighed numbers has none below 0.
    fn keeps_sign(&self, call: &Call<'_, 'v, 'a>) -> bool {
        let keeps = |weights: Weights| self.ranges.keep_sign(call.node, weights, &self.producers);
        let mut weighed = call.inputs.iter().filter(|fact| fact.origin != Origin::Constant);
        call.weights.is_some_and(keeps) && weighed.all(|fact| fact.never_negative)
    }

    /// The shape of an output, and how items met on the way to it.
    fn form(
        &self,
        node: &'v NodeView<'a>,
        index: usize,
        inputs: &[&Fact<'v, 'a>],
        along: &Along,
    ) -> (Form, Option<Tied>) {
        let forms: Vec<&Form> = inputs.iter().map(|fact| &fact.form).collect();
        let is_fixed = !inputs.is_empty() && forms.iter().all(|form| form.items == Items::Nowhere);
        let declared = node.outputs.get(index).and_then(|output| self.values.get(output).copied());
        let counting = Counting { node, inputs: &forms, producers: &self.producers };
        let (form, met) = match self.producers.constant(node.outputs.get(index).copied().unwrap_or("")) {
            Some(constant) if node.op == "Constant" && self.producers.is_standard(node) => {
                (Form::of_constant(constant), None)
            }
            _ if self.producers.is_foreign(node) => (Form::UNKNOWN, (!is_fixed).then_some(FOREIGN)),
            _ => {
                let counts = declared.and_then(|value| Count::declared(value, self.items));
                let shaping = Shaping { node, inputs: &forms, along, producers: &self.producers, declared: counts };
                shaping.output(index)
            }
        };
        let counted = (counting.takes_counted() && !is_fixed).then_some(NUMBER);
        let is_free = !forms.iter().any(|form| form.numbers.are_counted());
        let form = if is_fixed && is_free { form.at(Items::Nowhere) } else { form };
        let (numbers, dims) = counting.numbers();
        let counted_extents = dims.map(|dims| dims.into_iter().map(|dim| i64::try_from(dim).ok()).collect());
        let form = form.or_declared(declared, self.items).bounded();
        let form = Form { numbers, extents: counted_extents.or(form.extents), ..form };
        (form, stronger(met, counted))
    }

    /// What makes items depend on each other, or on chance, on the way to a node or in it.
    fn tie(&self, call: &Call<'_, 'v, 'a>, met: Option<Tied>, inside: Option<&Inside>) -> Option<Tie<'v, 'a>> {
        let node = call.node;
        let earlier = taken(node).into_iter().filter_map(|input| self.fact(input).tie.as_ref());
        let earlier = earlier.reduce(|one, other| if other.strength > one.strength { other } else { one });
        let is_fixed = call.inputs.iter().all(|fact| fact.form.items == Items::Nowhere);
        let own = match inside {
            Some(inside) => inside
                .tie
                .clone()
                .map(|tied| Tied { what: format!("with an operator inside, {}", tied.what).into(), ..tied }),
            None => {
                let refers = (self.is_function && !is_fixed && inside::refers(node)).then_some(FOREIGN);
                let own = stronger(unsteady(node, self.opset, &self.producers, is_fixed), met);
                stronger(stronger(own, refers), mixing(node, &call.along, call.form))
            }
        };
        match (earlier, own) {
            (Some(earlier), Some(own)) if own.strength <= earlier.strength => Some(earlier.clone()),
            (_, Some(own)) => Some(Tie::of(node, own)),
            (earlier, None) => earlier.cloned(),
        }
    }
}

/// What a node computes along its axes: its first input, or what it makes where that has the same shape and is known better.
fn worked_on<'r>(kind: Operator, inputs: &[&'r Fact<'_, '_>], made: &'r Form) -> &'r Form {
    let keeps_shape = matches!(kind, Operator::Activation(_) | Operator::Normalizing);
    match inputs.first() {
        Some(first) if first.form.extents.is_some() || !keeps_shape => &first.form,
        Some(_) | None => made,
    }
}

/// Whether a node makes shares of a sum, whatever the numbers are.
fn is_share(call: &Call<'_, '_, '_>) -> bool {
    let is_share = matches!(call.quotient, Some(Quotient::ShareOf(..) | Quotient::WeightedShare(_)));
    is_share || matches!(call.kind, Operator::Normalizing | Operator::Activation(Softmax | LogSoftmax))
}

/// Whether what a node makes are whole numbers, or come from such without anything between that makes others of them.
fn is_rounded(call: &Call<'_, '_, '_>) -> bool {
    let op = call.node.op;
    let is_new = is_share(call)
        || call.quotient.is_some()
        || matches!(call.kind, Operator::Activation(_) | Operator::Weighting | Operator::Exponential);
    let makes_whole = op.contains("QuantizeLinear") || op.starts_with("QLinear");
    makes_whole || !is_new && call.inputs.iter().any(|fact| fact.is_rounded)
}
