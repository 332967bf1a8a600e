//! What a move says at its end is true, and no move changes an alias in another way than by a switch of its own or the way back from it.

use std::path::Path;

use super::ledger::Ledger;
use super::observation::{MoveSeen, Since};
use super::world::STABLE;
use crate::server::Server;

/// What is wrong with final phases, and with changes of aliases that no person made.
pub(super) fn check(ledger: &Ledger) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, seen) in ledger.ends() {
        let problem = match seen.phase.as_str() {
            "done" => done(ledger, at, seen),
            "aborted" => aborted(ledger, at, seen),
            "rolled_back" => rolled_back(ledger, at, seen),
            _ => None,
        };
        let reason = seen.phase == "done" || seen.info["error"].is_string();
        let problem = problem.or_else(|| (!reason).then(|| "it does not say why".to_owned()));
        wrong.extend(problem.map(|problem| format!("{} is {}, but {problem}", seen.id, seen.phase)));
    }
    for name in [STABLE, "stable2"] {
        wrong.extend((1..ledger.seen.len()).filter_map(|at| unexplained(ledger, name, at)));
    }
    wrong
}

/// Certificates are there for moves that are or were done, and for no others.
pub(super) fn check_certificates(ledger: &Ledger, server: &Server) -> Vec<String> {
    let mut wrong = Vec::new();
    for seen in &ledger.last().moves {
        let status = server.send("GET", &format!("/moves/{}/certificate", seen.id), "").status;
        if (status == 200) != seen.was_done {
            wrong.push(format!("{} is {}, and its certificate is answered {status}", seen.id, seen.phase));
        }
    }
    wrong
}

/// The alias, or without one the list of services, has the verified version from the move's directory.
fn done(ledger: &Ledger, at: usize, seen: &MoveSeen) -> Option<String> {
    let verified = |place: &Path, version: Option<&String>| {
        seen.directory.as_deref() == Some(place) && version.is_some_and(|version| *version == seen.version)
    };
    let ends = &ledger.seen[at - 1..=at];
    let holds = ends.iter().any(|end| match &seen.alias {
        Some(alias) => {
            end.answers(alias).is_some_and(|(_, service)| verified(&service.directory, service.version.as_ref()))
        }
        None => end.services.values().any(|service| verified(&service.directory, service.version.as_ref())),
    });
    (!holds).then(|| match &seen.alias {
        Some(alias) => format!("{alias} does not lead to the version that was verified"),
        None => "no service has the version that was verified".to_owned(),
    })
}

/// The alias leads where it did before the move, or where a person said.
fn aborted(ledger: &Ledger, at: usize, seen: &MoveSeen) -> Option<String> {
    let alias = seen.alias.as_deref()?;
    let (began, end) = (ledger.before_move(&seen.id), &ledger.seen[at]);
    let place = end.place(alias);
    let Some(say) = ledger.last_say(alias, began, at) else {
        let before = &ledger.seen[began];
        let same =
            before.place(alias) == place && before.aliases.contains_key(alias) == end.aliases.contains_key(alias);
        return (!same).then(|| format!("{alias} is not as it was before: {:?}", end.answers(alias)));
    };
    (place != say.place.as_deref() && say.at < at)
        .then(|| format!("{alias} is not where a person pointed it: {place:?}"))
}

/// The alias leads where it did before the switch, or where a person said after it.
fn rolled_back(ledger: &Ledger, at: usize, seen: &MoveSeen) -> Option<String> {
    let alias = seen.alias.as_deref()?;
    let (began, place) = (ledger.before_move(&seen.id), ledger.seen[at].place(alias));
    let Some(say) = ledger.last_say(alias, began, at) else {
        let before = ledger.seen[began].place(alias);
        return (before != place).then(|| format!("{alias} leads to {place:?}, before the switch to {before:?}"));
    };
    if say.at == at || place == say.place.as_deref() {
        return None;
    }
    // Undone because a person asked for it after that: back to what the switch replaced.
    let asked = ledger.told.iter().any(|told| told.undo && told.id == seen.id && told.at > say.at && told.at <= at);
    let of_move = |place: Option<&Path>| place.is_some() && place == seen.directory.as_deref();
    let former = ledger.seen[began..at].iter().map(|end| end.place(alias)).find(|place| !of_move(*place));
    let undone = asked && of_move(say.place.as_deref()) && former == Some(place);
    (!undone).then(|| format!("{alias} leads to {place:?}, a person said {:?} after the switch", say.place))
}

/// A change of where a name leads that neither a person made nor a move that went on.
fn unexplained(ledger: &Ledger, name: &str, at: usize) -> Option<String> {
    let (first, next) = (&ledger.seen[at - 1], &ledger.seen[at]);
    let (from, to) = (first.place(name), next.place(name));
    let said = next.since == Since::Told;
    if from == to || said {
        return None;
    }
    let goes_on = |id: &str| first.find(id).is_none_or(|seen| !seen.is_over());
    let of_name = |seen: &&MoveSeen| seen.alias.as_deref() == Some(name) && goes_on(&seen.id);
    for seen in next.moves.iter().filter(of_name) {
        let own = seen.directory.as_deref();
        if to.is_some() && to == own {
            return overruled(ledger, name, at, seen);
        }
        let before = &ledger.seen[ledger.before_move(&seen.id)..at];
        if from == own && before.iter().any(|end| end.place(name) == to) {
            return None;
        }
    }
    let changed = format!("from {from:?} to {to:?}");
    Some(format!("{name} changed {changed}, which neither a person nor a move that goes on did"))
}

/// A switch after a person pointed the alias elsewhere, while the move had compared with what was there before.
fn overruled(ledger: &Ledger, name: &str, at: usize, seen: &MoveSeen) -> Option<String> {
    let compared =
        (0..at).find(|index| ledger.seen[*index].find(&seen.id).is_some_and(|one| one.has_come_to("shadowing")))?;
    let say = ledger.last_say(name, compared, at)?;
    let held = ledger.seen[compared].place(name);
    (say.place.as_deref() != held).then(|| {
        let place = &say.place;
        format!("{} switched {name}, which a person had pointed to {place:?} while it compared with {held:?}", seen.id)
    })
}
