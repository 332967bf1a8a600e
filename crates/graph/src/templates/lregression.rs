//! `lregression`: one inner product.

use super::TemplateOptions;
use super::chain::Chain;
use crate::graph::Graph;

pub(super) fn build(options: &TemplateOptions) -> Graph {
    Chain::new(options).finish("lregression")
}
