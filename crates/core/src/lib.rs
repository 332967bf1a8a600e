//! The engine of the server: services and their catalogue, aliases, jobs, model repositories, parameters, measures and
//! outputs.
//!
//! Read first: [`connector`] and [`backend`], the two seams, and [`data`], what crosses them. This crate knows no HTTP, no data
//! format and no native library.

pub mod backend;
pub mod call;
pub mod caller;
pub mod cancel;
pub mod capture;
pub mod catalogue;
pub mod comparison;
pub mod connector;
pub mod data;
pub mod dispatch;
pub mod egress;
pub mod environment;
pub mod error;
pub mod file_access;
pub mod files;
pub mod job;
pub mod labels;
pub mod limiter;
pub mod measure;
pub mod memory;
pub mod migration;
pub mod move_id;
pub mod name;
pub mod output;
pub mod outputs;
pub mod parameters;
pub mod percent;
pub mod priority;
pub mod progress;
pub mod quote;
pub mod repository;
pub mod request_memory;
pub mod service;
pub mod shadow;
pub mod statistics;
pub mod task;
pub mod tensor;
pub mod trial;
pub mod warming;

#[cfg(test)]
mod stage;
