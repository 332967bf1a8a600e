//! What crosses the seams: tensors, samples, targets, outputs, labels, parameters, errors, repositories; the traits of
//! connectors and backends.
//!
//! Read first: [`connector`] and [`backend`], the two seams, and [`data`], what crosses them. This crate knows no HTTP, no data
//! format, no service and no native library.

pub mod backend;
pub mod caller;
pub mod cancel;
pub mod connector;
pub mod data;
pub mod egress;
pub mod error;
pub mod labels;
pub mod measure;
pub mod memory;
pub mod outputs;
pub mod parameters;
pub mod priority;
pub mod progress;
pub mod quote;
pub mod repository;
pub mod request_memory;
pub mod task;
pub mod tensor;
pub mod watch;
