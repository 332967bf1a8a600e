//! People who do unexpected things while a service moves, and services that turn out other than their files promised: a move keeps its
//! promises all the same, and ends with what is true.

mod files;
mod identity;
mod live;
mod model;
mod records;
mod requests;
mod stalled;
mod world;
