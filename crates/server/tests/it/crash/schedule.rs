//! Random schedules: everything that a scenario has, chosen by a seed.

use super::models::Size;
use super::scenario::{Ending, Place, Scenario, When, Who};
use super::world::Kind;
use super::{KINDS, PLACES};
use crate::chance::Chance;

/// The schedule of a seed.
pub(super) fn of(seed: u64) -> Scenario {
    let mut chance = Chance::new(seed);
    let place = *chance.one_of(PLACES);
    let mut killed: Vec<Who> = [Who::Source, Who::Target, Who::Command]
        .into_iter()
        .filter(|_| chance.one_of(&[true, false]) == &true)
        .collect();
    if killed.is_empty() {
        killed.push(Who::Target);
    }
    let targets: Vec<&Place> =
        PLACES.iter().filter(|place| place.who == Who::Target && place.when != When::Undoing).collect();
    let again = chance.one_of(&targets).name;
    let kind: Kind = *chance.one_of(&KINDS);
    Scenario {
        kind,
        size: *chance.one_of(&[Size::Small, Size::Large]),
        outside: *chance.one_of(&[true, false]),
        place,
        killed,
        ending: *chance.one_of(&[Ending::Resume, Ending::Abort]),
        again: (*chance.one_of(&[true, false, false])).then_some(again),
        seed: Some(seed),
    }
    .fitting()
}
