//! Weights and mean images of Caffe, in protobuf's binary format.

use dede_graph::caffe::{LayerWeights, import, read_mean};

/// A network whose layers are those of the corpus.
const NETWORK: &str = "layer { name: 'data' type: 'MemoryData' top: 'data' memory_data_param { batch_size: 1 channels: 4 height: 1 \
                       width: 1 } } layer { name: 'ip' type: 'InnerProduct' bottom: 'data' top: 'ip' inner_product_param { \
                       num_output: 3 } } layer { name: 'prob' type: 'Softmax' bottom: 'ip' top: 'prob' }";

/// Reads the bytes as the weights of a network, and as a mean image.
pub fn run(bytes: &[u8]) {
    let _ = import(("deploy.prototxt", NETWORK), ("model.caffemodel", bytes));
    let _ = LayerWeights::read("model.caffemodel", bytes.to_vec());
    let _ = read_mean(bytes);
}
