//! How long it takes to leave out boxes that overlap better ones: `cargo run --release -p dede-backends --example box_speed [--boxes N]
//! [--classes N]`, 25,200 boxes of 80 classes without it, as YOLO has for an image.
//!
//! Prints the median and the least of 200 times, ms, of sorting by score and of [`suppressed`]. A tenth of the boxes lies close around
//! others, as the boxes of trained networks do.

use std::time::Instant;

use dede_backends::neural::heads::suppressed;
use dede_model::outputs::{Corners, Detection};

/// Times that are measured.
const TIMES: usize = 200;
/// How far boxes may overlap.
const MOST_OVERLAP: f32 = 0.45;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut boxes, mut classes) = (25_200_usize, 80_usize);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = words.next().ok_or_else(|| format!("a number after {word} expected"))?.parse()?;
        match word.as_str() {
            "--boxes" => boxes = number,
            "--classes" => classes = number,
            _ => return Err(format!("--boxes or --classes expected, found {word}").into()),
        }
    }
    let found = random(boxes, classes.max(1));
    let (mut sorting, mut leaving_out, mut kept) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TIMES {
        let mut found = found.clone();
        let began = Instant::now();
        found.sort_by(|one, other| other.score.total_cmp(&one.score));
        sorting.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        kept = suppressed(found, MOST_OVERLAP).len();
        leaving_out.push(began.elapsed().as_secs_f64() * 1e3);
    }
    for (what, mut times) in [("sorted", sorting), ("left out", leaving_out)] {
        times.sort_by(f64::total_cmp);
        let median = times.get(TIMES / 2).copied().unwrap_or_default();
        say(&format!("{what}: {median:.2} ms, at least {:.2} ms", times.first().copied().unwrap_or_default()));
    }
    say(&format!("{kept} of {boxes} boxes of {classes} classes stay"));
    Ok(())
}

/// Boxes in an image of 640 × 640.
fn random(boxes: usize, classes: usize) -> Vec<Detection> {
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let mut found: Vec<Detection> = Vec::with_capacity(boxes);
    for place in 0..boxes {
        let near = found.get((random() * place as f32) as usize).filter(|_| place % 10 == 0).copied();
        let mut moved = |number: f32| number + random() * 4.0 - 2.0;
        let (class, corners) = match near {
            Some(Detection { class, corners: Corners { xmin, ymin, xmax, ymax }, .. }) => {
                (class, Corners { xmin: moved(xmin), ymin: moved(ymin), xmax: moved(xmax), ymax: moved(ymax) })
            }
            None => {
                let (xmin, ymin) = (random() * 600.0, random() * 600.0);
                let corners =
                    Corners { xmin, ymin, xmax: xmin + 8.0 + random() * 200.0, ymax: ymin + 8.0 + random() * 200.0 };
                (place * 31 % classes, corners)
            }
        };
        found.push(Detection { class, score: random(), corners });
    }
    found
}

#[expect(clippy::print_stdout, reason = "a measuring program prints")]
fn say(line: &str) {
    println!("{line}");
}
