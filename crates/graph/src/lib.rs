//! One description of a neural network: [`Graph`]. Templates build it, importers read it, the exporter writes ONNX from it,
//! training interprets it layer by layer. This crate runs no network, opens no file and knows nothing of services.

pub mod caffe;
pub mod detection;
pub mod error;
mod fields;
mod formats;
pub mod graph;
mod inference;
pub mod initializer;
pub mod layer;
pub mod onnx;
pub mod operations;
mod operators;
mod pooling;
mod prototext;
mod reading;
#[cfg(test)]
mod reference;
pub mod shape;
pub mod templates;
pub mod weights;
mod wire;

pub use error::{Error, Result};
pub use graph::{Graph, Input, Node, Transform};
pub use inference::Parameter;
pub use initializer::Initializer;
pub use layer::Layer;
pub use pooling::Windows;
pub use shape::Shape;
pub use weights::{Weight, Weights};
