//! People who do unexpected things while a service moves, and services that turn out other than their files promised: a move keeps its
//! promises all the same, and ends with what is true.

mod endings;
mod files;
mod identity;
mod live;
mod manual;
mod model;
mod reader;
mod records;
mod requests;
mod stalled;
mod varying;
mod versions;
mod world;
