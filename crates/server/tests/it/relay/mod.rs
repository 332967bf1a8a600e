//! Moves whose target cannot reach the source: the command asks in its place, may die, and can be started again.

mod failures;
mod good;
mod hostile;
mod interrupted;
mod stage;
