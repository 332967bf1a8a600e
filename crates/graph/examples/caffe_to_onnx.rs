//! Writes a Caffe network as ONNX: `cargo run -p dede-graph --example caffe_to_onnx -- deploy.prototxt x.caffemodel x.onnx`,
//! with `--fold` for one that is faster and no longer fit for training.

use std::error::Error;

use dede_graph::{caffe, onnx};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let fold = arguments.iter().any(|argument| argument == "--fold");
    let files: Vec<&String> = arguments.iter().filter(|argument| *argument != "--fold").collect();
    let [network, weights, output] = files[..] else {
        return Err("expected three files: deploy.prototxt, caffemodel, onnx".into());
    };
    let graph = caffe::import((network, &std::fs::read_to_string(network)?), (weights, &std::fs::read(weights)?))?;
    std::fs::write(output, onnx::export(&graph, &onnx::ExportOptions { fold, ..Default::default() })?)?;
    Ok(())
}
