//! The names under which answers stand within others, each of them once.
//!
//! It must not know how answers are written, but for the members that they have already.

use std::collections::BTreeSet;

use dede_model::error::{Error, Result};
use dede_model::quote::quote;

/// Names that a protocol gives to other things.
#[derive(Debug, Clone, Copy, Default)]
pub struct Members {
    /// In the answer for an item.
    pub of_items: &'static [&'static str],
    /// In a class of an answer.
    pub of_classes: &'static [&'static str],
}

/// Where an answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Home {
    /// Beside the first answer for its item.
    Item,
    /// In a class of the answer to this service call.
    ClassOf(usize),
}

/// Names that are taken, by where they stand.
#[derive(Debug, Default)]
pub(super) struct Names {
    members: Members,
    taken: BTreeSet<(Home, String)>,
}

impl Names {
    /// None but those of the protocol.
    pub(super) fn new(members: Members) -> Self {
        Self { members, taken: BTreeSet::new() }
    }

    /// Takes a name.
    ///
    /// # Errors
    /// [`Error::BadChain`], in the words of the original, where it is taken.
    pub(super) fn take(&mut self, home: Home, name: &str) -> Result<()> {
        let members = match home {
            Home::Item => self.members.of_items,
            Home::ClassOf(_) => self.members.of_classes,
        };
        if !members.contains(&name) && self.taken.insert((home, name.to_owned())) {
            return Ok(());
        }
        let name = quote(name);
        Err(Error::bad_chain(format!("This key already exists and cannot be used to reference model output: {name}")))
    }
}
