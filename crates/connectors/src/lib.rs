//! Input connectors: what turns the `data` of a request into samples.
//!
//! Each connector owns its parameters and its formats. Nothing here knows networks, services or HTTP routes.

pub mod csv;
pub mod image;
mod seed;
mod source;
mod split;

pub use source::outbound;
