//! The phase in which the new service must answer as it does on the source, before it sees traffic.

use std::sync::Arc;

use dede_comparison::Exactness;
use dede_engine::service::Service;
use dede_model::error::{Error, Result};

use crate::execution::Execution;
use crate::golden::{self, file};
use crate::record::{Figures, GoldenReport, MovePhase, MoveSpec};
use crate::source::ModelSource;

/// The new service must answer as it does on the source, before it sees traffic. `goes_on` is called before each
/// answer.
pub(crate) fn verify(
    run: &Execution<'_>,
    service: &Arc<Service>,
    spec: &MoveSpec,
    peer: &dyn ModelSource,
    goes_on: impl Fn() -> Result<()>,
) -> Result<()> {
    run.this.enter(MovePhase::Verifying)?;
    run.this.show("compares its answers with the source's", None);
    goes_on()?;
    let host = peer.describe()?;
    if host.is_none() && spec.golden.is_empty() {
        let nothing = GoldenReport::Nothing {
            origin: "none: the source cannot be asked, and no cases were given".into(),
            cases: 0,
        };
        return run.this.note(|record| record.report.golden = Figures::of(&nothing).ok());
    }
    let api = run.context.api.as_ref();
    let (origin, cases) = golden::cases(spec, service, peer, api, run.context.clock.as_ref())?;
    let alike = host.is_some_and(|host| host.computes_alike(&run.context.host));
    let exactness = if alike { Exactness::BitEqual } else { Exactness::WithinTolerance };
    let found = golden::check(service, &cases, exactness, api, goes_on)?;
    let passed = found.passed();
    let kept = file::keep(run.this, run.context, origin, &cases)?;
    let worst = found.worst.first().map(|missed| format!(", {}: {}", missed.input, missed.found));
    let text =
        format!("{} of {} golden answers are not reproduced{}", found.missed, found.answers, worst.unwrap_or_default());
    let origin = origin.as_str().to_owned();
    let report = GoldenReport::Compared { origin, cases: cases.len(), digest: kept, result: found };
    run.this.note(|record| record.report.golden = Figures::of(&report).ok())?;
    if passed {
        return Ok(());
    }
    Err(Error::MoveConflict(text))
}
