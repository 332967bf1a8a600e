//! Prints what remembering inputs costs a saturated csv service: `cargo run --release -p dede-connectors --example capture_speed`.

use std::time::Instant;

use dede_connectors::csv::CsvConnector;
use dede_engine::service::PredictCall;
use dede_model::connector::Connector;
use dede_model::parameters::Section;
use dede_model::request_memory::MemoryShare;
use dede_testing::services;
use serde_json::json;

const CONNECTORS: &[&dyn Connector] = &[&CsvConnector];
const CALLS: usize = 200_000;
const TURNS: usize = 9;

#[expect(clippy::print_stdout, reason = "a command that prints")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
    let mut running = Vec::new();
    for (directory, bytes) in directories.iter().zip([0, 16 << 20]) {
        let catalogue = services::catalogue(directory.path(), CONNECTORS, bytes);
        let mllib: Section = json!({"columns": 4}).as_object().cloned().ok_or("an object expected")?;
        services::create(&catalogue, directory.path(), "rows", "csv", Section::new(), mllib);
        running.push((bytes, catalogue.service("rows")?, Vec::new()));
    }
    for _ in 0..TURNS {
        for (_, service, times_ns) in &mut running {
            let start = Instant::now();
            for step in 0..CALLS {
                let data = vec![format!("5.1,3.5,1.4,{step}")];
                std::hint::black_box(
                    service.predict(&PredictCall { data, ..PredictCall::default() }, &MemoryShare::unbounded())?,
                );
            }
            times_ns.push(start.elapsed().as_secs_f64() * 1e9 / CALLS as f64);
        }
    }
    for (bytes, service, mut times_ns) in running {
        times_ns.sort_by(f64::total_cmp);
        let kept = service.captured().len();
        println!("{} MiB: median {:.0} ns, best {:.0} ns, {kept} kept", bytes >> 20, times_ns[TURNS / 2], times_ns[0]);
    }
    Ok(())
}
