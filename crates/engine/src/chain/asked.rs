//! The calls of a chain as a client asks for them.
//!
//! It must not know what they lead to.

use dede_model::parameters::Section;

use crate::service::PredictCall;

/// One call.
#[derive(Debug, Clone)]
pub struct AskedCall {
    /// What others refer to it by; `None`: its number.
    pub id: Option<String>,
    /// What it works on; `None`: what comes before it.
    pub parent: Option<String>,
    /// What is asked.
    pub what: What,
}

/// What a call asks for.
#[derive(Debug, Clone)]
pub enum What {
    /// The answer of a service.
    Service {
        /// Its name, or that of an alias, as the client wrote it.
        name: String,
        /// Items are sent with the first call only.
        request: Box<PredictCall>,
    },
    /// Work on an answer.
    Action {
        /// Its type.
        kind: String,
        /// Its parameters.
        parameters: Section,
    },
}
