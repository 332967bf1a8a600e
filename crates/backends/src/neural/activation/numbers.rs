//! What is known of a number that may count something: it itself, or what it depends on.
//!
//! It must not know operators.

use crate::neural::onnx_view::{Dimension, ValueView};

/// One number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// This one in each run.
    Known(i64),
    /// One that does not depend on how many items there are.
    Other,
    /// That of the items.
    Items,
    /// One that depends on it.
    Many,
}

impl Count {
    /// The number, where it is the same in each run.
    pub(super) fn known(self) -> Option<i64> {
        match self {
            Self::Known(number) => Some(number),
            Self::Other | Self::Items | Self::Many => None,
        }
    }

    /// Extents that the file says a value has; `items` is the name that it gives the number of items.
    pub(super) fn declared(value: &ValueView<'_>, items: Option<&str>) -> Option<Vec<Self>> {
        let of = |dim: &Dimension<'_>| match dim {
            Dimension::Fixed(extent) if *extent > 0 => Self::Known(*extent),
            Dimension::Symbolic(name) if items == Some(name) => Self::Items,
            Dimension::Fixed(_) | Dimension::Symbolic(_) => Self::Many,
        };
        value.dims.as_ref().map(|dims| dims.iter().map(of).collect())
    }
}

/// What numbers of a value have to do with how many items there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Nothing.
    Free,
    /// They are these, of a list or alone.
    Counts(Vec<Count>),
    /// They depend on it.
    Counted,
}

impl Numbers {
    /// Whether they are others for another number of items.
    pub(super) fn are_counted(&self) -> bool {
        match self {
            Self::Free => false,
            Self::Counts(counts) => counts.iter().any(|count| matches!(count, Count::Items | Count::Many)),
            Self::Counted => true,
        }
    }

    /// Of numbers that are the ones or the others.
    pub(super) fn with(&self, other: &Self) -> Self {
        if self.are_counted() || other.are_counted() { Self::Counted } else { Self::Free }
    }
}
