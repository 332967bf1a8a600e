//! Writes a Caffe model repository with random weights: `make-network squeezenet DIRECTORY`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use dede_testing::networks::{Generation, Network};

/// Writes a Caffe model repository (deploy.prototxt, model_iter_1.caffemodel) with random weights.
#[derive(Parser)]
struct Arguments {
    /// squeezenet, resnet18 or resnet50
    network: Network,
    /// Where to write; created if missing
    directory: PathBuf,
    /// Number of classes
    #[arg(long, default_value_t = Generation::default().classes)]
    classes: usize,
    /// Different seeds give networks that answer differently
    #[arg(long, default_value_t = Generation::default().seed)]
    seed: u64,
}

fn main() -> ExitCode {
    let Arguments { network, directory, classes, seed } = Arguments::parse();
    match network.write_repository(&directory, Generation { classes, seed }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("make-network: write {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}
