//! Sends predicts in a closed or an open loop and prints one JSON object: `load --clients 8 --seconds 10 ADDRESS BODIES`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use dede_testing::load::{self, Load};

/// Sends POST requests from several keep-alive clients, each its next one when the last is answered, or when it is due.
#[derive(Parser)]
struct Arguments {
    /// Host address and port, such as 127.0.0.1:8080
    address: SocketAddr,
    /// File with one request body per line
    bodies: PathBuf,
    #[arg(long, default_value = "/predict")]
    path: String,
    /// Predictions expected per answer
    #[arg(long, default_value_t = 1)]
    items: usize,
    #[arg(long, default_value_t = 8)]
    clients: usize,
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Requests due per second, whatever the server does: an open loop
    #[arg(long)]
    rate: Option<f64>,
    /// List each request: milliseconds since 1970, latency, the version that answered
    #[arg(long)]
    samples: bool,
}

fn main() -> ExitCode {
    let Arguments { address, bodies, path, items, clients, seconds, rate, samples } = Arguments::parse();
    let text = match std::fs::read_to_string(&bodies) {
        Ok(text) if !text.trim().is_empty() => text,
        Ok(_) => return fail(&format!("{}: no request bodies", bodies.display())),
        Err(error) => return fail(&format!("read {}: {error}", bodies.display())),
    };
    let Ok(duration) = Duration::try_from_secs_f64(seconds) else {
        return fail(&format!("--seconds: expected a duration, found {seconds}"));
    };
    if rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
        return fail("--rate: expected a number above 0");
    }
    let bodies = text.lines().filter(|line| !line.is_empty()).map(|line| line.as_bytes().to_vec()).collect();
    let load = Load { address, path, bodies, items, clients, duration, rate };
    let report = load::drive_with_samples(&load, samples);
    match serde_json::to_writer(std::io::stdout(), &report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("write the report: {error}")),
    }
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("load: {reason}");
    ExitCode::FAILURE
}
