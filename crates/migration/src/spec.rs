//! What a move was asked to do, read: names, policy and times, and what contradicts itself.

use std::time::Duration;

use dede_api::moves::MoveRequest;
use dede_comparison::Policy;
use dede_engine::name::ServiceName;
use dede_model::error::{Error, Fault, Result};
use serde_json::Value;

/// Longest time that requests may be asked to wait, seconds.
const LONGEST_HOLD_S: u64 = 3600;
/// Time of each share of a canary.
pub(crate) const CANARY_STEP: Duration = Duration::from_secs(5);
/// Requests that run on a network before clients wait for it: each of them waits for this, where the two networks do not
/// fit in memory side by side.
pub(crate) const IN_PLACE_WARMING_CALLS: usize = 20;
/// The longest of the times that a request may name, seconds: a year.
pub(crate) const LONGEST_S: u64 = 366 * 24 * 3600;

/// A time of a request; records of earlier versions may hold any number.
pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(LONGEST_S))
}

/// The policy of a request: what it says over the defaults. Answers of a new model are meant to differ, so they are only reported
/// unless something else is asked for.
pub(crate) fn policy(request: &MoveRequest) -> Result<Policy> {
    let mut members = request.policy.clone();
    members.entry("expect").or_insert_with(|| "report".into());
    let parsed = serde_json::from_value::<Policy>(Value::Object(members));
    let policy = parsed.map_err(|error| Error::Malformed(Fault::at("policy", error.to_string())))?;
    policy.check()?;
    Ok(policy)
}

/// The stable name of a request.
pub(crate) fn alias(request: &MoveRequest) -> Result<Option<ServiceName>> {
    request.alias.as_deref().map(ServiceName::parse).transpose()
}

/// Refuses shares and times that cannot be applied as they are written.
pub(crate) fn check_numbers(request: &MoveRequest) -> Result<()> {
    if let Some(wrong) = request.canary.iter().find(|percent| !(1..=100).contains(*percent)) {
        return Err(Error::Malformed(Fault::at("canary", format!("shares from 1 to 100 expected, found {wrong}"))));
    }
    if request.canary.iter().rev().skip(1).any(|percent| *percent == 100) {
        let text = "100 is the switch itself, so nothing can follow it";
        return Err(Error::Malformed(Fault::at("canary", text)));
    }
    let times = [
        ("shadow_for_s", Some(request.shadow_for_s)),
        ("watch_for_s", Some(request.watch_for_s)),
        ("drain_for_s", Some(request.drain_for_s)),
        ("keep_for_s", request.keep_for_s),
        ("hold_for_s", Some(request.hold_for_s)),
    ];
    match times.into_iter().find(|(_, seconds)| seconds.is_some_and(|seconds| seconds > LONGEST_S)) {
        None => Ok(()),
        Some((name, found)) => {
            let found = found.unwrap_or_default();
            Err(Error::Malformed(Fault::at(name, format!("at most {LONGEST_S} seconds expected, found {found}"))))
        }
    }
}

/// Refuses what contradicts `replace_first`: a network that is unloaded first can neither be compared with nor kept.
pub(crate) fn check_replace_first(request: &MoveRequest) -> Result<()> {
    if !request.replace_first {
        return Ok(());
    }
    let conflict = if request.alias.is_none() {
        "only together with as: otherwise nothing is replaced"
    } else if !request.canary.is_empty() {
        "not together with canary: the two are never in memory at once"
    } else if request.hold_for_s > LONGEST_HOLD_S {
        "hold_for_s is an hour at most"
    } else if request.keep_for_s.is_some() {
        "not together with keep_for_s: the former service is not kept in memory"
    } else {
        return Ok(());
    };
    Err(Error::Malformed(Fault::at("replace_first", conflict)))
}
