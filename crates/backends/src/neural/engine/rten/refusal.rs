//! How refusals read that name what rten cannot do.

use crate::neural::engine::EngineError;

/// What to do about it.
pub(super) const ADVICE: &str = "use ONNX Runtime (dede engine install)";

/// `what` is a whole sentence.
pub(super) fn refusal(name: &str, what: &str) -> EngineError {
    EngineError::at(name, format!("the engine rten cannot run this network: {what}; {ADVICE}"))
}
