//! Prints the CPU time that one image costs: `cargo run --release -p dede-connectors --example image_speed -- a.jpg`,
//! with and without `--features turbojpeg`. Decoding alone is what remains when the size is kept.

use std::sync::Arc;
use std::time::Instant;

use dede_connectors::image::ImageConnector;
use dede_model::connector::{Connector, InputLimits, ReaderContext};
use dede_model::labels::Labels;
use serde_json::{Map, json};

const ROUNDS: usize = 300;

#[expect(clippy::print_stdout, reason = "a command that prints")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = [std::env::args().nth(1).ok_or("expected the path of an image")?];
    for (name, parameters) in [
        ("decode", json!({"width": -1, "height": -1})),
        ("decode, cubic to 224x224", json!({})),
        ("decode, linear to 224x224", json!({"interp": "linear"})),
        ("decode, area to 224x224", json!({"interp": "area"})),
        ("decode, lanczos4 to 224x224", json!({"interp": "lanczos4"})),
        ("decode grey, cubic to 224x224", json!({"bw": true})),
    ] {
        let parameters = parameters.as_object().ok_or("expected an object")?;
        let reader = ImageConnector.open(&ReaderContext {
            parameters,
            own: parameters,
            created: &Map::new(),
            stored: &Map::new(),
            parameters_in_call: true,
            shape: None,
            labels: &Labels::default(),
            regression: false,
            limits: Arc::new(InputLimits::default()),
        })?;
        let mut times_ms = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            std::hint::black_box(reader.read(&data)?);
            times_ms.push(start.elapsed().as_secs_f64() * 1000.0);
        }
        times_ms.sort_by(f64::total_cmp);
        println!("{name}: best {:.3} ms, median {:.3} ms", times_ms[0], times_ms[ROUNDS / 2]);
    }
    Ok(())
}
