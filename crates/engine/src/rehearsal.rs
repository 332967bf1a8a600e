//! Dry runs: calls that no client waits for, asked by shadows, warming, estimates and golden cases.
//!
//! It must not know who asks. Clients' calls go through the [`Dispatcher`](crate::dispatch::Dispatcher), which shares this way.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dede_model::error::{Error, Result};

use crate::service::{DryRun, PredictCall, Service};

/// Computes what a service would answer to a call, refused what a client would be refused: it is neither counted nor captured nor sent
/// on, and waits for no slot. It blocks and computes on the calling thread, at the priority of that; a panic of the model ends the
/// call only.
///
/// # Errors
/// As [`Service::predict`]; [`Error::Internal`] for a panic.
pub fn rehearse(service: &Service, call: &PredictCall) -> Result<DryRun> {
    catch_unwind(AssertUnwindSafe(|| service.dry_run(call)))
        .unwrap_or_else(|_| Err(Error::Internal("the model ended in an internal error (panic); see the log".into())))
}
