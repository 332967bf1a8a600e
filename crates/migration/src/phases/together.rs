//! What moves that switch together do together: they agree on their plans, wait until all are proved, switch in one change of the catalogue,
//! and end when all have drained. For a move that switches alone all of it is nothing.

use std::time::{Duration, Instant};

use dede_engine::catalogue::SwitchRequest;
use dede_engine::catalogue::desired::AliasCommand;
use dede_engine::name::ServiceName;
use dede_model::error::{Error, Result};
use dede_storage::failpoint;

use crate::execution::Execution;
use crate::handle::company::{Company, Milestone, Ready, Switched};
use crate::handle::turned_out_worse;
use crate::live::{Live, Outcome};
use crate::planning::together::obstacles;

/// Waits until all have come to a point of the procedure, as long as `goes_on` says so. `activity`: what people are shown meanwhile.
pub(crate) fn meet(
    run: &Execution<'_>,
    milestone: Milestone,
    activity: &str,
    goes_on: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let Some(company) = run.this.company() else { return Ok(()) };
    company.reach(run.this.id, milestone);
    let missing = company.missing(milestone);
    if !missing.is_empty() {
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        run.this.show(format!("{activity} ({})", missing.join(", ")), None);
        run.this.wait_until(None, || company.missing(milestone).is_empty() || goes_on().is_err());
    }
    goes_on()
}

/// No file travels before all plans are made and nothing stands in the way of all of them at once. `resumed`: they were agreed on before.
pub(crate) fn agree(run: &Execution<'_>, resumed: bool) -> Result<()> {
    let Some(company) = run.this.company() else { return Ok(()) };
    let snapshot = run.context.catalogue.snapshot();
    if let Some(former) = run.replaced().filter(|former| snapshot.is_unloaded(former.id)) {
        let text =
            format!("{} is not in memory, so all could not go back to it and the others in one step", former.name());
        return Err(Error::MoveConflict(text));
    }
    meet(run, Milestone::Planned, "waits for the plans of the others", &|| run.check())?;
    if resumed {
        return Ok(());
    }
    let plans: Vec<_> = company.records()?.into_iter().filter_map(|record| record.plan).collect();
    let found = obstacles(&plans);
    if found.is_empty() { Ok(()) } else { Err(Error::MoveConflict(found.join("; "))) }
}

/// One copies at a time: what it brings, the others need not bring again.
pub(crate) fn copy_in_turn<T>(run: &Execution<'_>, copy: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(company) = run.this.company() else { return copy() };
    let mut turn = company.begin_to_copy();
    if turn.is_none() {
        run.this.show("waits until the files of another are here", None);
        run.this.wait_until(None, || {
            turn = turn.take().or_else(|| company.begin_to_copy());
            turn.is_some() || run.must_end()
        });
    }
    run.check()?;
    copy()
}

/// Waits until the services of all are proved; the comparison goes on meanwhile.
pub(crate) fn be_ready(run: &Execution<'_>, live: Option<&Live>) -> Result<()> {
    let goes_on = || {
        run.check()?;
        match live.map(Live::outcome) {
            Some(Outcome::Worse(reason)) => Err(Error::MoveConflict(turned_out_worse(&reason))),
            Some(Outcome::Safe | Outcome::Undecided) | None => Ok(()),
        }
    };
    meet(run, Milestone::Proved, "is ready, and waits for the others", &goes_on)
}

/// The commit of all: their aliases point to their new services from one change of the catalogue on, or none does. How long it took, and the
/// generation that it began for this one's alias.
pub(crate) fn switch(
    run: &Execution<'_>,
    company: &Company,
    alias: &ServiceName,
    request: SwitchRequest,
    allowed: impl Fn() -> Result<()> + Send + 'static,
) -> Result<(Duration, u64)> {
    let named = alias.clone();
    let allowed = move || allowed().map_err(|error| Error::MoveConflict(format!("{named}: {error}")));
    let ready = Ready { alias: alias.clone(), request, allowed: Box::new(allowed) };
    let catalogue = &run.context.catalogue;
    let commit = |all: Vec<Ready>| {
        failpoint("switching-together");
        let (mut changes, mut checks) = (Vec::new(), Vec::new());
        for Ready { alias, request, allowed } in all {
            changes.push((alias, AliasCommand::Switch(request)));
            checks.push(allowed);
        }
        let names: Vec<ServiceName> = changes.iter().map(|(alias, _)| alias.clone()).collect();
        let started = Instant::now();
        let after = catalogue.change_together(changes, move || checks.iter().try_for_each(|check| check()))?;
        let took = started.elapsed();
        failpoint("switched-together");
        let generation = |alias: ServiceName| after.alias(&alias).map(|found| (alias, found.generation));
        Ok(Switched { took, generations: names.into_iter().filter_map(generation).collect() })
    };
    let switched = run.this.attend((company, &company.switching), ready, &|| run.check(), commit)?;
    let generation = switched.generations.get(alias).copied();
    let missing = || Error::Internal(format!("{alias} was switched, and is not there"));
    Ok((switched.took, generation.ok_or_else(missing)?))
}
