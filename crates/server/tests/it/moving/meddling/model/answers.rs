//! Every request that was answered was answered by a version that its name had then, and none failed without a cause that the model
//! knows.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::asking::{Answer, Asked};
use super::cast::Cast;
use super::ledger::{Ledger, names_one_of};
use super::observation::{Observation, Since, short};
use super::world::STABLE;

/// What clients may see between two observations.
struct Allowed<'a> {
    first: &'a Observation,
    next: &'a Observation,
    versions: BTreeSet<String>,
    /// Nothing had the name at one of its ends.
    nothing: bool,
    /// Directories whose files a person removed: their services say so after a restart.
    cleared: &'a BTreeSet<PathBuf>,
    /// Requests may be held too long, or find a network that left memory.
    held: bool,
    /// The server was down.
    down: bool,
}

/// What is wrong with these requests; the first few of each kind.
pub(super) fn check(ledger: &Ledger, cast: &Cast, asked: &[Asked]) -> Vec<String> {
    let allowed: Vec<Allowed<'_>> = (1..ledger.seen.len()).map(|next| allowed(ledger, next)).collect();
    let mut wrong = Vec::new();
    for one in asked {
        // The first interval that ends after the request began.
        let from = allowed.partition_point(|interval| interval.next.ended < one.began);
        let during = || allowed[from..].iter().take_while(|interval| interval.first.began <= one.ended);
        if during().any(|interval| interval.permits(one, cast)) {
            continue;
        }
        let right: BTreeSet<_> =
            during().flat_map(|interval| &interval.versions).map(|version| short(Some(version)).to_owned()).collect();
        let what = match &one.answer {
            Answer::Version(version, _) if right.contains(short(Some(version))) => {
                "numbers of another version".to_owned()
            }
            Answer::Version(version, _) => format!("answered by {}", short(Some(version))),
            Answer::Failed(status, text) => format!("failed with {status}: {text}"),
        };
        let when = one.ended.duration_since(ledger.seen[0].began).as_secs_f64();
        wrong.push(format!("a request of {when:.3} s was {what}; right is {right:?}"));
    }
    let more = wrong.len().saturating_sub(3);
    wrong.truncate(3);
    if more > 0 {
        wrong.push(format!("and {more} more requests"));
    }
    wrong
}

fn allowed(ledger: &Ledger, next: usize) -> Allowed<'_> {
    let (first, next_seen) = (&ledger.seen[next - 1], &ledger.seen[next]);
    let ends = [first, next_seen];
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for seen in ends {
        names.extend(seen.answers(STABLE).map(|(name, _)| name));
        names.extend(seen.aliases.get(STABLE).and_then(|alias| alias.canary.as_deref()));
    }
    let (from, to) = (first.aliases.get(STABLE), next_seen.aliases.get(STABLE));
    let generation = from.map_or(0, |alias| alias.generation);
    let steps = to.iter().flat_map(|alias| &alias.steps).filter(|(began, _)| *began > generation);
    names.extend(steps.map(|(_, name)| name.as_str()));
    // An alias that is gone tells no steps: it may have gone back in its history before.
    if to.is_none_or(|alias| alias.generation < generation) {
        names.extend(from.iter().flat_map(|alias| &alias.steps).map(|(_, name)| name.as_str()));
    }
    let mut versions: BTreeSet<String> = BTreeSet::new();
    for name in names {
        // What is listed at neither end was listed before.
        let seen: Vec<_> = ends.into_iter().filter_map(|seen| seen.services.get(name)).collect();
        let before = || ledger.seen[..next].iter().rev().find_map(|seen| seen.services.get(name));
        let seen = if seen.is_empty() { before().into_iter().collect() } else { seen };
        versions.extend(seen.into_iter().filter_map(|seen| seen.version.clone()));
    }
    // Shares that a move gives to its service come and go.
    let of_moves =
        first.moves.iter().filter(|seen| seen.has_canary && !seen.is_over()).map(|seen| seen.version.clone());
    versions.extend(of_moves);
    // A switch and the way back from it may both lie between the two.
    let went_on = |id: &str| first.find(id).is_none_or(|seen| !seen.is_over());
    let switched = next_seen
        .moves
        .iter()
        .filter(|seen| ["switching", "watching", "draining", "done", "rolled_back"].contains(&seen.phase.as_str()));
    versions.extend(switched.filter(|seen| went_on(&seen.id)).map(|seen| seen.version.clone()));
    let called = next_seen.since == Since::Told;
    let exchanges = next_seen.moves.iter().filter(|seen| seen.replaces_first);
    Allowed {
        first,
        next: next_seen,
        versions,
        cleared: &ledger.cleared,
        nothing: ends.iter().any(|seen| seen.answers(STABLE).is_none()),
        held: exchanges.into_iter().any(|seen| called || went_on(&seen.id)),
        down: next_seen.since == Since::Down,
    }
}

impl Allowed<'_> {
    fn permits(&self, asked: &Asked, cast: &Cast) -> bool {
        match &asked.answer {
            Answer::Version(version, classes) => {
                self.versions.contains(version) && cast.answers_so(version, asked.input, classes)
            }
            Answer::Failed(404, _) => self.nothing || self.down,
            Answer::Failed(503, _) => self.held || self.down,
            Answer::Failed(500, text) => self.down || names_one_of(self.cleared, text),
            Answer::Failed(..) => self.down,
        }
    }
}
