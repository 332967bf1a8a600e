//! What people did and were told, and what was seen between: the model that a server is held against.
//!
//! Services are followed by their directories, which no rename changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::observation::{MoveSeen, Observation};
use crate::tree::{Tree, tree};

/// A service that a person has: created, or trained where a move had created it.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) directory: PathBuf,
    /// Its version, where the person knows it.
    pub(super) version: Option<String>,
}

/// A person had a say in where a name leads.
#[derive(Debug, Clone)]
pub(super) struct Say {
    /// The observation after it.
    pub(super) at: usize,
    pub(super) name: String,
    /// Directory of the service that answers from then on; `None` for nothing.
    pub(super) place: Option<PathBuf>,
}

/// A person told a move something, and it was accepted.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// The observation after it.
    pub(super) at: usize,
    pub(super) id: String,
    /// Of what it did: `abort` or `rollback`.
    pub(super) undo: bool,
}

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) seen: Vec<Observation>,
    pub(super) says: Vec<Say>,
    pub(super) told: Vec<Told>,
    pub(super) claims: Vec<Claim>,
    /// Directories of people, as they left them.
    pub(super) trees: BTreeMap<PathBuf, Tree>,
    /// Directories that a move had made, and on which a person created a service besides.
    pub(super) adopted: BTreeSet<PathBuf>,
    /// Directories whose files a person removed.
    pub(super) cleared: BTreeSet<PathBuf>,
    /// What was found wrong while it was done.
    pub(super) wrong: Vec<String>,
}

impl Ledger {
    pub(super) fn last(&self) -> &Observation {
        self.seen.last().unwrap()
    }

    /// A person says where a name leads from now on, with the latest observation.
    pub(super) fn say(&mut self, name: &str, place: Option<PathBuf>) {
        self.says.push(Say { at: self.seen.len() - 1, name: name.to_owned(), place });
    }

    /// The latest observation is the first one after a change of a directory that belongs to a person.
    pub(super) fn keep_tree(&mut self, directory: &Path) {
        self.trees.insert(directory.to_owned(), tree(directory));
    }

    /// A person created a service; one on a directory without a network says so when it is asked.
    pub(super) fn claim(&mut self, directory: &Path, version: Option<String>) {
        if version.is_some() {
            self.cleared.remove(directory);
        }
        self.claims.push(Claim { directory: directory.to_owned(), version });
        self.keep_tree(directory);
    }

    /// A person trained a service: it is that person's now, even if a move created it.
    pub(super) fn trained(&mut self, directory: &Path, version: Option<String>) {
        match self.claims.iter_mut().find(|claim| claim.directory == directory) {
            Some(claim) => claim.version = version,
            None => self.claims.push(Claim { directory: directory.to_owned(), version }),
        }
        self.cleared.remove(directory);
        self.keep_tree(directory);
    }

    /// A person deleted a service, and with it these files: none of them stays where `clears`.
    pub(super) fn deleted(&mut self, directory: &Path, clears: bool) {
        if let Some(found) = self.claims.iter().position(|claim| claim.directory == directory) {
            self.claims.remove(found);
        }
        if clears {
            self.trees.remove(directory);
            self.cleared.insert(directory.to_owned());
        }
    }

    /// Whether some move has its files in this directory.
    pub(super) fn is_of_a_move(&self, directory: &Path) -> bool {
        self.last().moves.iter().any(|seen| seen.directory.as_deref() == Some(directory))
    }

    /// The last say on a name up to an observation, among those after another one.
    pub(super) fn last_say(&self, name: &str, after: usize, until: usize) -> Option<&Say> {
        self.says.iter().rev().find(|say| say.name == name && say.at > after && say.at <= until)
    }

    /// The last observation before a move was there.
    pub(super) fn before_move(&self, id: &str) -> usize {
        self.seen.iter().position(|seen| seen.find(id).is_some()).unwrap_or(self.seen.len()).saturating_sub(1)
    }

    /// Each move with each observation in which it is in a final phase that it was not in before.
    pub(super) fn ends(&self) -> Vec<(usize, &MoveSeen)> {
        let mut ends = Vec::new();
        for (at, seen) in self.seen.iter().enumerate() {
            for one in seen.moves.iter().filter(|one| one.is_over()) {
                let before = at.checked_sub(1).and_then(|before| self.seen[before].find(&one.id));
                if before.is_none_or(|before| before.phase != one.phase) {
                    ends.push((at, one));
                }
            }
        }
        ends
    }
}

/// Whether a text says one of these directories.
pub(super) fn names_one_of(directories: &BTreeSet<PathBuf>, text: &str) -> bool {
    directories.iter().any(|directory| text.contains(&directory.display().to_string()))
}
