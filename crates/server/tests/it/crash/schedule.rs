//! Random schedules: everything that a scenario has, chosen by a seed.

use super::models::Size;
use super::scenario::{Ending, Place, Scenario, When, Who};
use super::world::Kind;
use super::{KINDS, PLACES};

/// The schedule of a seed.
pub(super) fn of(seed: u64) -> Scenario {
    let mut chance = Chance(seed);
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

/// SplitMix64: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn one_of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        let index = self.next() % things.len() as u64;
        &things[usize::try_from(index).unwrap()]
    }
}
