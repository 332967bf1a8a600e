//! Caffe's files (`caffe.proto`, <https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto>): the network as
//! text, its weights and a mean image as binary. It owns Caffe's names, defaults and legacy forms; the graph it makes no
//! longer shows where it came from. Callers open the files and give their names for messages.
//!
//! ```
//! use dede_graph::{caffe, onnx};
//! # let prototxt = r#"input: "data" input_dim: 1 input_dim: 3 input_dim: 1 input_dim: 1
//! #   layer { name: "prob" type: "Softmax" bottom: "data" top: "prob" }"#;
//! # let caffemodel: &[u8] = &[];
//! let graph = caffe::import(("deploy.prototxt", prototxt), ("model_iter_300.caffemodel", caffemodel))?;
//! let bytes = onnx::export(&graph, &onnx::ExportOptions::default())?;
//! # assert!(!bytes.is_empty());
//! # Ok::<(), dede_graph::Error>(())
//! ```

mod batch_norm;
mod blob;
mod data;
mod layers;
mod mean;
mod network;
mod schema;
mod series;
mod storage;
mod tables;
mod training;
mod weights;
mod windows;

pub use mean::{MeanImage, read_mean};
pub use network::{NetworkOptions, parse_network};
pub use training::{check_trained_alike, check_training_network};
pub use weights::LayerWeights;

use crate::error::Result;
use crate::graph::Graph;

/// Reads a network for prediction (phase TEST) with its weights, all checked. Each file is `(name for messages, content)`.
///
/// # Errors
/// Names the file, and the layer or the line.
pub fn import(network: (&str, &str), weights: (&str, &[u8])) -> Result<Graph> {
    let network = network::read(network.1, &NetworkOptions::default()).map_err(|error| error.in_file(network.0))?;
    weights::fill(network, weights.1).map_err(|error| error.in_file(weights.0))
}

#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod schema_changes;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod weights_tests;
