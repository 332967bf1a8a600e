//! That each value of a graph is made once.
//!
//! A value of two makers is no value: engines take the first, the last, or none. It must not know operators.

use std::collections::HashMap;

use dede_model::quote::quote;

use super::{GraphView, WireError};

/// What makes a value.
#[derive(Clone, Copy)]
enum Maker<'g> {
    Node(&'g str),
    Input,
    Constant,
}

impl std::fmt::Display for Maker<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node(name) => write!(formatter, "node {}", quote(name)),
            Self::Input => write!(formatter, "an input"),
            Self::Constant => write!(formatter, "a constant"),
        }
    }
}

/// Refuses a graph, or one inside it, in which a node makes what another node, an input or a constant is.
pub(super) fn check(graph: &GraphView<'_>) -> Result<(), WireError> {
    let mut found = Ok(());
    graph.each_graph(&mut |graph| {
        if found.is_ok() {
            found = check_one(graph);
        }
    });
    found
}

fn check_one(graph: &GraphView<'_>) -> Result<(), WireError> {
    let inputs = graph.inputs.iter().map(|input| (input.name, Maker::Input));
    let constants = graph.initializers.iter().map(|tensor| (tensor.name, Maker::Constant));
    let mut makers: HashMap<&str, Maker<'_>> = inputs.chain(constants).collect();
    for node in &graph.nodes {
        for &value in node.outputs.iter().filter(|value| !value.is_empty()) {
            let maker = Maker::Node(node.shown_name());
            if let Some(earlier) = makers.insert(value, maker) {
                return Err(WireError::MadeTwice(quote(value), earlier.to_string(), maker.to_string()));
            }
        }
    }
    Ok(())
}
