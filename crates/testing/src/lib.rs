//! What the tests and benchmarks of the other crates share: fixtures, generated networks, tolerant comparison of JSON,
//! conformance suites for the two seams, services without a server, and a load generator.
//!
//! Unpublished, a development dependency only. It knows the seams of `dede-model` and must not know any connector, backend
//! or the server.

pub mod comparison;
pub mod conformance;
pub mod fixtures;
pub mod http;
pub mod load;
pub mod mutants;
pub mod networks;
pub mod onnx;
pub mod protobuf;
pub mod services;
