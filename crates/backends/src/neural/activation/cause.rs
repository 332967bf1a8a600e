//! What decides about a value: an operator, and what it does.
//!
//! It owns how errors name it.

use std::borrow::Cow;

use dede_model::quote::quote;

use crate::neural::onnx_view::NodeView;

/// An operator, and what it does that decides.
#[derive(Debug, Clone)]
pub(super) struct Cause<'v, 'a> {
    node: Option<&'v NodeView<'a>>,
    what: Cow<'static, str>,
}

impl<'v, 'a> Cause<'v, 'a> {
    /// Of a node.
    pub(super) fn of(node: &'v NodeView<'a>, what: impl Into<Cow<'static, str>>) -> Self {
        Self { node: Some(node), what: what.into() }
    }

    /// Of a value that no node makes.
    pub(super) const NO_OPERATOR: Self =
        Self { node: None, what: Cow::Borrowed("no operator: it is an input or a constant") };
}

impl std::fmt::Display for Cause<'_, '_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(node) = self.node else { return write!(formatter, "{}", self.what) };
        write!(formatter, "{} (node {})", quote(node.op), quote(node.shown_name()))?;
        if self.what.is_empty() { Ok(()) } else { write!(formatter, ", {}", self.what) }
    }
}
