//! Moves whose target cannot reach the source: the command asks in its place, may die, and is gone on with.

mod failures;
mod good;
mod hostile;
mod interrupted;
mod stage;
