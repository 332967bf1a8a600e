//! What the numbers of one value hold, by the operator that makes it and what is known of all that it takes.
//!
//! It must not know what becomes of shapes, scales or items, which are told beside it.

use dede_model::backend::OutputActivation;
use dede_model::backend::OutputActivation::{Heads, LogSoftmax, Logits, Sigmoid, Softmax};

use super::{Call, Reader};
use crate::neural::activation::attributes::integer;
use crate::neural::activation::axes::{Along, Mixes};
use crate::neural::activation::cause::Cause;
use crate::neural::activation::classes;
use crate::neural::activation::facts::{Fact, Held};
use crate::neural::activation::forms::Form;
use crate::neural::activation::operators::{Operator, is_rectifier, joined, keeps_probabilities};
use crate::neural::activation::origin::Origin;
use crate::neural::activation::origin::Weights;
use crate::neural::activation::scales;
use crate::neural::activation::written_out::{Quotient, Sum, is_complement, is_half_of_tanh};
use crate::neural::onnx_view::NodeView;

/// What a mean or the largest of shares goes over.
const OVER_CLASSES: &str = "over an axis of the classes, or what may be one";

impl<'v, 'a> Reader<'v, 'a> {
    /// What a node makes.
    pub(super) fn held(&self, call: &Call<'_, 'v, 'a>) -> Held<'v, 'a> {
        let node = call.node;
        let unclear = |what: &'static str| Held::Unclear(Cause::of(node, what));
        let problem = || call.along.problem(call.form).map(|problem| Held::Unclear(Cause::of(node, problem)));
        let over_items = || call.along.over_items(call.form).map(|problem| Held::Unclear(Cause::of(node, problem)));
        let first = call.inputs.first().copied().unwrap_or(&Fact::CONSTANT);
        if first.held.found() != Some(Logits) && scales::is_other(node, &call.inputs, &self.producers) {
            return unclear("by another scale or zero point than that of the numbers it takes");
        }
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
            // A bound for all scores, as a rectifier is.
            Operator::Largest if node.op == "Max" && computed(call).len() < call.inputs.len() => unclear(""),
            Operator::Largest => over_items().unwrap_or_else(|| match agreed(&operands(call)) {
                Some(Held::Found(Sigmoid)) => Held::Found(Sigmoid),
                Some(Held::Found(Logits)) if !self.pools_classes(call) => Held::Found(Logits),
                Some(Held::Found(_)) if self.meets_classes(call) => unclear(OVER_CLASSES),
                Some(_) | None => unclear(""),
            }),
            Operator::Affine => self.of_affine(call),
            Operator::Scaled => match first.held.found() {
                Some(Logits) if is_score(first) => over_items().unwrap_or(Held::Found(Logits)),
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
    /// classes, of several networks, of the leaves of trees, or of a softmax inside.
    fn of_weighted(&self, call: &Call<'_, 'v, 'a>) -> Held<'v, 'a> {
        let has = |origin: Origin| call.inputs.iter().any(|fact| fact.origin == origin);
        let of_shares = has(Origin::Shares) || has(Origin::Merged);
        let may_be_mean = match call.weights {
            Some(Weights::Means | Weights::Positive | Weights::Unread) => has(Origin::Gate),
            // The weights of the mean may stand before the sum.
            Some(Weights::Sums) => call.inputs.iter().any(|fact| fact.part.is_some_and(|part| !part.is_whole())),
            Some(Weights::Signed) | None => false,
        };
        let what = match (of_shares || may_be_mean, has(Origin::Choice) && !has(Origin::Free)) {
            (true, _) => "of probabilities",
            (false, true) => "of what is so or not, as in trees",
            (false, false) => return Held::Found(Logits),
        };
        Held::Unclear(Cause::of(
            call.node,
            format!("{what}: what it makes may be probabilities (softmax, sigmoid) or scores (logits)"),
        ))
    }

    fn of_means(&self, call: &Call<'_, 'v, 'a>) -> Held<'v, 'a> {
        let unclear = |what: &'static str| Held::Unclear(Cause::of(call.node, what));
        let computed = computed(call);
        match agreed(&operands(call)) {
            Some(Held::Found(Softmax | Heads)) if self.meets_classes(call) => unclear(OVER_CLASSES),
            Some(Held::Found(Softmax | Heads)) if computed.len() > 1 && !classes::agree(&computed) => {
                unclear("of probabilities of other classes than each other")
            }
            Some(Held::Found(Logits)) if self.pools_classes(call) => unclear(OVER_CLASSES),
            Some(Held::Found(Logits)) if !computed.iter().all(|fact| is_score(fact)) => unclear(""),
            Some(Held::Found(found @ (Softmax | Sigmoid | Heads | Logits))) => Held::Found(*found),
            Some(Held::Unclear(_)) if self.averages_rectified(call) => Held::Found(Logits),
            Some(Held::Unclear(_) | Held::Found(LogSoftmax) | Held::Label) | None => unclear(""),
        }
    }

    /// Whether a node takes a mean or the largest over the classes of what it takes, or may.
    fn meets_classes(&self, call: &Call<'_, 'v, 'a>) -> bool {
        let meets = |fact: &&Fact<'v, 'a>| classes::meeting(&fact.classes, &call.gathers(), &fact.form) != Mixes::No;
        computed(call).iter().any(meets)
    }

    /// Whether a node takes windows of scores of classes, certainly.
    fn pools_classes(&self, call: &Call<'_, 'v, 'a>) -> bool {
        let meets = |fact: &&Fact<'v, 'a>| classes::meeting(&fact.classes, &call.gathers(), &fact.form) == Mixes::Yes;
        call.node.op.contains("Pool") && computed(call).iter().any(meets)
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
        if let Some(sum) = call.log_sum {
            return self.of_sum(node, sum, LogSoftmax);
        }
        if let Some(part) = call.part.filter(|part| part.is_whole()) {
            return Held::Found(part.of);
        }
        if is_half_of_tanh(&self.producers, node) {
            return Held::Found(Sigmoid);
        }
        match agreed(&operands(call)).and_then(|held| held.found()) {
            Some(Softmax | Sigmoid) if is_complement(&self.producers, node) => Held::Found(Sigmoid),
            Some(Logits) => Held::Found(Logits),
            Some(_) | None => Held::Unclear(Cause::of(node, "")),
        }
    }

    /// What was written out with a sum, unless that goes along other axes than that of the classes.
    fn of_sum(&self, node: &'v NodeView<'a>, sum: Sum<'v, 'a>, found: OutputActivation) -> Held<'v, 'a> {
        let along = Along::of(sum.node, self.opset, &self.producers);
        let (form, used) = (&self.fact(sum.summed).form, &self.fact(sum.used).form);
        let is_in_place = sum.keeps_axes || classes::is_in_place(&along, form, used);
        let are_all = sum.classes.is_none_or(|said| classes::count(&along, form).is_none_or(|count| count == said));
        match along.problem(form) {
            _ if along == Along::Nothing || !is_in_place || !are_all => Held::Unclear(Cause::of(node, "")),
            Some(problem) => Held::Unclear(Cause::of(sum.node, problem)),
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
            Some(Quotient::WeightedShare(_)) => {
                return Held::Unclear(Cause::of(node, "of numbers by a sum of them with weights"));
            }
            None if is_half_of_tanh(&self.producers, node) => return Held::Found(Sigmoid),
            None => {}
        }
        if let Some(part) = call.part.filter(|part| part.is_whole()) {
            return Held::Found(part.of);
        }
        // What is divided by scores is another thing.
        let is_below = node.op == "Reciprocal"
            || node.op == "Div" && call.inputs.get(1).is_some_and(|below| below.origin != Origin::Constant);
        match computed(call).as_slice() {
            [scores] if scores.held.found() == Some(Logits) && is_score(scores) && !is_below => Held::Found(Logits),
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

fn kept_label<'v, 'a>(first: &Fact<'v, 'a>, otherwise: impl FnOnce() -> Held<'v, 'a>) -> Held<'v, 'a> {
    match first.held {
        Held::Label => Held::Label,
        Held::Found(_) | Held::Unclear(_) => otherwise(),
    }
}

/// The inputs that are computed.
fn computed<'r, 'v, 'a>(call: &Call<'r, 'v, 'a>) -> Vec<&'r Fact<'v, 'a>> {
    call.inputs.iter().copied().filter(|fact| fact.origin != Origin::Constant).collect()
}

/// Readings of the inputs that are computed.
fn operands<'r, 'v, 'a>(call: &Call<'r, 'v, 'a>) -> Vec<&'r Held<'v, 'a>> {
    computed(call).into_iter().map(|fact| &fact.held).collect()
}

/// Whether scores stay such times any number: sums of independent scores would be their mean.
fn is_score(scores: &Fact<'_, '_>) -> bool {
    scores.origin == Origin::Free
}

/// The reading that all have; what cannot be told agrees with its like.
fn agreed<'r, 'v, 'a>(readings: &[&'r Held<'v, 'a>]) -> Option<&'r Held<'v, 'a>> {
    let first = *readings.first()?;
    readings.iter().all(|other| first.is_like(other)).then_some(first)
}
