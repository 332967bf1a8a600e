//! `mlp`: inner products `ip0`, `ip1`, …, each with an activation.

use super::TemplateOptions;
use super::chain::Chain;
use crate::error::{Error, Result};
use crate::graph::Graph;

/// Number of units of a layer.
pub(super) fn parse_layer(text: &str) -> Result<usize> {
    text.parse()
        .ok()
        .filter(|&units| units > 0)
        .ok_or_else(|| Error::Network(format!("layers: expected numbers of units such as 50, found {text:?}")))
}

pub(super) fn build(options: &TemplateOptions, layers: &[usize]) -> Graph {
    let mut chain = Chain::new(options);
    for (index, &units) in layers.iter().enumerate() {
        chain.inner_product(units, format!("ip{index}"));
        chain.activation();
        chain.dropout(0.0);
    }
    chain.finish("mlp")
}
