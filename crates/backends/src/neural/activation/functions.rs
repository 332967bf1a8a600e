//! Operators that a file itself defines, each found by its name at once: some files define hundreds, and use them thousands of times.
//!
//! It must not know what they compute.

use std::collections::{HashMap, HashSet};

use crate::neural::onnx_view::{FunctionView, NodeView};

/// The functions of a file.
#[derive(Default)]
pub(super) struct Functions<'v, 'a> {
    by_name: HashMap<(&'v str, &'v str, &'v str), &'v FunctionView<'a>>,
    names: HashSet<(&'v str, &'v str)>,
}

impl<'v, 'a> Functions<'v, 'a> {
    pub(super) fn of(functions: &'v [FunctionView<'a>]) -> Self {
        let names = functions.iter().map(|function| (domain(function.domain), function.op)).collect();
        // Where a name is there twice, the first is taken.
        let by_name = functions.iter().rev();
        let by_name = by_name.map(|function| ((domain(function.domain), function.op, function.overload), function));
        Self { by_name: by_name.collect(), names }
    }

    /// Whether the file defines an operator of that name, of any overload.
    pub(super) fn defines(&self, node: &NodeView<'_>) -> bool {
        self.names.contains(&(domain(node.domain), node.op))
    }

    /// The function that a node calls.
    pub(super) fn called(&self, node: &NodeView<'_>) -> Option<&'v FunctionView<'a>> {
        self.by_name.get(&(domain(node.domain), node.op, node.overload)).copied()
    }
}

/// The standard's operator set has two names.
fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}
