//! What rten refuses or fails at, said as this server says it: the operator, the reason and the engine that can.
//!
//! It owns how rten's errors read. It must not know how rten is loaded or run.

use std::collections::HashMap;

use rten::{LoadError, RunError};

use super::refusal::{ADVICE, refusal};
use super::replacement::SUFFIX;
use crate::neural::engine::EngineError;
use crate::neural::onnx_view::OnnxView;

/// Operators of a network by the names of their nodes, which are all that rten tells.
pub(super) struct Operators {
    /// By the names that are shown.
    kinds: HashMap<String, String>,
    some_unnamed: bool,
}

impl Operators {
    pub(super) fn of(view: &OnnxView<'_>) -> Self {
        let (mut kinds, mut some_unnamed) = (HashMap::new(), false);
        view.graph.each_graph(&mut |graph| {
            kinds.extend(graph.nodes.iter().map(|node| (node.shown_name().to_owned(), node.op.to_owned())));
            some_unnamed |= graph.nodes.iter().any(|node| node.outputs.first() == Some(&node.shown_name()));
        });
        Self { kinds, some_unnamed }
    }

    /// How nodes without a name of their own are to be named ([`dede_graph::onnx::Rewrite`]); `None` where all have one.
    pub(super) fn name_suffix(&self) -> Option<&'static str> {
        self.some_unnamed.then_some(SUFFIX)
    }

    /// Why rten does not take a network.
    pub(super) fn at_load(&self, error: &LoadError) -> EngineError {
        let name = error.node().unwrap_or_default();
        let text = error.to_string();
        let text = text.strip_prefix(&format!("in node \"{name}\": ")).unwrap_or(&text);
        let (shown, operator) = self.operator(name);
        let Some(reason) = text.strip_prefix("operator error: ") else {
            return EngineError::at(shown, format!("rten cannot load this network: {text}"));
        };
        match reason.strip_suffix(" operator not supported or not enabled") {
            Some(missing) => refusal(shown, &format!("operator {missing} is not supported")),
            None => refusal(shown, &format!("{operator}: {reason}")),
        }
    }

    /// Why a run failed.
    pub(super) fn at_run(&self, error: &RunError) -> EngineError {
        let name = error.node_path().into_iter().flatten().next_back().unwrap_or_default();
        let text = error.to_string();
        let (shown, operator) = self.operator(name);
        let Some(reason) = text.strip_prefix(&format!("operator \"{name}\" failed: ")) else {
            return EngineError::at(shown, format!("rten: {text}"));
        };
        EngineError::at(shown, format!("the engine rten fails at {operator}: {reason}; {ADVICE}"))
    }

    /// Name to show, and what the node is.
    fn operator<'n>(&self, name: &'n str) -> (&'n str, String) {
        let made_of = || name.rsplit_once(SUFFIX).map_or(name, |(shown, _)| shown);
        let shown = if self.kinds.contains_key(name) { name } else { made_of() };
        let operator = self.kinds.get(shown).map_or("an operator".to_owned(), |kind| format!("operator {kind}"));
        (shown, operator)
    }
}
