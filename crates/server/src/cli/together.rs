//! What commands do with several services that move together: one request, one end, and one step back.
//!
//! It must not know what a move does.

use dede_api::aliases::AliasInfo;
use dede_api::moves::{AlsoMoved, MoveInfo, MovePhase, MovePlan, MoveRequest};
use ureq::http::Method;

use super::moving::MoveOptions;
use super::remote::Remote;
use super::report::{say, say_json};
use crate::peer::path_part;

/// The request that moves services of a source together, each after its alias.
///
/// # Errors
/// A sentence.
pub(super) fn request(
    options: &MoveOptions,
    named: Vec<(String, String)>,
    source: String,
) -> Result<MoveRequest, String> {
    let mut named = named.into_iter();
    let (alias, service) = named.next().ok_or("which services?")?;
    let also = named.map(|(alias, service)| AlsoMoved {
        service,
        alias,
        name: None,
        repository: None,
        golden: Vec::new(),
        plan: None,
    });
    Ok(MoveRequest { alias: Some(alias), also: also.collect(), ..options.request(service, source, Vec::new()) })
}

/// The request that carries out a plan, and those of the services that move together with it.
///
/// # Errors
/// A sentence, for a plan that no server made.
pub(super) fn planned(plan: MovePlan) -> Result<MoveRequest, String> {
    let also = plan.also.into_iter().map(|plan| {
        let MoveRequest { service, alias, name, repository, golden, .. } = plan.request;
        let alias = alias.ok_or_else(|| format!("the plan of {service} names no alias"))?;
        Ok(AlsoMoved { service, alias, name, repository, golden, plan: Some(plan.digest) })
    });
    let also = also.collect::<Result<Vec<_>, String>>()?;
    Ok(MoveRequest { plan: Some(plan.digest), also, ..plan.request })
}

/// The moves that switch together with one, by their numbers.
pub(super) fn others(info: &MoveInfo) -> impl Iterator<Item = &str> {
    info.together.iter().map(|other| other.id.as_str()).filter(|other| *other != info.id)
}

/// Waits for the end of a move, whose states are shown, and of those that switch together with it. Gives the last states, its own first.
///
/// # Errors
/// A sentence, when the server cannot be reached any more.
pub(super) fn follow(target: &Remote, id: &str, show: impl FnMut(&MoveInfo)) -> Result<Vec<MoveInfo>, String> {
    let first = target.follow(id, show)?;
    let others: Vec<String> = others(&first).map(path_part).collect();
    let mut over = vec![first];
    for other in others {
        over.push(target.follow(&other, |_| ())?);
    }
    Ok(over)
}

/// The move that pointed an alias to its target, where it switched others together with it.
///
/// # Errors
/// A sentence; also where others were switched together with the alias and all went back since: going forward again is another move.
pub(super) fn switched(target: &Remote, alias: &str) -> Result<Option<MoveInfo>, String> {
    // What is wrong with the alias is said by the request that changes it.
    let found: Result<AliasInfo, String> = target.body(Method::GET, &format!("/aliases/{}", path_part(alias)), "");
    let Ok(found) = found else { return Ok(None) };
    let made_by = |step: usize| {
        let path = found.history.iter().rev().nth(step)?.by.as_deref()?;
        let info: MoveInfo = target.body(Method::GET, path, "").ok()?;
        Some(info).filter(|info| !info.together.is_empty())
    };
    let service = |step: usize| found.history.iter().rev().nth(step).map(|step| &step.service);
    if let Some(present) = made_by(0) {
        return Ok(Some(present));
    }
    // From where it is now the alias went to the step before, and came back.
    let went_back = service(2).is_some() && service(2) == service(0);
    let Some(before) = made_by(1).filter(|_| went_back) else { return Ok(None) };
    let aliases: Vec<&str> = before.together.iter().map(|other| other.alias.as_str()).collect();
    Err(format!(
        "{} were switched together by {} and went back: one of them alone would mix new and former services; move them again",
        aliases.join(", "),
        before.id
    ))
}

/// All that switched together go back.
///
/// # Errors
/// A sentence; also when one of them did not go back.
pub(super) fn roll_back(target: &Remote, switched: &MoveInfo, json: bool) -> Result<(), String> {
    let id = path_part(&switched.id);
    let _: MoveInfo = target.body(Method::POST, &format!("/moves/{id}/rollback"), "")?;
    // One that was not over yet goes back by itself from here on.
    let over = follow(target, &id, |_| ())?;
    for alias in switched.together.iter().map(|other| &other.alias) {
        let found: Result<AliasInfo, String> = target.body(Method::GET, &format!("/aliases/{}", path_part(alias)), "");
        match found {
            Ok(found) if json => say_json(&found),
            Ok(found) => say(&format!("{alias} is {} again, generation {}", found.service, found.generation)),
            // It was not there before.
            Err(reason) => say(&format!("{alias}: {reason}")),
        }
    }
    match over.iter().find(|over| over.phase != MovePhase::RolledBack) {
        None => Ok(()),
        Some(other) => Err(format!("{} is {}, see `dede moves {}`", other.id, other.phase.as_str(), other.id)),
    }
}
