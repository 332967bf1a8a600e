//! What is asked of a service, by a client or by the server itself.
//!
//! It must not know services.

use dede_model::parameters::Parameters;
use dede_model::picture::Picture;
use dede_model::tensor::NamedTensor;

/// A predict request, without the name it was addressed to.
#[derive(Debug, Clone, Default)]
pub struct PredictCall {
    /// A client without the rights of the server's owner sent it.
    pub is_guest: bool,
    /// The sections of the call.
    pub parameters: Parameters,
    /// Paths, URLs, or the items themselves.
    pub data: Vec<String>,
    /// Pictures that an action of a chain made, in place of `data`.
    pub pictures: Vec<Picture>,
    /// Actions of a chain follow, which work on the images of the items.
    pub keeps_pictures: bool,
    /// The inputs of the network, where it is asked in tensors instead of items.
    pub tensors: Vec<NamedTensor>,
    /// Names that replace the `uri` of each item; empty when none were sent.
    pub ids: Vec<String>,
}
