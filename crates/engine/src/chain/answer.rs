//! The answer to a chain, before a protocol renders it: a tree of the answers of services.
//!
//! It must not know how they came about.

use std::sync::Arc;
use std::time::Duration;

use dede_model::labels::Labels;
use dede_model::outputs::Outputs;
use dede_model::picture::Picture;
use dede_model::request_memory::MemoryShare;

use crate::name::ServiceName;
use crate::output::OutputOptions;

/// The answer to a chain.
#[derive(Debug)]
pub struct ChainAnswer {
    /// That of its first call, with what follows from it.
    pub first: StepAnswer,
    /// All of it.
    pub took: Duration,
}

/// The answer to one call.
#[derive(Debug)]
pub struct StepAnswer {
    /// Number of the call in the chain.
    pub position: usize,
    /// The name that was asked.
    pub asked: ServiceName,
    /// The service that answered.
    pub service: Arc<ServiceName>,
    /// Its version: `sha256:…`.
    pub version: Arc<str>,
    /// What the model said.
    pub outputs: Outputs,
    /// A name for each item.
    pub uris: Vec<String>,
    /// Names of classes.
    pub labels: Arc<Labels>,
    /// How it is to be rendered.
    pub output: OutputOptions,
    /// Of each item, which of the classes that are listed stay, by their places in the list; `None`: all of them.
    pub stays: Option<Vec<Vec<usize>>>,
    /// What actions made of it, in the order of the calls.
    pub actions: Vec<ActionAnswer>,
    /// What it is counted in.
    pub memory: MemoryShare,
}

/// What an action made.
#[derive(Debug)]
pub struct ActionAnswer {
    /// Its id.
    pub id: String,
    /// What each picture shows.
    pub places: Vec<Place>,
    /// The pictures, where they are a part of the answer.
    pub shown: Option<Vec<Picture>>,
    /// The answers of the services that read the pictures; an item each.
    pub steps: Vec<StepAnswer>,
    /// What shown pictures are counted in.
    pub memory: MemoryShare,
}

/// What a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the item of the answer.
    pub item: usize,
    /// Place of the class in the list of the item; `None`: the whole item.
    pub class: Option<usize>,
}

impl ChainAnswer {
    /// The calls that services answered, in their order.
    pub fn steps(&self) -> Vec<&StepAnswer> {
        let mut steps = Vec::new();
        let mut left = vec![&self.first];
        while let Some(step) = left.pop() {
            steps.push(step);
            left.extend(step.actions.iter().flat_map(|action| &action.steps));
        }
        steps.sort_by_key(|step| step.position);
        steps
    }
}
