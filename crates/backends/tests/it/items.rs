//! Rows of a request that are run together have the answers that they have alone.
//!
//! It owns the networks for which that once failed, and ordinary ones that look like them: `items/networks.bin`,
//! written by `items/generate.py`, which says what stands in it.

use dede_backends::neural::onnx::Onnx;
use dede_model::backend::{Model, PredictOptions, ServiceType};
use dede_model::error::{Error, Result};
use dede_model::request_memory::MemoryShare;

use crate::requests::{Request, open, rows_of, table, usable_engines};

const NETWORKS: &[u8] = include_bytes!("items/networks.bin");
/// How far numbers may be apart, as a share of the largest of an answer: batches of another size are summed in another
/// order.
const TOLERANCE: f32 = 1e-4;
/// By what the numbers of each row are multiplied, so that rows that are mixed show it.
const STRENGTHS: [f32; 4] = [1.0, 0.3, 3.0, 2.0];

/// A network of `networks.bin`.
struct Network {
    must_be_answered: bool,
    columns: usize,
    name: &'static str,
    onnx: &'static [u8],
}

/// Takes `count` bytes from the front.
fn take(bytes: &mut &'static [u8], count: usize) -> &'static [u8] {
    let (head, tail) = bytes.split_at(count);
    *bytes = tail;
    head
}

fn take_u16(bytes: &mut &'static [u8]) -> usize {
    u16::from_le_bytes(take(bytes, 2).try_into().expect("two bytes")).into()
}

fn networks() -> Vec<Network> {
    let mut rest = NETWORKS;
    let mut networks = Vec::new();
    while !rest.is_empty() {
        let must_be_answered = take(&mut rest, 1)[0] == 1;
        let columns = take_u16(&mut rest);
        let length = take(&mut rest, 1)[0].into();
        let name = std::str::from_utf8(take(&mut rest, length)).expect("a name");
        let length = take_u16(&mut rest);
        networks.push(Network { must_be_answered, columns, name, onnx: take(&mut rest, length) });
    }
    networks
}

/// Rows of varied numbers, always the same.
fn varied_rows(columns: usize) -> Vec<Vec<f32>> {
    // Fibonacci hashing (Knuth): any noise will do here.
    let noise = |place: usize| (place as u32 + 1).wrapping_mul(2_654_435_769) >> 16;
    let value = |place| noise(place) as f32 / 32_768.0 - 1.0;
    let row = |(number, strength): (usize, f32)| {
        (0..columns).map(|column| strength * value(number * columns + column)).collect()
    };
    STRENGTHS.into_iter().enumerate().map(row).collect()
}

fn answers(model: &dyn Model, rows: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
    let answer = model.predict(&table(rows), &PredictOptions::default(), &MemoryShare::unbounded())?;
    Ok(rows_of(&answer))
}

/// Whether a row has the same answer, of numbers as large as `scale`.
fn are_alike(alone: &[f32], together: &[f32], scale: f32) -> bool {
    let are_close = |(one, other): (&f32, &f32)| {
        one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= TOLERANCE * scale
    };
    alone.len() == together.len() && alone.iter().zip(together).all(are_close)
}

/// Opens a network and compares its answers; gives what is wrong with them.
fn check(network: &Network, engine: &'static str) -> Result<(), String> {
    // An operator that rten lacks says nothing of rows.
    let is_lacking = |error: &Error| engine == "rten" && error.to_string().contains("rten");
    let accept = |error: &Error| match !network.must_be_answered || is_lacking(error) {
        true => Ok(()),
        false => Err(format!("refused: {error}")),
    };
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("m.onnx"), network.onnx).expect("written");
    let request = Request { engine, service_type: ServiceType::Unsupervised, ..Request::default() };
    let model = match open(&Onnx::new(), directory.path(), &request) {
        Ok(opened) => opened.model.expect("a network"),
        Err(error) => return accept(&error),
    };
    let rows = varied_rows(network.columns);
    let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    let alone: Vec<_> = rows.iter().map(|row| answers(model.as_ref(), &[row])).collect();
    for size in 2..=rows.len() {
        let together = match answers(model.as_ref(), &rows[..size]) {
            Ok(together) => together,
            Err(error) => {
                accept(&error)?;
                continue;
            }
        };
        if together.len() != size {
            return Err(format!("{} answers to {size} rows", together.len()));
        }
        let numbers = together.iter().flatten().map(|number| number.abs());
        let scale = numbers.filter(|number| number.is_finite()).fold(0.0, f32::max);
        for (place, (alone, together)) in alone.iter().zip(&together).enumerate() {
            match alone {
                Ok(alone) if alone.len() == 1 && are_alike(&alone[0], together, scale) => {}
                Ok(alone) => return Err(format!("row {place} of {size}: {together:?}, alone {alone:?}")),
                Err(error) => accept(error)?,
            }
        }
    }
    Ok(())
}

#[test]
fn rows_are_answered_together_as_alone() {
    let networks = networks();
    assert!(networks.len() >= 140, "{}", networks.len());
    let mut wrong = Vec::new();
    for engine in usable_engines() {
        for (number, network) in networks.iter().enumerate() {
            if let Err(what) = check(network, engine) {
                wrong.push(format!("network {number}, {} on {engine}: {what}", network.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} of {}", wrong.join("\n"), wrong.len(), networks.len());
}
