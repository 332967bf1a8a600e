//! Former services that stay loaded for a while after a move, and are unloaded when their time is over.
//!
//! One thread for all of them. When a service is due is in the record of its move, so that a restart does not forget it. Only
//! memory is freed: files are never touched, nor a service that anything points to.

use std::sync::{Arc, Weak};
use std::time::Duration;

use dede_engine::catalogue::Catalogue;
use dede_model::error::{Error, Result};
use dede_model::repository::Clear;
use dede_model::watch::Watch;

use super::Moves;
use crate::MoveContext;
use crate::handle::Move;
use crate::record::MovePhase;

/// Longest time between two looks: clocks are set, and what failed is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Starts the thread; it ends with the moves. `changed`: advanced when there is another service to unload later, and
/// when the moves end.
pub(crate) fn start(moves: &Arc<Moves>, changed: Arc<Watch>) -> Result<()> {
    let (clock, moves) = (Arc::clone(&moves.context.clock), Arc::downgrade(moves));
    let work = move || {
        loop {
            let seen = changed.version();
            let Some(next) = look_again(&moves) else { return };
            clock.wait(&changed, seen, clock.now() + next);
        }
    };
    std::thread::Builder::new().name("former-services".into()).spawn(work).map_err(Error::io("start a thread"))?;
    Ok(())
}

/// As [`look`], as long as there are moves.
fn look_again(moves: &Weak<Moves>) -> Option<Duration> {
    let moves = moves.upgrade()?;
    Some(look(&moves.all(), &moves.context))
}

/// Unloads the services that are due, and says when to look again.
pub(crate) fn look(moves: &[Arc<Move>], context: &MoveContext) -> Duration {
    let mut next = LOOK_EVERY;
    for (until_ms, over) in moves.iter().filter_map(|over| Some((over.keeps_until_ms()?, over))) {
        let left = Duration::from_millis(until_ms.saturating_sub(context.clock.unix_ms()));
        if !left.is_zero() {
            next = next.min(left);
        } else if let Err(error) = let_go(over, &context.catalogue) {
            tracing::warn!(id = %over.id, %error, "a former service stays in memory for now");
        }
    }
    next
}

fn let_go(over: &Arc<Move>, catalogue: &Catalogue) -> Result<()> {
    if !over.claim() {
        return Ok(());
    }
    let noted = outcome(over, catalogue).and_then(|text| {
        tracing::info!(id = %over.id, outcome = text, "a former service's time is over");
        over.note(|record| {
            if let Some(kept) = &mut record.report.kept {
                kept.outcome = Some(text);
            }
        })
    });
    over.release();
    noted
}

/// Removes the former service from memory, or says why it stays.
fn outcome(over: &Move, catalogue: &Catalogue) -> Result<String> {
    let record = over.record();
    let (Some(id), Some(former)) = (record.former_id(), &record.report.former) else {
        return Ok("there was none".into());
    };
    if record.phase != MovePhase::Done {
        return Ok("it stays: the move was rolled back".into());
    }
    let snapshot = catalogue.snapshot();
    let found = snapshot.services().find(|service| service.id == id && *service.version() == *former.version);
    let Some(service) = found else { return Ok("it was gone already, or is another version now".into()) };
    let (name, key) = (service.name(), over.id.number());
    // A training that began in time shows that the service is still wanted.
    if service.jobs.forbid(key, format!("{name} is leaving memory: its time after move {} is over", over.id)).is_err() {
        return Ok("it stays: it is in training".into());
    }
    let deleted = catalogue.delete_service(service, Clear::Memory, None);
    if deleted.is_err() {
        service.jobs.allow(key);
    }
    match deleted {
        Ok(_) => Ok(format!("{name} left memory, its files are in {}", service.definition.repository.root().display())),
        Err(Error::AliasConflict(reason)) => Ok(format!("it stays: {reason}")),
        Err(Error::NothingToDelete(_)) => Ok("it was gone already".into()),
        Err(other) => Err(other),
    }
}
