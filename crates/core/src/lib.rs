//! The engine of the server: services and their catalogue, aliases, jobs, model repositories, parameters, measures and
//! outputs.
//!
//! Read first: [`connector`] and [`backend`], the two seams, and [`data`], what crosses them. This crate knows no HTTP, no data
//! format and no native library.

pub mod admission;
pub mod backend;
pub mod cancel;
pub mod catalogue;
pub mod connector;
pub mod data;
pub mod environment;
pub mod error;
pub mod files;
pub mod job;
pub mod labels;
pub mod measure;
pub mod name;
pub mod output;
pub mod outputs;
pub mod parameters;
pub mod progress;
pub mod repository;
pub mod service;
pub mod statistics;
pub mod tensor;
