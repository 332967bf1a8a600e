//! The seam to the actions of chains: what makes, of the answer of one service, the images that the next ones read.
//!
//! An action is a stateless factory in a list of the server, as connectors and backends are. It sees answers and pictures, and its own
//! parameters; never a request, nor other calls of the chain.

use crate::error::Result;
use crate::outputs::Corners;
use crate::parameters::Section;
use crate::parameters::keys::KeyTable;
use crate::picture::{KeptPicture, Picture};
use crate::request_memory::MemoryShare;

/// One per type of action.
pub trait Action: Send + Sync {
    /// The name in `action.type`.
    fn name(&self) -> &'static str;

    /// Every key of `action.parameters` that there is, applied or refused. Parameters are checked against it before they come here.
    fn keys(&self) -> KeyTable;

    /// Resolves the parameters once.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] or [`crate::error::Error::BadParameter`] naming the parameter.
    fn prepare(&self, parameters: &Section) -> Result<Box<dyn PreparedAction>>;
}

/// What an action leaves behind, where that is decided by its parameters alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yield {
    /// Nothing for other calls: it changes the answer in place.
    Nothing,
    /// One picture for each class of an answer.
    PerClass,
    /// One picture for each item.
    PerItem {
        /// They are a part of the chain's answer.
        is_shown: bool,
    },
}

/// An action with its parameters.
pub trait PreparedAction: Send + Sync {
    /// What it leaves behind.
    fn yields(&self) -> Yield;

    /// Works on the answer to a call. Memory of new pictures is counted in `memory` before it is allocated.
    ///
    /// # Errors
    /// [`crate::error::Error::BadAction`] for an answer that it cannot work on; [`crate::error::Error::BadInput`] where no image comes of
    /// it; those of the memory.
    fn apply(&self, items: &[Seen<'_>], memory: &MemoryShare) -> Result<Effect>;
}

/// What a service answered for one item, as an action sees it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Its name.
    pub uri: &'a str,
    /// Its image; `None` where the action yields none and no other one needs it.
    pub kept: Option<&'a KeptPicture>,
    /// Its classes or boxes as they are answered, the best one first.
    pub found: &'a [Found],
}

/// A class or a box of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its name.
    pub class: String,
    /// Its probability.
    pub score: f32,
    /// Where it is, in pixels of the image as it came; only of detections.
    pub corners: Option<Corners>,
}

/// What an action did.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Of each item, whether each of its classes stays.
    Kept(Vec<Vec<bool>>),
    /// Pictures, in the order of items and classes; some items or classes may have none.
    Made(Vec<Made>),
}

/// A picture, and what it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// Number of the item.
    pub item: usize,
    /// Number of the class among those that the action saw; `None`: the whole item.
    pub class: Option<usize>,
    /// The picture.
    pub picture: Picture,
}
