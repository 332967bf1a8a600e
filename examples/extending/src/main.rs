//! Serves flowers over a Unix socket, by a backend, a connector and a protocol of its own.
//!
//! ```sh
//! cargo run -p dede-extending -- /tmp/flowers.sock
//! echo "flowers 5.1 3.5 1.4 0.2" | nc -U -q 1 /tmp/flowers.sock
//! ```

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use dede_engine::dispatch::Dispatcher;
use dede_extending::{catalogue, create, lines};
use dede_model::request_memory::RequestMemory;
use serde_json::json;
use tokio::net::UnixListener;

/// Memory for the calls of all clients, bytes.
const MEMORY: u64 = 64 << 20;
/// The means of the three species of Fisher's irises: length and width of sepals and petals, cm.
const CENTRES: &str = "5.006 3.428 1.462 0.246\n5.936 2.770 4.260 1.326\n6.588 2.974 5.552 2.026\n";

fn main() -> ExitCode {
    let Some(socket) = std::env::args().nth(1) else {
        eprintln!("expected the path of a socket");
        return ExitCode::FAILURE;
    };
    match run(&socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(socket: &str) -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let repository = directory.path().join("flowers");
    fs::create_dir(&repository)?;
    fs::write(repository.join("centroids.txt"), CENTRES)?;
    let catalogue = catalogue(&directory.path().join("state"))?;
    let body = json!({
        "mllib": "centroids",
        "parameters": {"input": {"connector": "readings"}},
        "model": {"repository": repository},
    });
    create(&catalogue, "flowers", &body)?;
    let dispatcher = Arc::new(Dispatcher::new(catalogue));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = UnixListener::bind(socket)?;
        eprintln!("flowers answers on {socket}");
        lines::serve(listener, dispatcher, RequestMemory::new(MEMORY)).await
    })?;
    Ok(())
}
