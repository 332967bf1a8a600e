//! Operators that make the answer of one item depend on other items of the request, or on chance, and how certain that is.
//!
//! It owns which operators draw at random, and which normalise, or scale, over the items. Where items are, and along which axes an operator
//! computes, it is told.

use std::borrow::Cow;

use super::attributes::integer;
use super::axes::{Along, Mixes};
use super::cause::Cause;
use super::forms::Form;
use super::producers::Producers;
use crate::neural::onnx_view::NodeView;

/// First version of the operator set whose Dropout and BatchNormalization are of a trained network unless they say otherwise.
const TRAINED: i64 = 7;
/// First version whose BatchNormalization says by an attribute that it is in training; until then, by making more than one value.
const SAYS_TRAINING: i64 = 14;

/// How certain it is that the numbers of an item depend on something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::neural) enum Strength {
    /// On other items, for all that the file says. Alone in a run, an item depends on none.
    Possible,
    /// On other items.
    Certain,
    /// On chance, also alone.
    Chance,
}

/// What an operator does to items, and how certain that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tied {
    /// How certain.
    pub(super) strength: Strength,
    /// What, in words that follow the operator's name.
    pub(super) what: Cow<'static, str>,
}

impl Tied {
    /// What may be so.
    pub(super) const fn possible(what: &'static str) -> Self {
        Self { strength: Strength::Possible, what: Cow::Borrowed(what) }
    }

    /// What is so.
    pub(super) const fn certain(what: &'static str) -> Self {
        Self { strength: Strength::Certain, what: Cow::Borrowed(what) }
    }
}

/// What makes the numbers of one item depend on something else.
#[derive(Debug, Clone)]
pub(super) struct Tie<'v, 'a> {
    /// How certain.
    pub(super) strength: Strength,
    /// The operator.
    pub(super) cause: Cause<'v, 'a>,
}

impl<'v, 'a> Tie<'v, 'a> {
    /// Of a node.
    pub(super) fn of(node: &'v NodeView<'a>, tied: Tied) -> Self {
        Self { strength: tied.strength, cause: Cause::of(node, tied.what) }
    }
}

/// The stronger of two; the first of equal ones.
pub(super) fn stronger(one: Option<Tied>, other: Option<Tied>) -> Option<Tied> {
    match (&one, &other) {
        (Some(first), Some(second)) if second.strength > first.strength => other,
        (Some(_), _) => one,
        (None, _) => other,
    }
}

/// What an operator does to items by itself, wherever they are; `is_fixed` says that all it takes is the same for each of them.
pub(super) fn unsteady(node: &NodeView<'_>, opset: i64, producers: &Producers<'_, '_>, is_fixed: bool) -> Option<Tied> {
    const CHANCE: Tied = Tied { strength: Strength::Chance, what: Cow::Borrowed("which draws at random") };
    const TOGETHER: Tied = Tied::certain("which normalises over all items of a request");
    // Each item alone has a scale of its own.
    const SCALES: Tied = Tied::possible("which finds one scale for all items of a request");
    let is_set = |name: &str| integer(node, name).is_some_and(|flag| flag != 0);
    match node.op {
        "RandomNormal" | "RandomUniform" | "RandomNormalLike" | "RandomUniformLike" | "Multinomial" | "Bernoulli" => {
            Some(CHANCE)
        }
        "Dropout" => {
            let training = node.inputs.get(2).filter(|input| !input.is_empty());
            let is_off = |input: &&str| {
                let flag = producers.constant(input).filter(|flag| flag.elements() == 1);
                flag.and_then(|flag| flag.is_zero()) == Some(true)
            };
            let ratio = node.inputs.get(1).and_then(|ratio| producers.number(ratio));
            training.filter(|input| !is_off(input) && ratio != Some(0.0)).map(|_| CHANCE)
        }
        "BatchNormalization" => {
            let made = node.outputs.iter().filter(|output| !output.is_empty()).count();
            let trains = match opset {
                ..TRAINED => !is_set("is_test"),
                TRAINED..SAYS_TRAINING => made > 1,
                SAYS_TRAINING.. => is_set("training_mode"),
            };
            (trains && !is_fixed).then_some(TOGETHER)
        }
        op if op.starts_with("DynamicQuantize") && !is_fixed => Some(SCALES),
        _ => None,
    }
}

/// How an operator that computes along these axes mixes the items of a value of that form, or may; `None` where it does not.
pub(super) fn mixing(node: &NodeView<'_>, along: &Along, form: &Form) -> Option<Tied> {
    let strength = match along.mixes(form) {
        Mixes::No => return None,
        Mixes::Yes => Strength::Certain,
        Mixes::Unknown => Strength::Possible,
    };
    let what = match (node.op, strength) {
        ("LSTM" | "GRU" | "RNN", Strength::Certain) => {
            Cow::Borrowed("which goes through the items of a request step by step")
        }
        (_, Strength::Possible | Strength::Certain | Strength::Chance) => Cow::Owned(along.over_items(form)?),
    };
    Some(Tied { strength, what })
}
