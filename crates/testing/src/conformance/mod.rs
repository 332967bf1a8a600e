//! What every connector and every backend must do, as functions to be called from their tests. A new one is done when its
//! suite passes.

pub mod backend;
pub mod connector;

#[cfg(test)]
mod tests;
