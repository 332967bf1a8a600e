//! From the input of a network to its outputs: what each value on the way holds.
//!
//! It owns how the readings of a node's inputs become that of its output. It must not know names of operators beyond those
//! that it looks at in pieces.

mod inside;

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use dede_core::backend::OutputActivation;
use dede_core::backend::OutputActivation::{Heads, LogSoftmax, Logits, Sigmoid, Softmax};

use super::axes::{Along, integer};
use super::counts::{Count, Counting};
use super::facts::{Cause, Fact, Held};
use super::forms::{Form, Items};
use super::operators::{Codes, Operator, codes, is_rectifier, joined, keeps_probabilities, operator};
use super::origin::{Origin, is_mean};
use super::producers::{Producers, taken};
use super::shapes::Shaping;
use super::signs::never_negative;
use super::ties::{mixing, unsteady};
use super::written_out::{Quotient, is_complement, log_softmax_sum, normalized};
use inside::Inside;

use crate::neural::onnx_view::{Dimension, FunctionView, GraphView, NodeView, ValueView};

/// Nodes, constants and operators that are read of graphs inside of operators, at most.
const MOST_INSIDE: usize = 1 << 18;
/// What is known of an operator of another kind.
const FOREIGN: &str = "of which it cannot be told whether it computes each item of a request alone";
/// How items meet where it is computed with how many there are.
const NUMBER: &str = "which computes with the number of items of a request";
/// Outputs of an operator after which the others are like the last of them.
const DISTINCT: usize = 3;

/// The values of a graph, each looked at once, those that make it before it.
pub(super) struct Reader<'v, 'a> {
    opset: i64,
    producers: Producers<'v, 'a>,
    values: HashMap<&'v str, &'v ValueView<'a>>,
    /// Name of the number of items, where the file gives it one.
    items: Option<&'v str>,
    functions: &'v [FunctionView<'a>],
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
}

impl<'v, 'a> Reader<'v, 'a> {
    /// Reads all values. `opset` is the version of the standard operator set.
    pub(super) fn of(graph: &'v GraphView<'a>, functions: &'v [FunctionView<'a>], opset: i64) -> Self {
        let mut reader = Self::before(graph, functions, opset, Rc::new(Cell::new(MOST_INSIDE)));
        for input in &graph.inputs {
            reader.known.insert(input.name, Fact { form: Form::of_input(input), ..Fact::UNKNOWN });
        }
        reader.read(graph);
        reader
    }

    /// Before anything is read.
    fn before(graph: &'v GraphView<'a>, functions: &'v [FunctionView<'a>], opset: i64, left: Rc<Cell<usize>>) -> Self {
        let producers = Producers::of(graph, functions);
        let values = graph.inputs.iter().chain(&graph.outputs).chain(&graph.values);
        let values = values.map(|value| (value.name, value)).collect();
        let asked = graph.inputs.iter().find(|input| !producers.is_constant(input.name));
        let items = asked.and_then(|input| match input.dims.as_deref()?.first()? {
            Dimension::Symbolic(name) if !name.is_empty() => Some(*name),
            Dimension::Symbolic(_) | Dimension::Fixed(_) => None,
        });
        Self { opset, producers, values, items, functions, left, is_function: false, depth: 0, known: HashMap::new() }
    }

    /// Reads what the nodes of a graph make, whose inputs are known.
    fn read(&mut self, graph: &'v GraphView<'a>) {
        for tensor in &graph.initializers {
            self.known.insert(tensor.name, Fact { form: Form::of_constant(tensor), ..Fact::CONSTANT });
        }
        for node in self.producers.in_order() {
            let distinct = node.outputs.len().min(DISTINCT);
            let inside = self.inside(node);
            let of = |index| self.of_node(node, index, inside.as_ref());
            let facts: Vec<_> = (0..distinct).map(of).collect();
            for (index, &output) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
                let Some(fact) = facts.get(index.min(DISTINCT - 1)) else { break };
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
            Some(inside) => (inside.form(index), None),
        };
        let quotient = if kind == Operator::Quotient { normalized(producers, node) } else { None };
        let call = Call { node, kind, form: worked_on(kind, &inputs, &form), inputs, along, quotient };
        let held = self.held(&call);
        let origins: Vec<Origin> = call.inputs.iter().map(|fact| fact.origin).collect();
        let origin = match &held {
            Held::Found(Softmax | LogSoftmax | Heads) => Origin::Shares,
            Held::Found(Sigmoid) if kind == Operator::Quotient => Origin::Gate,
            Held::Found(Sigmoid | Logits) | Held::Label | Held::Unclear(_) => match is_share(&call) {
                true => Origin::Shares,
                false => Origin::of((node, index), kind, &origins, producers),
            },
        };
        let is_coded = match codes(node, index, kind) {
            Codes::Made => true,
            Codes::Kept => call.inputs.iter().any(|fact| fact.is_coded),
            Codes::Ended => false,
        };
        let never_negative = never_negative(node, &held, &call.inputs, producers);
        let tie = self.tie(&call, met, inside);
        Fact { held, origin, form, is_coded, never_negative, tie }
    }

    /// The shape of an output, and how items met on the way to it.
    fn form(
        &self,
        node: &'v NodeView<'a>,
        index: usize,
        inputs: &[&Fact<'v, 'a>],
        along: &Along,
    ) -> (Form, Option<&'static str>) {
        let forms: Vec<&Form> = inputs.iter().map(|fact| &fact.form).collect();
        let is_fixed = !inputs.is_empty() && forms.iter().all(|form| form.items == Items::Nowhere);
        let declared = node.outputs.get(index).and_then(|output| self.values.get(output).copied());
        let counting = Counting { node, inputs: &forms, producers: &self.producers };
        let (form, met) = match self.producers.constant(node.outputs.get(index).copied().unwrap_or("")) {
            Some(constant) if node.op == "Constant" => (Form::of_constant(constant), None),
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
        let form = Form { numbers: counting.numbers(), ..form.or_declared(declared, self.items).bounded() };
        (form, met.or(counted))
    }

    /// What makes items depend on each other, or on chance, on the way to a node or in it.
    fn tie(
        &self,
        call: &Call<'_, 'v, 'a>,
        met: Option<&'static str>,
        inside: Option<&Inside>,
    ) -> Option<Cause<'v, 'a>> {
        let node = call.node;
        if let Some(earlier) = taken(node).into_iter().find_map(|input| self.fact(input).tie.as_ref()) {
            return Some(earlier.clone());
        }
        if let Some(inside) = inside {
            return inside.tie.as_ref().map(|tie| Cause::of(node, format!("with an operator inside, {tie}")));
        }
        let is_fixed = call.inputs.iter().all(|fact| fact.form.items == Items::Nowhere);
        let refers = || (self.is_function && !is_fixed && inside::refers(node)).then_some(FOREIGN);
        let own = unsteady(node, self.opset, &self.producers, is_fixed).or(met).or_else(refers);
        let own = own.map(|what| Cause::of(node, what));
        own.or_else(|| mixing(node, &call.along, call.form).map(|what| Cause::of(node, what)))
    }

    fn held(&self, call: &Call<'_, 'v, 'a>) -> Held<'v, 'a> {
        let node = call.node;
        let unclear = |what: &'static str| Held::Unclear(Cause::of(node, what));
        let problem = || call.along.problem(call.form).map(|problem| Held::Unclear(Cause::of(node, problem)));
        let over_items = || call.along.over_items(call.form).map(|problem| Held::Unclear(Cause::of(node, problem)));
        let first = call.inputs.first().copied().unwrap_or(&Fact::CONSTANT);
        match call.kind {
            Operator::Activation(activation) => problem().unwrap_or(Held::Found(activation)),
            Operator::Label => Held::Label,
            Operator::Passing => first.held.clone(),
            Operator::Choosing => match (&first.held, call.inputs.get(1).map(|chooser| &chooser.held)) {
                // The scores of a table of constants are those of the class that chooses among them.
                (Held::Unclear(_), Some(Held::Label)) if first.origin == Origin::Constant => Held::Label,
                (Held::Unclear(_), _) if first.origin == Origin::Constant => unclear(""),
                (held, _) => held.clone(),
            },
            Operator::Renaming => kept_label(first, || unclear("of what is no class")),
            Operator::Rounding => kept_label(first, || unclear("to whole numbers")),
            Operator::Bounding => match &first.held {
                Held::Label => Held::Label,
                Held::Found(found @ (Softmax | Sigmoid | Heads)) if keeps_probabilities(node, &self.producers) => {
                    Held::Found(*found)
                }
                Held::Found(_) | Held::Unclear(_) => unclear(""),
            },
            Operator::Weighting => self.of_weighted(call),
            Operator::Averaging => over_items().unwrap_or_else(|| self.of_means(call)),
            Operator::Largest => over_items().unwrap_or_else(|| match agreed(&operands(call)) {
                Some(Held::Found(found @ (Sigmoid | Logits))) => Held::Found(*found),
                Some(_) | None => unclear(""),
            }),
            Operator::Affine => self.of_affine(call),
            Operator::Scaled => match first.held.found() {
                Some(Logits) => over_items().unwrap_or(Held::Found(Logits)),
                Some(_) | None => unclear(""),
            },
            Operator::Quotient => self.of_quotient(call),
            Operator::Normalizing => problem().unwrap_or_else(|| match first.never_negative {
                true => Held::Found(Softmax),
                false => unclear(""),
            }),
            Operator::Exponential if first.held.found() == Some(LogSoftmax) => Held::Found(Softmax),
            Operator::Logarithm => match first.held.found() {
                Some(Softmax | Sigmoid | Heads) => Held::Found(LogSoftmax),
                Some(LogSoftmax | Logits) | None => unclear(""),
            },
            Operator::Joining => self.of_heads(call),
            Operator::Exponential | Operator::Other => unclear(""),
        }
    }

    /// Sums of numbers times weights are scores, unless the numbers are probabilities already: then they may be those of merged
    /// classes, of several networks, or of a softmax inside.
    fn of_weighted(&self, call: &Call<'_, 'v, 'a>) -> Held<'v, 'a> {
        let origins: Vec<Origin> = call.inputs.iter().map(|fact| fact.origin).collect();
        let has = |origin: Origin| origins.contains(&origin);
        let means = || !has(Origin::Free) && has(Origin::Gate) && is_mean(call.node, &self.producers);
        match has(Origin::Shares) || has(Origin::Merged) || means() {
            true => Held::Unclear(Cause::of(
                call.node,
                "of probabilities: what it makes may be probabilities (softmax, sigmoid) or scores (logits)",
            )),
            false => Held::Found(Logits),
        }
    }

    fn of_means(&self, call: &Call<'_, 'v, 'a>) -> Held<'v, 'a> {
        match agreed(&operands(call)) {
            Some(Held::Found(found @ (Softmax | Sigmoid | Heads | Logits))) => Held::Found(*found),
            Some(Held::Unclear(_)) if self.averages_rectified(call) => Held::Found(Logits),
            Some(Held::Unclear(_) | Held::Found(LogSoftmax) | Held::Label) | None => {
                Held::Unclear(Cause::of(call.node, ""))
            }
        }
    }

    /// Whether a node is the mean over the places of what a rectifier lets through: how convolutional networks without a
    /// fully connected layer end.
    fn averages_rectified(&self, call: &Call<'_, 'v, 'a>) -> bool {
        let before = call.node.inputs.first().and_then(|input| self.producers.producer(self.producers.same(input)));
        let is_free =
            |node: &NodeView<'_>| node.inputs.first().is_some_and(|input| self.fact(input).origin == Origin::Free);
        call.node.op != "Mean" && before.is_some_and(|node| is_rectifier(node, &self.producers) && is_free(node))
    }

    /// Sums and differences of scores are scores; of anything else they are nothing that has a name.
    fn of_affine(&self, call: &Call<'_, 'v, 'a>) -> Held<'v, 'a> {
        let node = call.node;
        if node.op == "Sub"
            && let Some(reduction) = log_softmax_sum(&self.producers, node)
        {
            return self.of_sum(node, reduction, LogSoftmax);
        }
        match agreed(&operands(call)).and_then(|held| held.found()) {
            Some(Softmax | Sigmoid) if is_complement(&self.producers, node) => Held::Found(Sigmoid),
            Some(Logits) => Held::Found(Logits),
            Some(_) | None => Held::Unclear(Cause::of(node, "")),
        }
    }

    /// What was written out with a sum, unless that goes along other axes than that of the classes.
    fn of_sum(&self, node: &'v NodeView<'a>, sum: &'v NodeView<'a>, found: OutputActivation) -> Held<'v, 'a> {
        let along = Along::of(sum, self.opset, &self.producers);
        let form = sum.inputs.first().map_or(&Form::UNKNOWN, |input| &self.fact(input).form);
        match along.problem(form) {
            _ if along == Along::Nothing => Held::Unclear(Cause::of(node, "")),
            Some(problem) => Held::Unclear(Cause::of(sum, problem)),
            None => Held::Found(found),
        }
    }

    /// A product or quotient: a softmax or sigmoid written out, or scores times one scale for all.
    fn of_quotient(&self, call: &Call<'_, 'v, 'a>) -> Held<'v, 'a> {
        let node = call.node;
        match call.quotient {
            Some(Quotient::Sigmoid) => return Held::Found(Sigmoid),
            Some(Quotient::ShareOf(share, sum)) => {
                return match self.fact(share).never_negative {
                    true => self.of_sum(node, sum, Softmax),
                    false => Held::Unclear(Cause::of(node, "")),
                };
            }
            None => {}
        }
        let computed: Vec<_> = call.inputs.iter().filter(|fact| fact.origin != Origin::Constant).collect();
        match computed.as_slice() {
            [scores] if scores.held.found() == Some(Logits) => Held::Found(Logits),
            _ => Held::Unclear(Cause::of(node, "")),
        }
    }

    /// Several heads beside each other: each as it is, where that needs the same of all.
    fn of_heads(&self, call: &Call<'_, 'v, 'a>) -> Held<'v, 'a> {
        let node = call.node;
        let heads: Vec<_> = joined(node).map(|input| self.fact(input)).collect();
        let along = Along::Axes(vec![integer(node, "axis").unwrap_or(1)]);
        let form = heads.iter().map(|head| &head.form).find(|form| form.extents.is_some());
        let form = form.or(heads.first().map(|head| &head.form)).unwrap_or(&Form::UNKNOWN);
        let all = |wanted: &[OutputActivation]| {
            heads.iter().all(|head| head.held.found().is_some_and(|found| wanted.contains(&found)))
        };
        match (heads.as_slice(), along.over_items(form)) {
            ([only], _) => only.held.clone(),
            (_, Some(problem)) => Held::Unclear(Cause::of(node, problem)),
            ([], _) => Held::Unclear(Cause::of(node, "")),
            _ if all(&[Sigmoid]) => Held::Found(Sigmoid),
            _ if all(&[LogSoftmax]) => Held::Found(LogSoftmax),
            _ if all(&[Softmax, Sigmoid, Heads]) => Held::Found(Heads),
            _ => Held::Unclear(Cause::of(node, "of several heads that are not all probabilities")),
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
    let is_share = matches!(call.quotient, Some(Quotient::ShareOf(..)));
    is_share || matches!(call.kind, Operator::Normalizing | Operator::Activation(Softmax | LogSoftmax))
}

fn kept_label<'v, 'a>(first: &Fact<'v, 'a>, otherwise: impl FnOnce() -> Held<'v, 'a>) -> Held<'v, 'a> {
    match first.held {
        Held::Label => Held::Label,
        Held::Found(_) | Held::Unclear(_) => otherwise(),
    }
}

/// Readings of the inputs that are computed.
fn operands<'r, 'v, 'a>(call: &Call<'r, 'v, 'a>) -> Vec<&'r Held<'v, 'a>> {
    call.inputs.iter().filter(|fact| fact.origin != Origin::Constant).map(|fact| &fact.held).collect()
}

/// The reading that all have; what cannot be told agrees with its like.
fn agreed<'r, 'v, 'a>(readings: &[&'r Held<'v, 'a>]) -> Option<&'r Held<'v, 'a>> {
    let first = *readings.first()?;
    readings.iter().all(|other| first.is_like(other)).then_some(first)
}
