//! Networks as Caffe describes them, in protobuf's text format.

use dede_graph::caffe::{NetworkOptions, check_trained_alike, parse_network};

/// Reads the bytes as a network to predict with, and as one that was trained.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = parse_network(&text, &NetworkOptions::default());
    let _ = check_trained_alike(&text);
}
