//! Kinds of heads from outside of this crate: how one is offered a network, and claims outputs of it.
//!
//! It owns what such a kind sees of a network: the outputs, by name and shape, and the parameters of the creation. It must not know which
//! kinds there are.

use std::fmt;

use dede_model::backend::{OutputActivation, ServiceType};
use dede_model::error::Result;
use dede_model::parameters::Section;

use super::Head;

/// A kind of head, which [`crate::neural::onnx::Onnx::with_heads`] is given. It claims networks that it is offered at their creation, or is
/// asked for by its name in `parameters.mllib.output_format`.
pub trait HeadKind: fmt::Debug + Send + Sync {
    /// Its name, other than `tensors`, which asks for no head.
    fn name(&self) -> &'static str;

    /// The names of the outputs that its head takes, in the order in which the head is given them; `None` where the network is none of its.
    /// Networks that no kind claims have the heads that are built in.
    ///
    /// # Errors
    /// [`dede_model::error::Error::BadParameter`] where the creation asks for something that no head of this kind does.
    fn claim(&self, network: &OfferedNetwork<'_>) -> Result<Option<Vec<String>>>;

    /// Whether its outputs may lack the axis of items: lists of what one item has. Such a network is run with one item at a time.
    fn takes_lists(&self) -> bool {
        false
    }

    /// The head of a network whose outputs it claimed: these alone and in that order, with the shapes that a run had. The head then answers
    /// the generated samples of that run, and the creation is refused with its error.
    ///
    /// # Errors
    /// [`dede_model::error::Error::BadParameter`] where the shapes do not fit.
    fn head(&self, network: &OfferedNetwork<'_>) -> Result<Box<dyn Head>>;
}

/// What a kind of head sees of a network.
#[derive(Debug, Clone)]
pub struct OfferedNetwork<'a> {
    /// Its outputs that are tensors of numbers, in the order of the file; one alone where the creation names it.
    pub outputs: Vec<OfferedOutput>,
    /// `parameters.mllib`: creation over stored.
    pub parameters: &'a Section,
    /// Whether classes or values are to be predicted, or features extracted.
    pub service_type: ServiceType,
    /// Whether the creation asks for this kind by its name.
    pub is_asked: bool,
}

/// An output of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedOutput {
    /// Its name in the network's file.
    pub name: String,
    /// Extents of one sample; `None` before a run where the file does not say them.
    pub shape: Option<Vec<usize>>,
    /// What its numbers went through: what the creation says, else what the operators that make them say for certain.
    pub activation: Option<OutputActivation>,
    /// Whether it holds the number of a class, or whether something is so.
    pub is_label: bool,
}
