//! Chains: several calls in one request, where actions make the items of the later ones of the answers to the earlier ones.
//!
//! A chain is a tree: services answer, actions work on an answer, and other services read the pictures that an action made. [`Plan::of`]
//! checks all of it before anything computes; [`run`] asks the services, each through the [`Dispatcher`](crate::dispatch::Dispatcher) as a
//! client does, all of them as one generation of the catalogue has them.
//!
//! It must not know any action but by its traits, nor how requests and answers are written.

mod answer;
mod asked;
mod door;
mod filter;
mod names;
mod plan;
mod run;
#[cfg(test)]
mod tests;
mod together;

pub use answer::{ActionAnswer, ChainAnswer, Place, StepAnswer};
pub use asked::{AskedCall, What};
pub use door::Observer;
pub use filter::Filter;
pub use names::Members;
pub use plan::Plan;
pub use run::{Asking, run};
