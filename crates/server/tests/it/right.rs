//! Which versions may answer a request, from its start to its end.
//!
//! A version is known by its number among the models of a test. What is right changes when a test says so, or by a
//! turn: from some moment on another version answers, and a request that begins after the first such answer must get
//! that version too.

use std::collections::VecDeque;

/// Number of a version.
pub(crate) type Version = usize;

/// What was right since the beginning, and the turns to come.
#[derive(Debug, Clone)]
pub(crate) struct Right {
    was: Vec<Vec<Version>>,
    to_come: VecDeque<Version>,
}

impl Right {
    pub(crate) fn only(version: Version) -> Self {
        Self { was: vec![vec![version]], to_come: VecDeque::new() }
    }

    /// The moment that a request begins in.
    pub(crate) fn now(&self) -> usize {
        self.was.len() - 1
    }

    /// From now on these, and no turn is expected.
    pub(crate) fn set(&mut self, versions: &[Version]) {
        self.was.push(versions.to_vec());
        self.to_come.clear();
    }

    /// The server will turn to these, one after the other, each for all clients at once.
    pub(crate) fn turns(&mut self, versions: &[Version]) {
        self.to_come = versions.iter().copied().collect();
    }

    /// Whether all turns were seen.
    pub(crate) fn has_turned(&self) -> bool {
        self.to_come.is_empty()
    }

    /// Whether this version may answer, now, a request that began in the moment `began`.
    pub(crate) fn check(&mut self, began: usize, version: Version) -> bool {
        if self.was[began..].iter().any(|versions| versions.contains(&version)) {
            return true;
        }
        let turns = self.to_come.front() == Some(&version);
        if turns {
            self.to_come.pop_front();
            self.was.push(vec![version]);
        }
        turns
    }
}

#[test]
fn after_the_first_answer_of_a_turn_nobody_who_asks_gets_the_former_version() {
    let mut right = Right::only(0);
    let early = right.now();
    assert!(!right.check(early, 1), "no turn is expected");
    right.turns(&[1, 0]);
    assert!(right.check(right.now(), 0) && right.check(early, 1) && !right.has_turned());
    let turned = right.now();
    assert!(right.check(early, 0), "it began before the turn");
    assert!(right.check(turned, 1));
    assert!(right.check(turned, 0) && right.has_turned(), "the turn back");
    assert!(!right.check(right.now(), 1));
    assert!(right.check(turned, 1), "it began before the turn back");
    right.set(&[0, 1]);
    assert!(right.check(right.now(), 1) && right.check(right.now(), 0));
}
