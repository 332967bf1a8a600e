//! Recording of golden cases: recent requests of a service of this server, with what it answers to them now.
//!
//! It must not know who asks for them.

use dede_engine::dispatch::rehearse;
use dede_engine::service::Service;
use dede_model::error::Result;

use crate::golden_set::{ModelCase, write_cases};

/// The golden set that a service gives to others, in format 2.
///
/// # Errors
/// [`dede_model::error::Error::Internal`] for a service that cannot answer.
pub fn record_captured(service: &Service) -> Result<String> {
    service.serving()?;
    let answered = |call| {
        // What it cannot answer any more proves nothing.
        let answer = rehearse(service, &call).ok()?.outputs;
        Some(ModelCase { call, answer })
    };
    let cases: Vec<ModelCase> = service.captured().into_iter().filter_map(|captured| answered(captured.call)).collect();
    write_cases(None, &cases)
}
