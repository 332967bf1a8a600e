//! The engine of the server: services and their catalogue, aliases, jobs, model repositories, parameters, measures and
//! outputs.
//!
//! Read first: [`connector`] and [`backend`], the two seams, and [`data`], what crosses them. This crate knows no HTTP, no data
//! format and no native library.

pub mod backend;
pub mod cancel;
pub mod connector;
pub mod data;
pub mod error;
pub mod files;
pub mod labels;
pub mod measure;
pub mod name;
pub mod outputs;
pub mod parameters;
pub mod progress;
pub mod repository;
pub mod tensor;
