//! Neural networks: the engines that run them.
//!
//! Every network ends as ONNX bytes that an [`engine`] loads; [`onnx_view`] reads what must be known about such bytes
//! beforehand.

pub mod engine;
pub mod onnx_view;
pub mod training;
