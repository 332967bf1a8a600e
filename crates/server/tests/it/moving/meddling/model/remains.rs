//! What is there in the end: no directory of a person was touched, nothing of an aborted move is left, every service that a person has
//! is listed and answers, also after a restart, or says truly why not.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use super::cast::Cast;
use super::ledger::{Claim, Ledger};
use super::observation::{Observation, ServiceSeen};
use crate::models::read_classes;
use crate::server::Server;
use crate::tree::{Tree, tree};

/// As the server says that another network took the place of this one.
const GAVE_UP_ITS_PLACE: &str = "another took its place in memory";

pub(super) fn check(ledger: &Ledger) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend(ledger.trees.iter().filter_map(|(directory, before)| touched(ledger, directory, before)));
    wrong.extend(ledger.claims.iter().filter_map(|claim| missing(ledger, claim)));
    wrong.extend(shared(ledger));
    wrong.extend(left_over(ledger));
    wrong
}

/// A directory of a person that is another one now. Where a move works with it too, files beside the person's do not count.
fn touched(ledger: &Ledger, directory: &Path, before: &Tree) -> Option<String> {
    let mut now = tree(directory);
    let mut before = before.clone();
    if ledger.is_of_a_move(directory) {
        before.remove("config.json");
        now.retain(|name, _| before.contains_key(name));
    }
    let what = crate::tree::difference(&before, &now)?;
    Some(format!("{}, which belongs to a person, is not as it was: {what}", directory.display()))
}

/// A service that a person has and that is not listed, or is another one.
fn missing(ledger: &Ledger, claim: &Claim) -> Option<String> {
    let directory = &claim.directory;
    let listed: Vec<_> = ledger.last().in_directory(directory).collect();
    let claimed = ledger.claims.iter().filter(|other| other.directory == *directory).count();
    if listed.len() < claimed && !left_memory(ledger, directory) {
        let (directory, listed) = (directory.display(), listed.len());
        return Some(format!(
            "{claimed} services of people are in {directory}, {listed} are listed; no person deleted one"
        ));
    }
    let same = |seen: &ServiceSeen| claim.version.is_none() || seen.version.is_none() || seen.version == claim.version;
    // Services that share a directory take what was trained there last when they are loaded again.
    let alone = listed.len() == 1 && claimed == 1 && !ledger.cleared.contains(directory);
    let changed = alone && !listed.iter().any(|(_, seen)| same(seen));
    changed.then(|| format!("the service in {} is not the version that a person left: {listed:?}", directory.display()))
}

/// Whether a service left memory when the time was over for which a move kept it.
fn left_memory(ledger: &Ledger, directory: &Path) -> bool {
    let place = directory.display().to_string();
    let outcomes = ledger.last().moves.iter().filter_map(|seen| seen.kept.as_ref()?.as_ref());
    outcomes.into_iter().any(|outcome| outcome.contains("left memory") && outcome.contains(&place))
}

/// Directories with more services than people created on them.
fn shared(ledger: &Ledger) -> Vec<String> {
    let directories: BTreeSet<_> = ledger.last().services.values().map(|seen| &seen.directory).collect();
    let many = directories.into_iter().filter_map(|directory| {
        let names: Vec<_> = ledger.last().in_directory(directory).map(|(name, _)| name.as_str()).collect();
        let created = ledger.claims.iter().filter(|claim| claim.directory == *directory).count();
        let most = if ledger.adopted.contains(directory) { created + 1 } else { created.max(1) };
        (names.len() > most).then(|| format!("{} has several services: {names:?}", directory.display()))
    });
    many.collect()
}

/// What aborted moves left: directories and services.
fn left_over(ledger: &Ledger) -> Vec<String> {
    let last = ledger.last();
    let mut wrong = Vec::new();
    for seen in last.moves.iter().filter(|seen| seen.phase == "aborted") {
        let Some(directory) = &seen.directory else { continue };
        let others = last.moves.iter().filter(|other| other.id != seen.id && other.phase != "aborted");
        let used = others.into_iter().any(|other| other.directory.as_ref() == Some(directory));
        let said = ledger.says.iter().any(|say| say.place.as_ref() == Some(directory)) || was_share(ledger, directory);
        if used || said || ledger.trees.contains_key(directory) || ledger.cleared.contains(directory) {
            continue;
        }
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        let partial = directory.with_file_name(format!(".{name}.partial"));
        let left =
            [directory, &partial].into_iter().filter(|place| place.exists() && !ledger.trees.contains_key(*place));
        wrong.extend(left.map(|place| format!("{} is aborted and left {}", seen.id, place.display())));
        let listed: Vec<_> = last.in_directory(directory).map(|(name, _)| name).collect();
        if !listed.is_empty() {
            wrong.push(format!("{} is aborted and left services: {listed:?}", seen.id));
        }
    }
    wrong
}

/// Whether a service in this directory was the canary of an alias at some time.
fn was_share(ledger: &Ledger, directory: &Path) -> bool {
    ledger.seen.iter().any(|seen| {
        let canaries = seen.aliases.values().filter_map(|alias| seen.services.get(alias.canary.as_ref()?));
        canaries.into_iter().any(|service| service.directory == directory)
    })
}

/// Every listed service and every alias answers as its version does, or says truly why not.
pub(super) fn check_answers(ledger: &Ledger, cast: &Cast, server: &Server, when: &str) -> Vec<String> {
    let (seen, body) = (ledger.last(), &cast.inputs[0]);
    let mut wrong = Vec::new();
    for name in seen.services.keys().chain(seen.aliases.keys()) {
        let Some((_, service)) = seen.answers(name) else {
            wrong.push(format!("{when}, {name} leads to no service"));
            continue;
        };
        let request = json!({"service": name, "parameters": {"output": {"best": 3}}, "data": [body]});
        let response = server.send("POST", "/predict", &request.to_string());
        let answer = response.json().unwrap_or_default();
        let text = String::from_utf8_lossy(&response.body).into_owned();
        let true_reason = text.contains(GAVE_UP_ITS_PLACE) && seen.moves.iter().any(|one| one.replaces_first)
            || ledger.cleared.contains(&service.directory) && text.contains(&service.directory.display().to_string());
        if response.status != 200 {
            if !true_reason {
                wrong.push(format!("{when}, {name} answers {}: {text}", response.status));
            }
            continue;
        }
        let version = response.header("x-dede-served-by").and_then(|header| header.split_once('@')).map(|(_, it)| it);
        let classes = read_classes(&answer).unwrap_or_default();
        let right = version == service.version.as_deref() && version.is_some_and(|it| cast.answers_so(it, 0, &classes));
        // A canary answers some requests of an alias.
        let shared = seen.aliases.get(name).is_some_and(|alias| alias.canary.is_some());
        if !right && !shared {
            wrong.push(format!("{when}, {name} is answered by {version:?}, listed is {:?}", service.version));
        }
    }
    wrong
}

/// A restart changes nothing that is listed.
pub(super) fn check_restart(ledger: &Ledger, before: &Observation) -> Vec<String> {
    let after = ledger.last();
    let mut wrong = Vec::new();
    let names = before.services.keys().chain(after.services.keys()).collect::<BTreeSet<_>>();
    for name in names {
        let (old, new) = (before.services.get(name), after.services.get(name));
        let same = match (old, new) {
            (Some(old), Some(new)) => {
                let alone = after.in_directory(&new.directory).count() == 1 && !ledger.cleared.contains(&new.directory);
                let unknown = old.version.is_none() || new.version.is_none();
                old.directory == new.directory && (old.version == new.version || unknown || !alone)
            }
            _ => false,
        };
        if !same {
            wrong.push(format!("the restart made of {name} {old:?} {new:?}"));
        }
    }
    if before.aliases != after.aliases {
        wrong.push(format!("the restart made of aliases {:?} {:?}", before.aliases, after.aliases));
    }
    let phases =
        |seen: &Observation| seen.moves.iter().map(|one| (one.id.clone(), one.phase.clone())).collect::<Vec<_>>();
    if phases(before) != phases(after) {
        wrong.push(format!("the restart made of moves {:?} {:?}", phases(before), phases(after)));
    }
    wrong
}
