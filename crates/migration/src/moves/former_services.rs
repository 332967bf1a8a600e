//! Former services that stay loaded for a while after a move, and are unloaded when their time is over.
//!
//! One thread for all of them. When a service is due is in the record of its move, so that a restart does not forget it. Only
//! memory is freed: files are never touched, nor a service that anything points to.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use dede_api::moves::MovePhase;
use dede_engine::catalogue::Catalogue;
use dede_model::error::{Error, Result};
use dede_model::repository::Clear;

use crate::Moves;
use crate::handle::{Move, now_ms};

/// Longest time between two looks: clocks are set, and what failed is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Notifies the thread that there is another service to unload later.
#[derive(Default)]
pub(crate) struct Notifier {
    is_notified: Mutex<bool>,
    changed: Condvar,
}

impl Notifier {
    pub(crate) fn notify(&self) {
        *self.is_notified.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn wait(&self, patience: Duration) {
        let is_notified = self.is_notified.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is_notified, patience, |is_notified| !*is_notified);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// Starts the thread; it ends with the moves.
pub(crate) fn start(moves: &Arc<Moves>) -> Result<()> {
    let (notifier, moves) = (Arc::clone(&moves.notifier), Arc::downgrade(moves));
    let work = move || {
        while let Some(patience) = look(&moves) {
            notifier.wait(patience);
        }
    };
    std::thread::Builder::new().name("former-services".into()).spawn(work).map_err(Error::io("start a thread"))?;
    Ok(())
}

/// Unloads the services that are due, and says when to look again.
fn look(moves: &Weak<Moves>) -> Option<Duration> {
    let moves = moves.upgrade()?;
    let waiting = moves.all().into_iter().filter_map(|over| Some((over.keeps_until_ms()?, over)));
    let mut next = LOOK_EVERY;
    for (until_ms, over) in waiting {
        let left = Duration::from_millis(until_ms.saturating_sub(now_ms()));
        if !left.is_zero() {
            next = next.min(left);
        } else if let Err(error) = let_go(&over, &moves.context.catalogue) {
            tracing::warn!(id = %over.id, %error, "a former service stays in memory for now");
        }
    }
    Some(next)
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
