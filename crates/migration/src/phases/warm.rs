//! The phase that runs recent requests on the new service until its latency is flat.

use std::collections::HashSet;
use std::sync::Arc;

use dede_comparison::warming::warm as warm_up;
use dede_engine::dispatch::rehearse;
use dede_engine::service::{PredictCall, Service};
use dede_model::error::{Error, Result};

use crate::execution::Execution;
use crate::record::{Figures, MovePhase, Warming};

/// Generated requests that warm a network.
const WARMING_CALLS: usize = 32;

/// Requests run on it until its latency is flat: recent ones of the service that it replaces, or generated ones.
pub(crate) fn warm(run: &Execution<'_>, service: &Arc<Service>) -> Result<()> {
    run.this.enter(MovePhase::Warming)?;
    run.this.show("runs requests until the latency is flat", None);
    run.check()?;
    let former = run.former()?;
    let captured = former.as_ref().map(|former| former.captured()).unwrap_or_default();
    let calls: Vec<PredictCall> = if captured.is_empty() {
        service.generated_calls(WARMING_CALLS)?
    } else {
        captured.into_iter().map(|captured| captured.call).collect()
    };
    let mut refused = Refused::default();
    let warmed = warm_up(&calls, |call| {
        run.check()?;
        let answered = rehearse(service, call);
        if let (Err(error), Some(former)) = (&answered, &former)
            && refused.is_new(call)
            && rehearse(former, call).is_ok()
        {
            refused.add(error);
        }
        Ok(answered.is_ok())
    })?;
    run.this.note(|record| record.report.warming = Figures::of(&Warming::UntilFlat(warmed)).ok())?;
    judge_refused(run, &refused)
}

/// The new service may refuse captured requests, which the former one answered, no more often than the policy
/// allows.
pub(crate) fn judge_refused(run: &Execution<'_>, refused: &Refused) -> Result<()> {
    let allowed = run.this.record().spec.policy()?.max_errors;
    if refused.count <= allowed {
        return Ok(());
    }
    let (count, first) = (refused.count, &refused.first);
    let text =
        format!("the new service is worse: it refuses {count} of the recent requests that were answered: {first}");
    Err(Error::MoveConflict(text))
}

/// Recent requests that the new service refuses although the former one answered them.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    seen: HashSet<usize>,
    count: u64,
    first: String,
}

impl Refused {
    /// Whether a request was not seen before: warming repeats requests.
    fn is_new(&mut self, call: &PredictCall) -> bool {
        self.seen.insert(std::ptr::from_ref(call).addr())
    }

    pub(crate) fn add(&mut self, error: &Error) {
        self.count += 1;
        if self.count == 1 {
            self.first = error.to_string();
        }
    }
}
