//! Bytes between clients and handlers: connections and their bounds, bodies that come and go piece by piece, parts of a whole.
//!
//! It must not know routes, nor what a body means.

pub(super) mod body_reader;
pub(crate) mod connection;
pub(crate) mod connections;
mod own_wakes;
pub(super) mod pace;
mod patience;
pub(super) mod ranges;
pub(super) mod stream;

pub(crate) use connection::ClientAddress;
