//! Files on this machine: written so that a crash loses nothing, found without being led astray, and held still by tests.
//!
//! Read first: [`files`] writes by path, [`draft`] in an open directory; [`Roots`] and [`FileAccess`] say where a path may lead. This
//! crate knows no formats, no services and no networks. Everything in it blocks.

pub mod draft;
mod error;
mod failpoint;
mod file_access;
pub mod files;
mod place;
mod roots;

pub use error::{Error, Result};
pub use failpoint::{failpoint, failpoint_at};
pub use file_access::{FileAccess, Kind};
pub use place::{DirectoryIdentity, Place, Relation};
pub use roots::{Misplaced, Roots};
