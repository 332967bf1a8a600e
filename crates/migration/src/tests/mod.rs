//! Moves with services of this process, where no file travels.

mod time;
mod together;
mod watchers;
