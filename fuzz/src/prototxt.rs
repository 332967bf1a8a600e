//! Networks as Caffe describes them, in protobuf's text format.

use dede_graph::caffe::{NetworkOptions, check_trained_alike, parse_network};

/// Reads the bytes as a network to predict with, with the boxes of a detector, and as one that was trained.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(mut graph) = parse_network(&text, &NetworkOptions::default()) {
        let output = graph.output().to_owned();
        if let Ok(Some(decoding)) = graph.decoding(&output) {
            assert_eq!(decoding.priors.len(), decoding.variances.len());
            graph.cut_to(decoding.values);
            assert!(graph.shapes().is_ok(), "what is left of a network is one");
        }
    }
    let _ = check_trained_alike(&text);
}
