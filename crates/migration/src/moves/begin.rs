//! How moves begin: checked, numbered, recorded, and run when all that switch together are recorded.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dede_engine::move_id::MoveId;
use dede_engine::name::ServiceName;
use dede_model::error::{Error, Fault, Result};
use dede_storage::Place;

use super::{AT_ONCE, Moves, forget, forget_oldest};
use crate::golden::{self, file};
use crate::handle::Move;
use crate::handle::company::Company;
use crate::record::{GoldenCase, MoveRecord, MoveSpec};
use crate::status::MoveStatus;
use crate::{certificate, planning};

impl Moves {
    pub(super) fn begin_all(&self, specs: Vec<MoveSpec>) -> Result<MoveStatus> {
        specs.iter().try_for_each(|spec| self.check_request(spec))?;
        certificate::check_key(&self.context.directory)?;
        let made = specs.into_iter().map(|spec| Ok((spec, nonce()?))).collect::<Result<Vec<_>>>()?;
        let (begun, forgotten) = {
            let mut known = self.known();
            let going_on = known.values().filter(|other| !other.phase().is_over());
            for (spec, _) in &made {
                let place = spec.repository.as_deref().map(Place::of);
                if let Some(other) = going_on.clone().find(|other| other.touches(spec, place.as_ref())) {
                    return Err(Error::MoveConflict(format!(
                        "move {} to the same name or directory goes on; wait for it, or abort it",
                        other.id
                    )));
                }
            }
            if going_on.count() + made.len() > AT_ONCE {
                return Err(Error::Overloaded(format!("{AT_ONCE} moves go on, the most at once")));
            }
            let begun = self.made(made);
            known.extend(begun.iter().map(|(begun, _)| (begun.id, Arc::clone(begun))));
            (begun, forget_oldest(&mut known, self.keep))
        };
        forget(&forgotten);
        let (begun, golden): (Vec<_>, Vec<_>) = begun.into_iter().unzip();
        // None runs before all are recorded.
        let record = || {
            begun.iter().try_for_each(|begun| begun.save())?;
            begun.iter().zip(golden).try_for_each(|(begun, golden)| file::keep_given(begun, &self.context, golden))
        };
        if let Err(error) = record().and_then(|()| self.run_all_claimed(&begun)) {
            // The client is told that the move did not begin, so it must not block the next one.
            let mut known = self.known();
            begun.iter().for_each(|begun| drop(known.remove(&begun.id)));
            drop(known);
            forget(&begun);
            return Err(error);
        }
        begun.first().map(|first| first.info()).ok_or_else(|| Error::Internal("no move was asked for".into()))
    }

    /// Refuses a request that contradicts itself, or this server.
    fn check_request(&self, spec: &MoveSpec) -> Result<()> {
        self.check_source(&spec.source)?;
        ServiceName::parse(&spec.service)?;
        spec.policy()?;
        spec.check_numbers()?;
        golden::check_count(&spec.golden)?;
        file::check_size(&spec.golden)?;
        spec.check_replace_first()?;
        if let Some(directory) = &spec.repository {
            planning::check_place(directory, &self.context.catalogue.snapshot())?;
        }
        if spec.keep_for.is_some() && spec.alias.is_none() {
            let text = "only together with as: otherwise nothing is replaced";
            return Err(Error::Malformed(Fault::at("keep_for_s", text)));
        }
        Ok(())
    }

    /// Moves with their numbers, with the golden cases that each brings; several of them are one company.
    fn made(&self, specs: Vec<(MoveSpec, String)>) -> Vec<(Arc<Move>, Vec<GoldenCase>)> {
        let first = self.next.fetch_add(specs.len() as u64, Ordering::Relaxed);
        let ids: Vec<MoveId> = (first..).map(MoveId).take(specs.len()).collect();
        let company = (ids.len() > 1).then(|| Company::of(ids.clone()));
        let make = |((mut spec, nonce), id): ((MoveSpec, String), &MoveId)| {
            let golden = std::mem::take(&mut spec.golden);
            let place = spec.repository.as_deref().map(Place::of);
            let mut record = MoveRecord::new(*id, spec, nonce);
            record.golden_given = !golden.is_empty();
            record.together = if company.is_some() { ids.clone() } else { Vec::new() };
            let (directory, clock) = (self.context.directory.join("moves"), Arc::clone(&self.context.clock));
            (Move::begun(record, directory, place, company.clone(), clock), golden)
        };
        specs.into_iter().zip(&ids).map(make).collect()
    }

    /// Runs moves that begin. Where no thread can be started for one that switches with others, these are undone.
    fn run_all_claimed(&self, begun: &[Arc<Move>]) -> Result<()> {
        for (index, member) in begun.iter().enumerate() {
            let Err(error) = self.run_claimed(member) else { continue };
            if index == 0 {
                return Err(error);
            }
            // Those before it run already, and go back with it.
            member.ask_to_undo(&error.to_string())?;
            begun.iter().skip(index + 1).for_each(|later| later.release_unfinished());
            break;
        }
        Ok(())
    }
}

/// Random digits that no other move has, of this server or another.
fn nonce() -> Result<String> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
