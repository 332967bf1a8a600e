//! What crosses the seams: tensors, samples, targets, outputs, labels, parameters, errors, repositories; the traits of
//! connectors and backends.
//!
//! This crate knows no HTTP, no data format, no service and no native library. Connectors, backends, the comparison of answers, the engine
//! and moves all build on it, and know each other through it alone.
//!
//! # What to read first
//!
//! 1. [`connector`]: a [`Connector`](connector::Connector) opens a [`Reader`](connector::Reader) for the parameters of a service; the reader
//!    turns the `data` of requests into a [`Batch`](data::Batch), and learns from data at a training.
//! 2. [`backend`]: a [`Backend`](backend::Backend) opens a [`Model`](backend::Model) from a repository; the model turns
//!    [`Samples`](data::Samples) into [`Outputs`](outputs::Outputs), or named tensors into named tensors.
//! 3. [`data`], [`outputs`] and [`tensor`]: what goes in and comes out, with its shapes.
//! 4. [`parameters::keys`]: how an owner says which keys there are.
//!
//! ```text
//! data ── Connector/Reader ──► Batch{samples, targets} ── Backend/Model ──► Outputs ── measure, comparison, an answer
//! ```
//!
//! # Invariants
//!
//! - [`Outputs`](outputs::Outputs) is closed: what renders, measures or compares answers matches all of it, so that a new form of answer
//!   does not compile before each of them knows it.
//! - An owner sees its own section of the parameters and its own keys, never a request. A key that is in no table never reaches it.
//! - Whatever grows with a request is counted in a [`MemoryShare`](request_memory::MemoryShare) before it is there.
//! - An [`Error`](error::Error) says what was expected, what was found and where; it knows no status code.
//! - Nothing that a reader learns is hidden in it: it is stored as parameters in the [`Repository`](repository::Repository).
//!
//! Implementations are checked by the conformance suites of the crate `dede-testing`; a connector and a backend of one file each stand in
//! `examples/extending`.

pub mod action;
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
pub mod picture;
pub mod priority;
pub mod progress;
pub mod quote;
pub mod repository;
pub mod request_memory;
pub mod task;
pub mod tensor;
pub mod watch;
