//! What a model takes and gives: named tensors.

use super::{ElementType, Tensor};

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Type of its elements; `None` where the model does not tell.
    pub element: Option<ElementType>,
    /// Size of each dimension, `None` where decided at run time; empty when unknown.
    pub dims: Vec<Option<usize>>,
}

/// The inputs and outputs of a model, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// What a run must be given.
    pub inputs: Vec<Port>,
    /// What it answers.
    pub outputs: Vec<Port>,
}

/// A tensor, and the input or output that it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Name of the input or output.
    pub name: String,
    /// The values.
    pub tensor: Tensor,
}
