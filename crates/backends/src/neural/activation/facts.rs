//! What is known of one value of a network.
//!
//! It must not know operators.

use dede_model::backend::OutputActivation;

use super::axes::Along;
use super::cause::Cause;
use super::forms::Form;
use super::interval::Limits;
use super::origin::Origin;
use super::pieces::Pieces;
use super::producers::Scale;
use super::ties::Tie;

/// What numbers are.
#[derive(Debug, Clone)]
pub(super) enum Held<'v, 'a> {
    /// Certain.
    Found(OutputActivation),
    /// Classes, or truth values.
    Label,
    /// Cannot be told.
    Unclear(Cause<'v, 'a>),
}

impl Held<'_, '_> {
    /// What was found.
    pub(super) fn found(&self) -> Option<OutputActivation> {
        match self {
            Self::Found(found) => Some(*found),
            Self::Label | Self::Unclear(_) => None,
        }
    }

    /// Whether two are the same; what cannot be told is like its like.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Found(one), Self::Found(other)) => one == other,
            (Self::Label, Self::Label) | (Self::Unclear(_), Self::Unclear(_)) => true,
            (Self::Found(_) | Self::Label | Self::Unclear(_), _) => false,
        }
    }
}

/// Probabilities, or a sum of such, times a number: parts that add up to 1 are a mean of probabilities.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Of which probabilities.
    pub(super) of: OutputActivation,
    /// How much of 1 it is.
    pub(super) weight: f32,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) struct Fact<'v, 'a> {
    /// What its numbers are.
    pub(super) held: Held<'v, 'a>,
    /// What they come from.
    pub(super) origin: Origin,
    /// What some of them come from, where numbers of other origins were put beside each other: of all, that which shows most.
    pub(super) beside: Origin,
    /// Between which numbers they are.
    pub(super) limits: Limits,
    /// Which pieces of a softmax they are.
    pub(super) pieces: Pieces,
    /// Whether something on the way to them may have ends that scores have not.
    pub(super) is_bent: bool,
    /// Its shape.
    pub(super) form: Form,
    /// Whether they are whole numbers that stand for others, their scale not applied.
    pub(super) is_coded: bool,
    /// By which scale they do, where that is known.
    pub(super) scale: Option<Scale<'a>>,
    /// Whether they were made whole numbers since they are what they hold: they are that only about.
    pub(super) is_rounded: bool,
    /// The axes along which the classes are.
    pub(super) classes: Along,
    /// What it is a share of, where it is a part of a mean.
    pub(super) part: Option<Part>,
    /// Whether none of them is below 0, certainly.
    pub(super) never_negative: bool,
    /// What makes the numbers of one item depend on other items, or on chance.
    pub(super) tie: Option<Tie<'v, 'a>>,
}

impl Fact<'_, '_> {
    /// Of a constant of which nothing else is known, and of an input that is left out.
    pub(super) const CONSTANT: Self = Self {
        held: Held::Unclear(Cause::NO_OPERATOR),
        origin: Origin::Constant,
        beside: Origin::Constant,
        limits: Limits::NONE,
        pieces: Pieces::NONE,
        is_bent: false,
        form: Form::FIXED,
        is_coded: false,
        scale: None,
        is_rounded: false,
        classes: Along::Unread,
        part: None,
        never_negative: false,
        tie: None,
    };
    /// Of a value that the graph does not explain.
    pub(super) const UNKNOWN: Self = Self { origin: Origin::Free, form: Form::UNKNOWN, ..Self::CONSTANT };
}
