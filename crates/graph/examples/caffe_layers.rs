//! Says of each text of a Caffe network whether it can be read: `cargo run -p dede-graph --example caffe_layers -- A/deploy.prototxt …`.
//! The last line counts those that can.

use std::error::Error;

use dede_graph::caffe::{NetworkOptions, parse_network};

#[expect(clippy::print_stdout, reason = "a command that prints")]
fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let mut readable = 0;
    for file in &files {
        match parse_network(&std::fs::read_to_string(file)?, &NetworkOptions::default()) {
            Ok(graph) => {
                readable += 1;
                println!("{file}: {} layers, {} weights", graph.nodes.len(), graph.parameter_count()?);
            }
            Err(error) => println!("{file}: {error}"),
        }
    }
    println!("{readable} of {} can be read", files.len());
    Ok(())
}
