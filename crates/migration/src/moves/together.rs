//! Moves that switch together: what is refused when they are asked for, and how a restart finds them again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dede_engine::move_id::MoveId;
use dede_model::error::{Error, Fault, Result};
use dede_storage::Place;

use crate::handle::company::Company;
use crate::record::{MovePhase, MoveRecord, MoveSpec};
use crate::relays;
use crate::source::upload;

/// Most services that switch together: as many as moves go on at once.
pub(super) const MOST: usize = super::AT_ONCE;

/// Refuses what cannot be asked for together.
///
/// # Errors
/// [`Error::Malformed`] naming the member of the request.
pub(super) fn check(specs: &[MoveSpec]) -> Result<()> {
    let refused = |at: &str, reason: String| Err(Error::Malformed(Fault::at(at, reason)));
    let Some(first) = specs.first().filter(|_| specs.len() > 1) else {
        return refused("also", "another service expected".into());
    };
    if specs.len() > MOST {
        return refused("also", format!("{MOST} services together at most expected, found {}", specs.len()));
    }
    if first.source.starts_with(relays::PREFIX) {
        return refused("source", "not together with also: a relay asks for one service".into());
    }
    if first.source.starts_with(upload::PREFIX) {
        return refused("source", "not together with also: an upload is one service".into());
    }
    if first.replace_first {
        let reason = "not together with also: requests would wait until the last network is loaded";
        return refused("replace_first", reason.into());
    }
    if !first.canary.is_empty() {
        let reason = "not together with also: shares are drawn for each alias, so clients would meet new and former services together";
        return refused("canary", reason.into());
    }
    let (mut services, mut names, mut places) = (BTreeSet::new(), BTreeSet::new(), Vec::<Place>::new());
    for (index, spec) in specs.iter().enumerate() {
        let at = |member: &str| if index == 0 { member.to_owned() } else { format!("also[{}].{member}", index - 1) };
        let Some(alias) = spec.alias() else {
            return refused(&at("as"), "the alias that switches together with the others expected".into());
        };
        if !services.insert(&spec.service) {
            return refused(&at("service"), format!("{} moves already", spec.service));
        }
        // The alias and the service may be called alike: then the service gets another name.
        let own: BTreeSet<_> = spec.name_here().into_iter().chain([alias.clone()]).collect();
        if let Some(name) = own.iter().find(|name| names.contains(*name)) {
            return refused(&at("as"), format!("{name} is another's name or alias already"));
        }
        names.extend(own);
        if let Some(place) = spec.repository.as_deref().map(Place::of) {
            if places.iter().any(|other| other.overlaps(&place)) {
                return refused(&at("repository"), "another's directory, or one in it or around it".into());
            }
            places.push(place);
        }
    }
    Ok(())
}

/// The companies of all moves that are recorded, by the numbers of their members. Of moves that were damaged nothing is known.
pub(super) fn companies(records: &[MoveRecord]) -> BTreeMap<MoveId, Arc<Company>> {
    let mut found = BTreeMap::new();
    for record in records.iter().filter(|record| !record.together.is_empty()) {
        if !found.contains_key(&record.id) {
            let company = Company::of(record.together.clone());
            // A damaged one stands in the list of the others.
            found.extend(record.together.iter().map(|id| (*id, Arc::clone(&company))));
        }
    }
    found
}

/// Moves that switched together are done when all are recorded so: one whose others are not goes on, or back with them.
pub(super) fn reopen(records: &mut [MoveRecord]) {
    let phases: BTreeMap<MoveId, MovePhase> = records.iter().map(|record| (record.id, record.phase)).collect();
    let is_left = |id: &MoveId| match phases.get(id) {
        // What is not known any more was done, and is forgotten.
        None | Some(MovePhase::Done | MovePhase::Damaged) => false,
        Some(
            MovePhase::Planned
            | MovePhase::Copying
            | MovePhase::Loading
            | MovePhase::Warming
            | MovePhase::Verifying
            | MovePhase::Shadowing
            | MovePhase::Switching
            | MovePhase::Watching
            | MovePhase::Draining
            | MovePhase::Aborted
            | MovePhase::RolledBack,
        ) => true,
    };
    for record in records.iter_mut().filter(|record| record.phase == MovePhase::Done) {
        if record.together.iter().any(is_left) {
            record.phase = MovePhase::Draining;
            record.report.phases.pop_if(|last| last.phase == MovePhase::Done);
        }
    }
}

#[cfg(test)]
mod tests {
    use MovePhase::{Aborted, Damaged, Done, Draining, RolledBack, Watching};
    use serde_json::{Value, json};

    use super::*;

    fn spec(members: &Value) -> MoveSpec {
        let mut asked = json!({"service": "d", "source": "dev", "as": "detector"});
        asked.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        serde_json::from_value(asked).unwrap()
    }

    #[test]
    fn what_cannot_go_together_is_refused_with_its_member() {
        let reader = json!({"service": "r", "as": "reader"});
        let nine: Vec<Value> = (1..9).map(|n| json!({"service": format!("s{n}"), "as": format!("a{n}")})).collect();
        for (first, others, expected) in [
            (json!({}), vec![reader.clone()], None),
            (json!({"service": "detector"}), vec![json!({"service": "reader", "as": "reader"})], None),
            (json!({"auto": true, "keep_for_s": 5, "with_requests": true}), vec![reader.clone()], None),
            (json!({}), vec![], Some("another service expected (also)")),
            (json!({}), nine, Some("8 services together at most expected, found 9 (also)")),
            (
                json!({"source": "relay:ab:http://a"}),
                vec![reader.clone()],
                Some("a relay asks for one service (source)"),
            ),
            (json!({"source": "upload:sha256:ab"}), vec![reader.clone()], Some("an upload is one service (source)")),
            (json!({"replace_first": true}), vec![reader.clone()], Some("(replace_first)")),
            (json!({"canary": [5]}), vec![reader.clone()], Some("(canary)")),
            (json!({"as": null}), vec![reader.clone()], Some("(as)")),
            (json!({}), vec![json!({"service": "r", "as": null})], Some("(also[0].as)")),
            (json!({}), vec![json!({"service": "d", "as": "reader"})], Some("d moves already (also[0].service)")),
            (json!({}), vec![json!({"service": "r", "as": "Detector"})], Some("detector is another's name")),
            (json!({}), vec![reader.clone(), json!({"service": "x", "as": "d"})], Some("(also[1].as)")),
            (
                json!({"repository": "/srv/a"}),
                vec![json!({"service": "r", "as": "reader", "repository": "/srv/a/b"})],
                Some("(also[0].repository)"),
            ),
        ] {
            let specs: Vec<MoveSpec> = std::iter::once(&first).chain(&others).map(spec).collect();
            let found = check(&specs).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(found, Ok(()), "{first} {others:?}"),
                Some(text) => {
                    assert!(found.as_ref().is_err_and(|found| found.contains(text)), "{first} {others:?}: {found:?}")
                }
            }
        }
    }

    #[test]
    fn one_is_done_when_all_are() {
        let record = |id: u64, phase: MovePhase, together: &[u64]| {
            let mut record = MoveRecord::new(MoveId(id), spec(&json!({})), "ab".into());
            record.phase = phase;
            record.together = together.iter().copied().map(MoveId).collect();
            record
        };
        for (phases, expected) in [
            (vec![Done, Done, Done], vec![Done, Done, Done]),
            (vec![Done, Watching, Done], vec![Draining, Watching, Draining]),
            (vec![RolledBack, Done, Done], vec![RolledBack, Draining, Draining]),
            (vec![Aborted, Aborted, Aborted], vec![Aborted, Aborted, Aborted]),
            (vec![Damaged, Done, Done], vec![Damaged, Done, Done]),
            // The third is forgotten.
            (vec![Done, Done], vec![Done, Done]),
        ] {
            let mut records: Vec<MoveRecord> =
                phases.iter().zip(1..).map(|(phase, id)| record(id, *phase, &[1, 2, 3])).collect();
            records.push(record(7, Done, &[]));
            reopen(&mut records);
            let found: Vec<MovePhase> = records.iter().map(|record| record.phase).collect();
            assert_eq!(found, [&expected[..], &[Done]].concat());
            let companies = companies(&records);
            assert_eq!(companies.keys().copied().collect::<Vec<_>>(), [1, 2, 3].map(MoveId));
            assert!(Arc::ptr_eq(&companies[&MoveId(1)], &companies[&MoveId(3)]));
        }
    }
}
