//! What the numbers of a network's output are, found from the operators that make them: probabilities, their logarithms,
//! independent scores, or scores that are nothing of these yet.
//!
//! It owns which operator says what, and what cannot be told: that is named, never guessed. It looks at the graph and the constants in
//! it, never at numbers that come out, and must not know engines, services or how an answer is computed.

mod attributes;
mod axes;
mod bends;
mod beside;
mod cause;
mod classes;
mod counts;
mod facts;
mod forms;
mod functions;
mod interval;
mod limits;
mod lists;
mod means;
mod numbers;
mod operators;
mod origin;
mod pieces;
mod producers;
mod reader;
mod scales;
mod shapes;
mod signs;
#[cfg(test)]
mod tests;
mod ties;
mod trees;
mod weights;
mod written_out;

use dede_model::backend::OutputActivation;
use dede_model::error::{Error, Result};
use dede_model::quote::quote;
use facts::Held;
use forms::Items;
use numbers::Numbers;
use reader::Reader;

use super::onnx_view::OnnxView;
use super::options::MLLIB;
pub(super) use ties::Strength;

/// What an output holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// Certain.
    Found(OutputActivation),
    /// The number of a class, or whether something is so: no score, and no value.
    Label,
    /// Cannot be told, with what makes it.
    Unclear(String),
}

/// What is known of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// What its numbers are.
    pub(super) reading: Reading,
    /// Whether they are whole numbers that stand for others, their scale not applied.
    pub(super) lacks_scale: bool,
    /// Whether they are what they hold only about: quantised since.
    pub(super) is_rounded: bool,
    /// Whether some operator on the way to them may end at 0 and 1, as probabilities do.
    pub(super) is_bent: bool,
    /// What makes the numbers of one item depend on other items of a request, or on chance, or puts them where no item is.
    pub(super) tie: Option<KnownTie>,
}

/// What makes numbers of one item depend on something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownTie {
    /// How certain that is.
    pub(super) strength: Strength,
    /// The operators, in words.
    pub(super) cause: String,
}

/// The values of a network.
pub(super) struct Values<'v, 'a>(Reader<'v, 'a>);

impl<'v, 'a> Values<'v, 'a> {
    /// Reads all of them.
    pub(super) fn of(view: &'v OnnxView<'a>) -> Self {
        Self(Reader::of(&view.graph, &view.functions, view.opset().unwrap_or(i64::MAX)))
    }

    /// One of them.
    pub(super) fn known(&self, value: &str) -> Known {
        let fact = self.0.fact(value);
        let reading = match &fact.held {
            Held::Found(found) => Reading::Found(*found),
            Held::Label => Reading::Label,
            Held::Unclear(cause) => Reading::Unclear(cause.to_string()),
        };
        let certain = |cause: String| Some(KnownTie { strength: Strength::Certain, cause });
        let possible = |cause: &str| Some(KnownTie { strength: Strength::Possible, cause: cause.to_owned() });
        let moved = match fact.form.items {
            _ if matches!(fact.form.numbers, Numbers::Counts(_)) && fact.form.numbers.are_counted() => {
                certain("operators that count the items of a request".to_owned())
            }
            _ if fact.form.numbers.are_counted() => {
                possible("operators that compute with the number of items of a request")
            }
            Items::At(0) | Items::Nowhere => None,
            Items::At(place) => certain(format!("operators that put the items of a request along axis {place}")),
            // As many rows as items are those of the items then: an answer of another number is none.
            Items::Within(merged) if merged.from == 0 && merged.outer == Some(1) => None,
            Items::Within(_) | Items::Unknown => possible(
                "operators of which it cannot be told whether they leave the items of a request along the first axis",
            ),
        };
        let tie = fact.tie.as_ref().map(|tie| KnownTie { strength: tie.strength, cause: tie.cause.to_string() });
        let tie = match (tie, moved) {
            (Some(tie), Some(moved)) if moved.strength > tie.strength => Some(moved),
            (Some(tie), _) => Some(tie),
            (None, moved) => moved,
        };
        Known { reading, lacks_scale: fact.is_coded, is_rounded: fact.is_rounded, is_bent: fact.is_bent, tie }
    }
}

/// What an output is taken for: what was asked for, else what was found.
///
/// # Errors
/// [`Error::BadParameter`] naming the readings there are, where it cannot be told.
pub(super) fn decided(
    asked: Option<OutputActivation>,
    found: Reading,
    file: &str,
    output: &str,
) -> Result<OutputActivation> {
    let made_by = match (asked, found) {
        (Some(asked), _) => return Ok(asked),
        (None, Reading::Found(found)) => return Ok(found),
        (None, Reading::Unclear(made_by)) => made_by,
        (None, Reading::Label) => "operators that choose a class".to_owned(),
    };
    let reason = format!(
        "expected an output that tells whether it holds probabilities or scores, found {} of {file} made by \
         {made_by}; say which it is: softmax or sigmoid (probabilities, answered as they are), log_softmax (their \
         logarithms) or logits (scores, answered as their softmax), or regression: true for values",
        quote(output)
    );
    Err(Error::bad_parameter_at(format!("{MLLIB}.output_activation"), reason))
}
